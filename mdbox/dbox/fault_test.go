package dbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
)

// faultFS fails the operation with number fail, and all after it if the disk is full for good. The first half of
// what a failing write should write is written if short is set.
type faultFS struct {
	vfs.FS
	fail, ops   int
	short, full bool
}

// fault is the error of the next operation.
func (f *faultFS) fault(op, name string) error {
	f.ops++
	if f.ops == f.fail || f.full && f.ops > f.fail {
		return &fs.PathError{Op: op, Path: name, Err: unix.ENOSPC}
	}
	return nil
}

func (f *faultFS) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	if err := f.fault("open", name); err != nil {
		return nil, err
	}
	w, err := f.FS.OpenWrite(name, how, perm)
	if err != nil {
		return nil, err
	}
	return &faultFile{w, f}, nil
}

func (f *faultFS) Stat(name string) (vfs.Info, error) {
	if err := f.fault("stat", name); err != nil {
		return vfs.Info{}, err
	}
	return f.FS.Stat(name)
}

func (f *faultFS) Rename(from, to string) error {
	if err := f.fault("rename", to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *faultFS) Remove(name string) error {
	if err := f.fault("remove", name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *faultFS) SyncDir(name string) error {
	if err := f.fault("sync", name); err != nil {
		return err
	}
	return f.FS.SyncDir(name)
}

type faultFile struct {
	vfs.WritableFile
	fs *faultFS
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.fault("read", f.Name()); err != nil {
		return 0, err
	}
	return f.WritableFile.ReadAt(p, off)
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.fault("write", f.Name()); err != nil {
		n := 0
		if f.fs.short {
			n, _ = f.WritableFile.WriteAt(p[:len(p)/2], off)
		}
		return n, err
	}
	return f.WritableFile.WriteAt(p, off)
}

func (f *faultFile) Truncate(size int64) error {
	if err := f.fs.fault("truncate", f.Name()); err != nil {
		return err
	}
	return f.WritableFile.Truncate(size)
}

func (f *faultFile) Sync() error {
	if err := f.fs.fault("sync", f.Name()); err != nil {
		return err
	}
	return f.WritableFile.Sync()
}

func (f *faultFile) TryLock(kind vfs.LockKind) (bool, error) {
	if err := f.fs.fault("lock", f.Name()); err != nil {
		return false, err
	}
	return f.WritableFile.TryLock(kind)
}

func (f *faultFile) Unlock(kind vfs.LockKind) error {
	if err := f.fs.fault("unlock", f.Name()); err != nil {
		return err
	}
	return f.WritableFile.Unlock(kind)
}

func (f *faultFile) Stat() (vfs.Info, error) {
	if err := f.fs.fault("fstat", f.Name()); err != nil {
		return vfs.Info{}, err
	}
	return f.WritableFile.Stat()
}

// faultTexts go, in a store with a rotate size of 400 KiB: to the old file, to it by way of a temporary file, to a new
// file, and to it.
func faultTexts() []string {
	return []string{"small\r\n", strings.Repeat("middle\n", 30_000), strings.Repeat("large\n", 50_000), "small too\r\n"}
}

// saveFaulty saves faultTexts behind old, and says where they are.
func saveFaulty(s *Files, old Ref) (refs []Ref, aborted, err error) {
	a := s.NewAppender(candidatesOf(end(old)))
	err = func() error {
		var all []Stored
		for _, text := range faultTexts() {
			st, err := a.Save(NewMessage{Mailbox: "INBOX"}, strings.NewReader(text))
			if err != nil {
				return err
			}
			all = append(all, st)
		}
		if err := a.Sync(); err != nil {
			return err
		}
		if err := a.Name(2); err != nil {
			return err
		}
		for _, st := range all {
			refs = append(refs, Ref{a.FileID(st), st.Offset, st.Size})
		}
		return nil
	}()
	if err != nil {
		return nil, a.Abort(), err
	}
	return refs, nil, a.Release()
}

func TestSaveWithEveryOperationFailing(t *testing.T) {
	for _, mode := range []faultFS{{}, {short: true}, {full: true}, {short: true, full: true}} {
		for n := 1; ; n++ {
			fault := faultFS{FS: vfs.OS, fail: n, short: mode.short, full: mode.full}
			name := fmt.Sprintf("short=%v full=%v n=%d", mode.short, mode.full, n)
			s := newFiles(t, func(c *Config) { c.FS, c.RotateSize = &fault, 400<<10 })
			old := writeMails(t, s.Path(1), 1, stored{body: "one\n"}, stored{body: "two\n"})
			before, err := os.ReadFile(s.Path(1))
			if err != nil {
				t.Fatal(err)
			}
			refs, aborted, err := saveFaulty(s, old[1])
			if err != nil && !errors.Is(err, unix.ENOSPC) {
				t.Errorf("%s: %v", name, err)
			}
			checkFaulty(t, name, s, before, refs, aborted)
			if fault.ops < n {
				break
			}
		}
	}
}

// checkFaulty checks a store after saveFaulty; refs is nil if that had to be aborted.
func checkFaulty(t *testing.T, name string, faulty *Files, before []byte, refs []Ref, aborted error) {
	t.Helper()
	s := newFiles(t, func(c *Config) { c.StorageDir = faulty.cfg.StorageDir })
	after, err := os.ReadFile(s.Path(1))
	if err != nil || !bytes.HasPrefix(after, before) {
		t.Fatalf("%s: the old messages are not there any more: %v", name, err)
	}
	for i, ref := range refs {
		want := toCRLF(toLF(faultTexts()[i]))
		if got, err := read(s, ref, 0, 0); err != nil || got != want {
			t.Errorf("%s: message %d at %v: %d bytes of %d, %v", name, i, ref, len(got), len(want), err)
		}
	}
	l, err := s.Lock(1)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer l.Unlock()
	if refs != nil || aborted == nil {
		if err := l.Scan(func(FileHeader, *Scanned) error { return nil }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if refs == nil && aborted == nil {
		names, err := os.ReadDir(filepath.Dir(s.Path(1)))
		if err != nil || len(names) != 1 || len(after) != len(before) {
			t.Errorf("%s: after the abort there are %v, m.1 has %d bytes, before %d; %v", name, names, len(after), len(before), err)
		}
	}
}
