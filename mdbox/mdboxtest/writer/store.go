package writer

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/translog"
)

// Time is the UNIX time of everything that is written.
const Time = 1_700_000_000

// Store writes a store below Root.
type Store struct {
	Root string

	t         testing.TB
	messages  *Log // the map
	nextMapID uint32
	guids     uint32
	file      uint32 // N of the m.N that is written
	size      uint32 // of it
	buf       []byte // of it, not written yet
}

// New makes an empty store.
func New(t testing.TB, root string) *Store {
	t.Helper()
	s := &Store{Root: root, t: t, nextMapID: 1}
	storage := filepath.Join(root, "storage")
	if err := os.MkdirAll(storage, 0o700); err != nil {
		t.Fatal(err)
	}
	s.messages = NewLog(t, filepath.Join(storage, mapindex.Prefix+".log"))
	s.messages.Add(true, header(24, u32(Time)))
	s.nextFile()
	return s
}

// nextFile begins a new m.N.
func (s *Store) nextFile() {
	s.file++
	s.buf = dbox.FileHeader{Version: 2, HeaderSize: 30, Created: Time}.Append(nil)
	s.size = uint32(len(s.buf))
}

// MailFile returns the path of m.<id>.
func (s *Store) MailFile(id uint32) string {
	return filepath.Join(s.Root, "storage", fmt.Sprintf("m.%d", id))
}

// guid returns a new GUID.
func (s *Store) guid() (g [16]byte) {
	s.guids++
	binary.BigEndian.PutUint32(g[12:], s.guids)
	copy(g[:], "writer")
	return g
}

// stored is a message in the store.
type stored struct {
	mapUID uint32
	guid   [16]byte
}

// save writes messages with CRLF line ends into m.N files and the map.
func (s *Store) save(msgs [][]byte) []stored {
	const maxFile = 10 << 20
	res := make([]stored, len(msgs))
	refs := translog.NewExtRecUpdates(12)
	counts := translog.NewExtRecUpdates(2)
	var appends translog.Appends
	for i, msg := range msgs {
		if s.size > maxFile {
			s.flush()
			s.nextFile()
		}
		res[i] = stored{s.nextMapID, s.guid()}
		s.nextMapID++
		start := len(s.buf)
		s.buf = appendMessage(s.buf, msg, res[i].guid)
		n := uint32(len(s.buf) - start)
		refs.Add(res[i].mapUID, mapindex.Location{FileID: s.file, Offset: s.size, Size: n}.Append(nil))
		counts.Add(res[i].mapUID, mapindex.AppendRefcount(nil, 1))
		appends = append(appends, translog.AppendedMessage{UID: res[i].mapUID})
		s.size += n
	}
	s.flush()
	s.messages.Add(false, appends,
		translog.ExtIntros{{ExtID: translog.ExtIDByName, HdrSize: 8, RecordSize: 12, RecordAlign: 4, NoShrink: true, Name: "map"}},
		translog.ExtHdrUpdates{{Data: mapindex.Header{HighestFileID: s.file}.Append(nil)}}, refs,
		translog.ExtIntros{{ExtID: translog.ExtIDByName, RecordSize: 2, RecordAlign: 2, NoShrink: true, Name: "ref"}}, counts)
	return res
}

// flush appends buf to the current m.N.
func (s *Store) flush() {
	s.t.Helper()
	appendFile(s.t, s.MailFile(s.file), s.buf)
	s.buf = s.buf[:0]
}

// appendMessage appends a message as m.N has it.
func appendMessage(b, msg []byte, guid [16]byte) []byte {
	lf := bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n"))
	b = dbox.MessageHeader{Type: dbox.TypeNormal, Size: uint64(len(lf))}.Append(b)
	b = append(b, lf...)
	return dbox.Metadata{
		{Key: dbox.KeyReceived, Value: fmt.Appendf(nil, "%x", Time)},
		{Key: dbox.KeyVirtualSize, Value: fmt.Appendf(nil, "%x", len(msg))},
		{Key: dbox.KeyGUID, Value: []byte(hex.EncodeToString(guid[:]))},
	}.Append(b)
}

func appendFile(t testing.TB, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// header is a change of the base header of an index.
func header(offset uint32, data []byte) translog.HeaderUpdates {
	return translog.HeaderUpdates{{Offset: offset, Data: data}}
}
