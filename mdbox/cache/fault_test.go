package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
	"golang.org/x/sys/unix"
)

var errFault = errors.New("fault injected")

// faultFS fails one operation, or all from that on.
type faultFS struct {
	vfs.FS
	n     int    // operations that still succeed
	all   bool   // all that follow fail as well
	short bool   // a write that fails has written half of it, as on a full disk
	did   string // the operation that failed
}

// fails counts an operation and reports whether it is to fail.
func (f *faultFS) fails(op string) bool {
	f.n--
	if f.n == 0 || f.all && f.n < 0 {
		f.did = op
		return true
	}
	return false
}

func (f *faultFS) Open(name string) (vfs.File, error) {
	if f.fails("open") {
		return nil, errFault
	}
	return f.FS.Open(name)
}

func (f *faultFS) Stat(name string) (vfs.Info, error) {
	if f.fails("stat") {
		return vfs.Info{}, errFault
	}
	return f.FS.Stat(name)
}

func (f *faultFS) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	if f.fails("open") {
		return nil, errFault
	}
	w, err := f.FS.OpenWrite(name, how, perm)
	if err != nil {
		return nil, err
	}
	return &faultFile{w, f}, nil
}

func (f *faultFS) Rename(from, to string) error {
	if f.fails("rename") {
		return errFault
	}
	return f.FS.Rename(from, to)
}

func (f *faultFS) Remove(name string) error {
	if f.fails("remove") {
		return errFault
	}
	return f.FS.Remove(name)
}

type faultFile struct {
	vfs.WritableFile
	f *faultFS
}

func (w *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if w.f.fails("read") {
		return 0, errFault
	}
	return w.WritableFile.ReadAt(p, off)
}

func (w *faultFile) Stat() (vfs.Info, error) {
	if w.f.fails("fstat") {
		return vfs.Info{}, errFault
	}
	return w.WritableFile.Stat()
}

// write is a write by do that may fail.
func (w *faultFile) write(p []byte, do func([]byte) (int, error)) (int, error) {
	if !w.f.fails("write") {
		return do(p)
	}
	if !w.f.short {
		return 0, errFault
	}
	n, err := do(p[:len(p)/2|1]) // an odd number: what is left must be taken back
	return n, errors.Join(err, errFault, unix.ENOSPC)
}

func (w *faultFile) Write(p []byte) (int, error) { return w.write(p, w.WritableFile.Write) }

func (w *faultFile) WriteAt(p []byte, off int64) (int, error) {
	return w.write(p, func(p []byte) (int, error) { return w.WritableFile.WriteAt(p, off) })
}

func (w *faultFile) Truncate(size int64) error {
	if w.f.fails("truncate") {
		return errFault
	}
	return w.WritableFile.Truncate(size)
}

func (w *faultFile) Sync() error {
	if w.f.fails("sync") {
		return errFault
	}
	return w.WritableFile.Sync()
}

// scenario is something done to a cache file that has a record of a message at old; it returns the identity that the
// index is to have after it, and that message's offset, or an error: then both stay as they are.
type scenario struct {
	name string
	do   func(c *WriteConfig, path string, id Identity, old uint32) (Identity, uint32, error)
}

var scenarios = []scenario{
	{"append", func(c *WriteConfig, path string, id Identity, old uint32) (Identity, uint32, error) {
		w, err := c.Open(context.Background(), path, id)
		if err != nil {
			return id, 0, err
		}
		off, err := w.Append(old, []FieldValue{{"flags", le32(HasNUL)}})
		return id, off, errors.Join(err, w.Close())
	}},
	{"append with new fields and decisions", func(c *WriteConfig, path string, id Identity, old uint32) (Identity, uint32, error) {
		w, err := c.Open(context.Background(), path, id)
		if err != nil {
			return id, 0, err
		}
		w.Apply([]Change{{"guid", DecisionYes, testNow + 2*day}})
		off, err := w.Append(old, []FieldValue{{"hdr.New", nil}, {"hdr.Other", header(Occurrence{1, []byte("Other: " + strings.Repeat("x", 101) + "\n")})}})
		return id, off, errors.Join(err, w.Close())
	}},
	{"decisions", func(c *WriteConfig, path string, id Identity, old uint32) (Identity, uint32, error) {
		w, err := c.Open(context.Background(), path, id)
		if err != nil {
			return id, 0, err
		}
		w.Apply([]Change{{"guid", DecisionYes, testNow + 2*day}})
		return id, old, w.Close()
	}},
	{"purge", func(c *WriteConfig, path string, id Identity, old uint32) (Identity, uint32, error) {
		r, err := c.Purge(context.Background(), path, PurgeInput{Identity: id, UIDs: []uint32{7}, Offsets: []uint32{old}})
		if err != nil {
			return id, 0, err
		}
		return Identity{IndexID: id.IndexID, ResetID: r.FileSeq}, r.Offsets[0], nil
	}},
	{"create", func(c *WriteConfig, path string, id Identity, old uint32) (Identity, uint32, error) {
		if err := os.Remove(path); err != nil {
			return id, 0, err
		}
		seq, err := c.Create(path, id, c.Policy.Initial())
		return Identity{IndexID: id.IndexID, ResetID: seq}, 0, err
	}},
}

// TestEveryFailureLeavesAValidFile fails each operation of each scenario, alone and with all that follow.
func TestEveryFailureLeavesAValidFile(t *testing.T) {
	for _, s := range scenarios {
		for _, sync := range []bool{false, true} {
			for _, all := range []bool{false, true} {
				for _, short := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s sync=%v all=%v short=%v", s.name, sync, all, short), func(t *testing.T) {
						for n := 1; ; n++ {
							f := &faultFS{FS: vfs.OS, n: n, all: all, short: short}
							if !failAt(t, s, f, sync) {
								if n < 4 {
									t.Errorf("only %d operations", n-1)
								}
								return
							}
						}
					})
				}
			}
		}
	}
}

// failAt runs a scenario and reports whether an operation of it failed.
func failAt(t *testing.T, s scenario, f *faultFS, sync bool) bool {
	t.Helper()
	good := newWriteConfig(vfs.OS)
	path, id := newCache(t, good)
	old := addRecords(t, good, path, id, 0, []FieldValue{{"guid", []byte("abc")}, {"flags", le32(HasNoNUL)}})[0]
	c := newWriteConfig(f)
	c.Sync = sync
	what := func() string { return fmt.Sprintf("operation %d (%s) failed", -f.n, f.did) }
	after, off, err := s.do(c, path, id, old)
	failed := f.did != ""
	if err == nil && failed && !strings.Contains("remove stat", f.did) {
		t.Errorf("%s, and nobody said so", what())
	}
	if err != nil {
		if !failed {
			t.Fatalf("nothing failed: %v", err)
		}
		if !errors.Is(err, errFault) {
			t.Errorf("%s: %v", what(), err)
		}
		after, off = id, old
	}
	if s.name == "create" && err != nil {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s, but there is a file: %v", what(), err)
		}
		return failed
	}
	if f.did != "truncate" && !f.all { // half a record stays only if it can not be taken back
		checkFile(t, path)
	}
	r := openRead(t, path, after).NewReader()
	if err := r.Load(off); err != nil {
		t.Errorf("%s: %v", what(), err)
	}
	if guid, ok := r.GUID(); off != 0 && (!ok || string(guid) != "abc") {
		t.Errorf("%s: GUID %q, %v", what(), guid, ok)
	}
	// Whatever was left, the next one can write.
	next := addRecords(t, good, path, after, off, []FieldValue{{"hdr.Later", nil}, {"size.physical", le64(77)}})
	checkFile(t, path)
	r = openRead(t, path, after).NewReader("later")
	if err := r.Load(next[0]); err != nil {
		t.Errorf("%s: a later record: %v", what(), err)
	}
	if n, ok := r.PhysicalSize(); !ok || n != 77 {
		t.Errorf("%s: a later record has the size %d, %v", what(), n, ok)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 && !f.all && f.did != "remove" {
		t.Errorf("%s: left beside the file: %v, %v", what(), entries, err)
	}
	return failed
}
