package index

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// memFS is a file system of a few files in memory.
type memFS struct {
	vfs.NoWrites
	files map[string][]byte
	now   int64
}

func (m *memFS) put(name string, b []byte) { m.files[name] = b; m.now++ }

func (m *memFS) Open(name string) (vfs.File, error) {
	info, err := m.Stat(name)
	if err != nil {
		return nil, err
	}
	return memFile{bytes.NewReader(m.files[name]), name, info}, nil
}

func (m *memFS) Stat(name string) (vfs.Info, error) {
	b, ok := m.files[name]
	if !ok {
		return vfs.Info{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return vfs.Info{Size: int64(len(b)), Mtime: m.now, Ino: uint64(len(name))}, nil
}

func (m *memFS) ReadDir(string) ([]fs.DirEntry, error) { return nil, errors.ErrUnsupported }

type memFile struct {
	*bytes.Reader
	name string
	info vfs.Info
}

func (f memFile) Name() string            { return f.name }
func (f memFile) Stat() (vfs.Info, error) { return f.info, nil }
func (f memFile) Close() error            { return nil }

// FuzzLog: whatever a log holds, no panic, and a state that keeps its
// invariants. Reading it in two steps gives the same state as reading it in one.
func FuzzLog(f *testing.F) {
	for _, name := range []string{"dovecot-2.3/small", "dovecot-2.4/fresh"} {
		store := mdboxtest.Golden(f, name)
		for _, box := range []string{store.Mailbox("INBOX"), store.Mailbox("Drafts")} {
			b, err := vfs.ReadFile(vfs.OS, filepath.Join(box, "dovecot.index.log"), 1<<20)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b[translog.HeaderSize:], uint16(300))
		}
	}
	for _, p := range []translog.Payload{
		translog.KeywordReset(ranges(1, 9)), translog.Expunges(ranges(1, 2)), translog.ModSeqUpdates{{UID: 1, ModSeq: 9}},
		translog.ExtAtomicIncs{{UID: 1, Diff: -1}}, translog.ExtHdrUpdates32{{Offset: 2, Data: []byte{1}}}, translog.IndexDeleted{},
	} {
		var b []byte
		for _, q := range []translog.Payload{appends(1, 2, 3), extIntro("modseq", 16, 8, 8), p, extIntro("x", 4, 2, 2), p, recs(2, 2, 7, 7)} {
			b = translog.AppendRecord(b, translog.RecordHeader{External: true}, q)
		}
		f.Add(b, uint16(50))
	}
	h := translog.NewHeader()
	h.IndexID, h.FileSeq, h.InitialModSeq = 1, 2, 1
	f.Fuzz(func(t *testing.T, body []byte, split uint16) {
		whole := append(h.Append(nil), body...)
		m := &memFS{files: map[string][]byte{}}
		o := Options{FS: m, Dir: "d", MaxStateBytes: 1 << 20}
		m.put("d/dovecot.index.log", whole[:translog.HeaderSize+min(int(split), len(body))])
		x, err := Open(o)
		if err != nil {
			t.Fatalf("a log with a sound header: %v", err)
		}
		first := x.State().Position()
		m.put("d/dovecot.index.log", whole)
		if _, err := x.Refresh(); err != nil && !errors.Is(err, ErrDeleted) {
			t.Fatalf("Refresh: %v", err)
		}
		y, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, z := range []*Index{x, y} {
			if err := z.State().Check(); err != nil && len(z.damage) == 0 {
				t.Fatalf("%v, and no damage reported", err)
			}
		}
		a, b := x.State().AppendSnapshot(nil), y.State().AppendSnapshot(nil)
		if !bytes.Equal(a, b) {
			t.Errorf("in two steps\n%x, in one\n%x", a, b)
		}
		if _, err := y.Changes(first); err != nil && !errors.Is(err, ErrHistoryGone) {
			t.Errorf("Changes: %v", err)
		}
		if _, err := DecodeSnapshot(a, 0); err != nil && len(y.damage) == 0 {
			t.Errorf("the snapshot of a sound index: %v", err)
		}
	})
}
