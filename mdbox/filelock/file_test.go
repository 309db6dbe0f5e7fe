package filelock_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

func lockFile(t *testing.T, c *filelock.Config, path string) *filelock.File {
	t.Helper()
	l, err := c.File(t.Context(), path, 0, vfs.Perm{Mode: 0o640, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Release() })
	return l
}

func release(t *testing.T, l interface{ Release() error }) {
	t.Helper()
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}

func fileIsLocked(t *testing.T, c *filelock.Config, path string) bool {
	t.Helper()
	l, err := c.File(t.Context(), path, 0, vfs.Private)
	if errors.Is(err, filelock.ErrTimeout) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	release(t, l)
	return false
}

func TestFileExcludes(t *testing.T) {
	for _, m := range methods {
		for _, excl := range []bool{true, false} {
			path := filepath.Join(t.TempDir(), "mailboxes.lock")
			c, d := &filelock.Config{Method: m, DotlockExcl: excl}, &filelock.Config{Method: m, DotlockExcl: excl}
			l := lockFile(t, c, path)
			if st, err := os.Stat(path); err != nil || st.Mode() != 0o640 {
				t.Errorf("%s: %v, %v", m, st.Mode(), err)
			}
			if n := names(t, path); len(n) != 1 {
				t.Errorf("%s: beside the lock file: %q", m, n)
			}
			if !fileIsLocked(t, c, path) || !fileIsLocked(t, d, path) {
				t.Errorf("%s: locked twice", m)
			}
			release(t, l)
			release(t, l) // once more does nothing
			if fileIsLocked(t, d, path) {
				t.Errorf("%s: released, and still locked", m)
			}
			if n := names(t, path); len(n) != 0 {
				t.Errorf("%s: left behind: %q", m, n)
			}
		}
	}
}

func TestFileInMissingDirectory(t *testing.T) {
	for _, m := range methods {
		_, err := (&filelock.Config{Method: m}).File(t.Context(), filepath.Join(t.TempDir(), "no", "lock"), 0, vfs.Private)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: err = %v, want fs.ErrNotExist", m, err)
		}
	}
}

func TestFileExcludesOtherProcesses(t *testing.T) {
	for _, m := range methods[:2] {
		path, o, c := filepath.Join(t.TempDir(), "dovecot-vsize.lock"), startOther(t), &filelock.Config{Method: m}
		l := lockFile(t, c, path)
		o.want(t, string(m), path, "busy")
		release(t, l)
		// A leftover, with somebody who locks it.
		writeFile(t, path, "")
		o.want(t, "close", path, "ok")
		o.want(t, string(m), path, "ok")
		if !fileIsLocked(t, c, path) {
			t.Errorf("%s: locked twice", m)
		}
		o.end()
		if fileIsLocked(t, c, path) {
			t.Errorf("%s: a lock file that nobody locks is in the way", m)
		}
	}
}

// Who waits in the kernel gets the lock, perhaps on the file that is there: that one stays then.
func TestFileStaysForTheNext(t *testing.T) {
	path, o := filepath.Join(t.TempDir(), "mailboxes.lock"), startOther(t)
	h := &hooks{FS: vfs.OS, unlocked: func() {
		if got := o.answer(t); got != "ok" {
			t.Error(got)
		}
	}}
	c := &filelock.Config{FS: h}
	l := lockFile(t, c, path)
	o.start(t, "wait fcntl", path)
	blocked(t, path)
	release(t, l)
	if n := names(t, path); len(n) != 1 {
		t.Errorf("the file of the next one is gone: %q", n)
	}
	if !fileIsLocked(t, c, path) {
		t.Error("locked twice")
	}
}

// One that waits for a file that is removed makes a new one.
func TestFileIsRemovedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "mailboxes.lock")
		l := lockFile(t, &filelock.Config{FS: slow}, path)
		had := make(chan *filelock.File, 1)
		go func() {
			l, err := (&filelock.Config{FS: slow}).File(t.Context(), path, time.Minute, vfs.Private)
			if err != nil {
				t.Error(err)
			}
			had <- l
		}()
		synctest.Wait()
		release(t, l)
		next := <-had
		if !fileIsLocked(t, &filelock.Config{FS: slow}, path) {
			t.Error("locked twice")
		}
		release(t, next)
	})
}

// Between the two steps of a release others may have held and removed the file, and made a new one. That is not ours.
func TestFileOfOthersStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mailboxes.lock")
	var third *filelock.File
	h := &hooks{FS: vfs.OS, unlocked: func() {
		second := lockFile(t, &filelock.Config{}, path)
		release(t, second)
		third = lockFile(t, &filelock.Config{}, path)
	}}
	release(t, lockFile(t, &filelock.Config{FS: h}, path))
	if !fileIsLocked(t, &filelock.Config{}, path) {
		t.Error("the lock of another one was removed")
	}
	release(t, third)
}
