package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReadFile(t *testing.T) {
	p := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(p, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := ReadFile(OS, p, 5)
	if err != nil || string(b) != "hello" {
		t.Fatalf("ReadFile = %q, %v", b, err)
	}
	if _, err := ReadFile(OS, p, 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: err = %v, want ErrTooLarge", err)
	}
	if _, err := ReadFile(OS, p+"x", 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: err = %v, want fs.ErrNotExist", err)
	}
	if _, err := OS.Stat(p + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of a missing file: err = %v, want fs.ErrNotExist", err)
	}
}

func TestStatSeesReplacedFile(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "f")
	for _, name := range []string{p, p + ".new"} {
		if err := os.WriteFile(name, []byte("abc"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := OS.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	byName, err := OS.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if before != byName || before.Size != 3 || before.Dir {
		t.Errorf("Stat by name %+v, of the open file %+v", byName, before)
	}
	if err := os.Rename(p+".new", p); err != nil {
		t.Fatal(err)
	}
	after, err := OS.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if after.SameFile(before) {
		t.Error("a replaced file counts as the same")
	}
	if d, err := OS.Stat(dir); err != nil || !d.Dir {
		t.Errorf("Stat of a directory = %+v, %v", d, err)
	}
}

func TestAtCompletesOnce(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", Corrupt(3, "size is %d", 4))
	err = At(At(err, "m.1", 100), "other", 1000)
	var c *CorruptError
	if !errors.As(err, &c) || c.File != "m.1" || c.Offset != 103 || c.Rule != "size is 4" {
		t.Errorf("got %+v", c)
	}
	if want := "m.1: offset 103: corrupted: size is 4"; c.Error() != want {
		t.Errorf("Error() = %q, want %q", c.Error(), want)
	}
}

func TestMkdirHandsOnTheGroup(t *testing.T) {
	top := t.TempDir()
	perm := func(name string, st fs.FileMode, gid uint32) {
		t.Helper()
		got, err := OS.Stat(name)
		if err != nil || !got.Dir || got.Perm != st || got.GID != gid {
			t.Errorf("%s: %v, group %d, %v; want %v, group %d", name, got.Perm, got.GID, err, st, gid)
		}
	}
	here, err := OS.Stat(top)
	if err != nil {
		t.Fatal(err)
	}
	p := Perm{Mode: 0o660, GID: os.Getegid()}
	if err := p.Mkdir(OS, filepath.Join(top, "a"), 0o770); err != nil {
		t.Fatal(err)
	}
	perm(filepath.Join(top, "a"), 0o770, uint32(os.Getegid()))
	if err := OS.SetOwner(top, -1, 0o777|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if err := (Perm{Mode: 0o600, GID: -1}).Mkdir(OS, filepath.Join(top, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	perm(filepath.Join(top, "b"), 0o755|fs.ModeSetgid, here.GID)
	if err := p.Mkdir(OS, filepath.Join(top, "b"), 0o755); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Mkdir of what is there: %v, want fs.ErrExist", err)
	}
	if err := p.Mkdir(OS, filepath.Join(top, "x", "y"), 0o755); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Mkdir without parent: %v, want fs.ErrNotExist", err)
	}
}

func TestSetMtime(t *testing.T) {
	f, err := OS.OpenWrite(filepath.Join(t.TempDir(), "f"), Create|Exclusive, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const when = 1577872800 * 1e9
	if err := f.SetMtime(when); err != nil {
		t.Fatal(err)
	}
	if st, err := f.Stat(); err != nil || st.Mtime != when {
		t.Errorf("time %d, %v, want %d", st.Mtime, err, int64(when))
	}
}
