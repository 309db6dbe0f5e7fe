package filelock

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

// closing looks at files when they are closed.
type closing struct {
	vfs.FS
	look func(vfs.Info)
}

type closingFile struct {
	vfs.WritableFile
	look func(vfs.Info)
}

func (c closing) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	f, err := c.FS.OpenWrite(name, how, perm)
	return closingFile{f, c.look}, err
}

func (f closingFile) Close() error {
	if st, err := f.Stat(); err == nil {
		f.look(st)
	}
	return f.WritableFile.Close()
}

// A lock that is made when another one was released may get its inode number as soon as its file is closed. If the old one was
// forgotten only then, so was the new one, and somebody else in this process took it for that of a dead process.
func TestReleasedLockIsForgottenBeforeItsInodeIsFree(t *testing.T) {
	closed := 0
	c := &Config{DotlockExcl: true, FS: closing{vfs.OS, func(st vfs.Info) {
		if closed++; ours.has(st) {
			t.Error("the lock is still known when its file is closed")
		}
	}}}
	path := filepath.Join(t.TempDir(), "f")
	for _, end := range []func(*Dotlock) error{(*Dotlock).Release, (*Dotlock).Replace} {
		d, err := c.Dotlock(t.Context(), path, DotlockOptions{Suffix: ".lock", PID: true})
		if err != nil {
			t.Fatal(err)
		}
		if !ours.has(d.info) {
			t.Error("a lock that is held is not known")
		}
		if err := end(d); err != nil {
			t.Fatal(err)
		}
	}
	if closed != 2 {
		t.Errorf("%d files closed", closed)
	}
}
