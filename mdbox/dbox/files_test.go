package dbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func TestPrimaryStorageBeforeAlt(t *testing.T) {
	s := newFiles(t, nil)
	primary := writeMails(t, s.Path(1), 1, stored{body: "primary\n"})
	writeMails(t, s.altPath(1), 1, stored{body: "alt copy\n"})
	alt := writeMails(t, s.altPath(2), 2, stored{body: "alt\n"})
	for want, ref := range map[string]Ref{"primary\r\n": primary[0], "alt\r\n": alt[0]} {
		if got, err := read(s, ref, 0, 0); err != nil || got != want {
			t.Errorf("m.%d: %q, %v; want %q", ref.File, got, err, want)
		}
	}
	if _, err := read(s, Ref{File: 3, Offset: 16}, 0, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("file in neither: err = %v, want fs.ErrNotExist", err)
	}
}

func TestPurgedFileIsNotServedFromTheOpenOnes(t *testing.T) {
	s := newFiles(t, nil)
	refs := writeMails(t, s.Path(1), 1, stored{body: "old\n"})
	m, err := s.Open(refs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.Path(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(refs[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unlinked file: err = %v, want fs.ErrNotExist", err)
	}
	r, err := m.NewReader(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "old\r\n" {
		t.Errorf("message that was open: %q, %v", b, err)
	}
	r.Close()
	m.Close()
	refs = writeMails(t, s.Path(1), 1, stored{body: "repaired\n"})
	if got, err := read(s, refs[0], 0, 0); err != nil || got != "repaired\r\n" {
		t.Errorf("file that was replaced: %q, %v", got, err)
	}
}

// countingFS counts open files.
type countingFS struct {
	vfs.FS
	mu   sync.Mutex
	open map[string]int
}

type countingFile struct {
	vfs.File
	fs *countingFS
}

func (c *countingFS) Open(name string) (vfs.File, error) {
	f, err := c.FS.Open(name)
	if err != nil {
		return nil, err
	}
	c.add(name, 1)
	return countingFile{f, c}, nil
}

func (c *countingFS) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[name] += n; c.open[name] == 0 {
		delete(c.open, name)
	}
}

func (f countingFile) Close() error {
	f.fs.add(f.Name(), -1)
	return f.File.Close()
}

func TestOpenFilesAreBoundedAndClosed(t *testing.T) {
	counting := &countingFS{FS: vfs.OS, open: map[string]int{}}
	s := newFiles(t, func(c *Config) { c.FS = counting; c.MaxOpenFiles = 3 })
	var refs []Ref
	for id := FileID(1); id <= 10; id++ {
		refs = append(refs, writeMails(t, s.Path(id), id, stored{body: fmt.Sprintf("mail %d\n", id)})...)
	}
	m, err := s.Open(refs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs[1:] {
		if _, err := read(s, ref, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(counting.open); n != 4 {
		t.Errorf("%d files are open, want 3 and the one in use: %v", n, counting.open)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(counting.open); n != 1 || counting.open[s.Path(1)] != 1 {
		t.Errorf("after Close: %v, want only the one in use", counting.open)
	}
	m.Close()
	if len(counting.open) != 0 {
		t.Errorf("after the last message: %v are open", counting.open)
	}
	if _, err := s.Open(refs[0]); !errors.Is(err, ErrClosed) {
		t.Errorf("Open after Close: err = %v, want ErrClosed", err)
	}
}

func TestConcurrentReaders(t *testing.T) {
	s := newFiles(t, func(c *Config) { c.MaxOpenFiles = 2 })
	var refs []Ref
	want := func(id FileID) string {
		return strings.Repeat(fmt.Sprintf("line of mail %d\n", id), 20_000)
	}
	for id := FileID(1); id <= 4; id++ {
		refs = append(refs, writeMails(t, s.Path(id), id, stored{body: want(id)})...)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				ref := refs[(g+i)%len(refs)]
				got, err := read(s, ref, uint64(i*1000), 0)
				if err != nil || got != toCRLF(want(ref.File))[i*1000:] {
					t.Errorf("m.%d: %d bytes, %v", ref.File, len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

// failingFS fails the n-th operation, counted from 0.
type failingFS struct {
	vfs.FS
	left int
}

type failingFile struct {
	vfs.File
	fs *failingFS
}

var errDisk = &fs.PathError{Op: "read", Path: "m.1", Err: errors.New("input/output error")}

func (f *failingFS) step() error {
	f.left--
	if f.left == -1 {
		return errDisk
	}
	return nil
}

func (f *failingFS) Open(name string) (vfs.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name)
	return failingFile{file, f}, err
}

func (f *failingFS) Stat(name string) (vfs.Info, error) {
	if err := f.step(); err != nil {
		return vfs.Info{}, err
	}
	return f.FS.Stat(name)
}

func (f failingFile) Stat() (vfs.Info, error) {
	if err := f.fs.step(); err != nil {
		return vfs.Info{}, err
	}
	return f.File.Stat()
}

func (f failingFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.step(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Whichever operation fails, the read fails with that error or does without it,
// and the next one succeeds.
func TestFailedOperations(t *testing.T) {
	text := "Subject: x\n\n" + strings.Repeat("some text\n", 30_000)
	attached := "from a file\n"
	whole := text + attached
	failing := &failingFS{FS: vfs.OS, left: 1 << 30}
	s := newFiles(t, func(c *Config) { c.FS = failing })
	if err := os.WriteFile(filepath.Join(s.cfg.AttachmentDir, "a"), []byte(attached), 0o600); err != nil {
		t.Fatal(err)
	}
	split := packed(whole, gzipped(t, text))
	split.meta['X'] = fmt.Sprintf("%d %d - a", len(text), len(attached))
	refs := writeMails(t, s.Path(1), 1, stored{body: text}, split)
	for i, want := range []string{text, whole} {
		n := 0
		for failed := true; failed; n++ {
			failing.left = n
			got, err := read(s, refs[i], 0, 0)
			failed = failing.left < 0
			if err == nil && got != toCRLF(want) || err != nil && (!failed || !errors.Is(err, errDisk)) {
				t.Fatalf("message %d, operation %d fails: %d bytes, %v", i, n, len(got), err)
			}
			failing.left = 1 << 30
			if got, err := read(s, refs[i], 0, 0); err != nil || got != toCRLF(want) {
				t.Fatalf("message %d, after operation %d has failed: %d bytes, %v", i, n, len(got), err)
			}
		}
		if n < 5 {
			t.Errorf("message %d was read in %d operations", i, n)
		}
	}
}
