package vfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
)

// TestReadDirIsThatOfOS: names, types and order of what can be in a directory, also of one that needs more than one system call.
func TestReadDirIsThatOfOS(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "d"), 0o700))
	must(os.Symlink("d", filepath.Join(dir, "link")))
	must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	for i := range 500 {
		must(os.WriteFile(filepath.Join(dir, "a file with a long name "+strconv.Itoa(i)), nil, 0o600))
	}
	for _, d := range []string{dir, filepath.Join(dir, "d")} {
		want, err := os.ReadDir(d)
		must(err)
		got, err := vfs.OS.ReadDir(d)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d entries, %v; want %d", len(got), err, len(want))
		}
		for i := range want {
			if got[i].Name() != want[i].Name() || got[i].Type() != want[i].Type() || got[i].IsDir() != want[i].IsDir() {
				t.Errorf("%v, want %v", got[i], want[i])
			}
			a, err := got[i].Info()
			must(err)
			b, err := want[i].Info()
			must(err)
			if !os.SameFile(a, b) {
				t.Errorf("%v is another file", got[i])
			}
		}
	}
	if _, err := vfs.OS.ReadDir(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := vfs.OS.ReadDir(filepath.Join(dir, "fifo")); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("of a pipe: %v", err)
	}
}
