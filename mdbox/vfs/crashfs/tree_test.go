package crashfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// A store of Dovecot, loaded and written again, is the same.
func TestLoadAndWrite(t *testing.T) {
	store := mdboxtest.Golden(t, mdboxtest.GoldenNames(t)[0])
	must(t, os.Link(filepath.Join(store.Root, "subscriptions"), filepath.Join(store.Root, "linked")))
	must(t, os.Symlink("mailboxes", filepath.Join(store.Root, "relative")))
	f := crashfs.New()
	must(t, f.Load(store.Root, store.Root))
	must(t, f.After(crashfs.LoseUnsynced, 0).Check())
	want := tree(t, vfs.OS, store.Root)
	if got := tree(t, f.After(crashfs.LoseUnsynced, 0), store.Root); got != want {
		t.Error(cmp.Diff(want, got))
	}
	a, err := f.Stat(filepath.Join(store.Root, "subscriptions"))
	must(t, err)
	b, err := f.Stat(filepath.Join(store.Root, "linked"))
	must(t, err)
	if !a.SameFile(b) {
		t.Error("two names of a file became two files")
	}
	old := store.Root + ".old"
	must(t, os.Rename(store.Root, old))
	must(t, f.WriteTo(store.Root, store.Root))
	if got := tree(t, vfs.OS, store.Root); got != want {
		t.Error(cmp.Diff(want, got))
	}
	for _, name := range []string{"", "subscriptions", "storage/dovecot.map.index.log"} {
		was, err := vfs.OS.Stat(filepath.Join(old, name))
		must(t, err)
		is, err := vfs.OS.Stat(filepath.Join(store.Root, name))
		must(t, err)
		if is.Mtime != was.Mtime && name != "" {
			t.Errorf("%s: time %d, want %d", name, is.Mtime, was.Mtime)
		}
	}
	a, err = vfs.OS.Stat(filepath.Join(store.Root, "subscriptions"))
	must(t, err)
	b, err = vfs.OS.Stat(filepath.Join(store.Root, "linked"))
	must(t, err)
	if !a.SameFile(b) {
		t.Error("written, two names of a file became two files")
	}
	if to, err := os.Readlink(filepath.Join(store.Root, "relative")); err != nil || to != "mailboxes" {
		t.Errorf("symbolic link to %q, %v", to, err)
	}
}

func TestLoadRefusesOthers(t *testing.T) {
	dir := t.TempDir()
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	if err := crashfs.New().Load(dir, "/"); err == nil {
		t.Error("a fifo was loaded")
	}
}

func TestSymbolicLinks(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "a/b/f"), []byte("here"), 0o600))
	must(t, os.Symlink("/m/a/b", filepath.Join(dir, "absolute")))
	must(t, os.Symlink("../a/b/f", filepath.Join(dir, "a/file")))
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	f := crashfs.New()
	must(t, f.Load(dir, "/m"))
	for _, name := range []string{"/m/absolute/f", "/m/a/file", "m/a/./b/../file"} {
		if b, err := f.ReadFile(name); err != nil || string(b) != "here" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := f.Open("/m/loop"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link to itself: %v, want ELOOP", err)
	}
	if _, err := f.OpenWrite("/m/a/file", 0, 0); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link, to write: %v, want ELOOP", err)
	}
	if _, err := f.Open("/m/a/b/f/g"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v, want ENOTDIR", err)
	}
	must(t, f.Remove("/m/absolute"))
	if _, err := f.Stat("/m/absolute"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link that was removed: %v", err)
	}
}
