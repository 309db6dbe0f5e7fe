package dbox

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// NewMessage is what is known of a message to be saved, besides its text.
type NewMessage struct {
	Received  int64  // INTERNALDATE, UNIX time; before 1970 counts as 1970
	GUID      GUID   // zero: a new one
	Copied    bool   // GUID is that of another message, whatever the format makes GUIDs of
	RawGUID   string // the GUID as it stands in metadata if it is not 32 hex digits; GUID is then derived from it
	Mailbox   string // storage name of the mailbox, for rebuilds; empty in sdbox
	POP3UIDL  string // empty: none
	POP3Order uint32 // 0: none
	SizeHint  uint64 // about the size of the text in bytes; 0: not known. What is far too large is refused unread
	// Tee gets the text, with the line ends as stored, uncompressed. nil: nobody does. After an error it may have got a part.
	Tee io.Writer
}

// Stored tells where and how a message was stored.
type Stored struct {
	Index    int    // which file of the transaction, see Appender.FileID
	Offset   uint32 // of the message header in the file
	Size     uint32 // of header, body and metadata in bytes
	Physical uint64 // size of the text with the line ends as stored, uncompressed
	Virtual  uint64 // the same with CRLF line ends: RFC822.SIZE
	GUID     GUID   // 128-bit form
}

// ErrLooksCompressed refuses a text that starts as a compressed or encrypted one does. Readers know compression
// only by the first bytes and would return something else than was saved. It can not happen when
// Config.SaveCompression is set. Dovecot's zlib plugin refuses the same.
var ErrLooksCompressed = errors.New("dbox: message starts like a compressed file")

// ErrText refuses metadata that can not be stored: a line end or a NUL byte in RawGUID or POP3UIDL.
var ErrText = errors.New("dbox: metadata value has a line end")

// write puts a message together in d. After an error d is of no use.
//
// Source: dovecot src/lib-storage/index/dbox-common/dbox-save.c.
func (s *Files) write(d *draft, m *NewMessage, body io.Reader) (Stored, error) {
	if strings.ContainsAny(m.RawGUID+m.POP3UIDL, "\r\n\x00") {
		return Stored{}, ErrText
	}
	text, err := s.writeBody(d, body, m)
	if err != nil {
		return Stored{}, err
	}
	size := d.len() - messageHeaderSize
	st := Stored{Physical: text.physical, Virtual: text.virtual, GUID: m.GUID}
	switch {
	case m.RawGUID != "":
		st.GUID = ParseGUID([]byte(m.RawGUID))
	case st.GUID == GUID{}:
		st.GUID = NewGUID()
	}
	d.Write(m.appendMetadata(nil, size, st))
	if err := d.finish(size); err != nil {
		return Stored{}, err
	}
	st.Size = uint32(d.len())
	return st, nil
}

// writeBody writes the text of m as the stored body, and returns its sizes.
func (s *Files) writeBody(out io.Writer, body io.Reader, m *NewMessage) (*lf, error) {
	tooLarge := &LimitError{Setting: "MaxMessageSize", Limit: s.cfg.MaxMessageSize}
	if m.SizeHint/2 > s.cfg.MaxMessageSize { // not even if all of it is line ends
		return nil, tooLarge
	}
	dst, err := newCompressor(s.cfg.SaveCompression, out)
	if err != nil {
		return nil, err
	}
	defer dst.release()
	buf := saveChunkPool.Get().(*[1 + readSize]byte)
	defer saveChunkPool.Put(buf)
	text := new(lf)
	for last := false; !last; {
		n, err := readSome(body, buf[1:])
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("dbox: reading the message to be saved: %w", err)
		}
		last = err == io.EOF
		first := text.physical == 0
		b := text.convert(buf[:1+n], last)
		if first && s.cfg.SaveCompression == Uncompressed && DetectCompression(b[:min(len(b), magicSize)]) != Uncompressed {
			return nil, ErrLooksCompressed
		}
		if text.physical > s.cfg.MaxMessageSize {
			return nil, tooLarge
		}
		if _, err := dst.Write(b); err != nil {
			return nil, err
		}
		if m.Tee != nil {
			if _, err := m.Tee.Write(b); err != nil {
				return nil, err
			}
		}
	}
	return text, dst.Close()
}

// appendMetadata appends the metadata block of a message in Dovecot's order: Z R V P O G B.
func (m *NewMessage) appendMetadata(b []byte, size uint64, st Stored) []byte {
	var meta Metadata
	line := func(key byte, value []byte) { meta = append(meta, MetadataLine{key, value}) }
	if st.Physical != size {
		line(KeyPhysicalSize, strconv.AppendUint(nil, st.Physical, 16))
	}
	line(KeyReceived, strconv.AppendInt(nil, max(0, m.Received), 16))
	line(KeyVirtualSize, strconv.AppendUint(nil, st.Virtual, 16))
	if m.POP3UIDL != "" {
		line(KeyPOP3UIDL, []byte(m.POP3UIDL))
	}
	if m.POP3Order != 0 {
		line(KeyPOP3Order, strconv.AppendUint(nil, uint64(m.POP3Order), 10))
	}
	if m.RawGUID != "" {
		line(KeyGUID, []byte(m.RawGUID))
	} else {
		line(KeyGUID, []byte(st.GUID.String()))
	}
	if m.Mailbox != "" && !strings.ContainsAny(m.Mailbox, "\r\n") {
		line(KeyMailbox, []byte(m.Mailbox))
	}
	return meta.Append(b)
}

// saveChunkPool holds buffers for readSize bytes and the room that lf.convert needs.
var saveChunkPool = sync.Pool{New: func() any { return new([1 + readSize]byte) }}
