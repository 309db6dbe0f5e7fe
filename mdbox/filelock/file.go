package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// File is a lock file: it exists to be locked, and has no content. Its methods are for one goroutine at a time.
type File struct {
	c    *Config
	path string
	f    vfs.WritableFile
	hold hold
	dot  *Dotlock // with MethodDotlock: the lock itself
	done bool
}

// File makes and locks the lock file path, in a directory that exists; timeout 0 tries once. The error is ErrTimeout if
// somebody else has it all the time, or that of ctx.
//
// Source: Dovecot src/lib/file-create-locked.c, src/lib-storage/mail-storage.c, mail_storage_lock_create.
func (c *Config) File(ctx context.Context, path string, timeout time.Duration, perm vfs.Perm) (*File, error) {
	if c.Method == MethodDotlock {
		d, err := c.Dotlock(ctx, path, DotlockOptions{Timeout: timeout, Stale: max(FileStale, timeout), PID: true, Perm: perm})
		if err != nil {
			return nil, err
		}
		return &File{c: c, path: path, dot: d}, nil
	}
	a, err := c.begin(ctx, path, timeout)
	if err != nil {
		return nil, err
	}
	for range maxReplaced {
		f, err := c.existing(a)
		if errors.Is(err, fs.ErrNotExist) {
			f, err = c.makeLocked(path, perm)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, a.fail(err)
		}
		if f != nil {
			return &File{c: c, path: path, f: f, hold: a.had()}, nil
		}
	}
	return nil, a.fail(errReplaced)
}

// existing locks the lock file that is there. It returns nil if that was removed while it was waited for.
func (c *Config) existing(a *attempt) (vfs.WritableFile, error) {
	f, err := c.fs().OpenWrite(a.path, 0, 0)
	if err != nil {
		return nil, err
	}
	same := false
	if err = a.lock(f); err == nil {
		same, err = c.leadsTo(a.path, f)
	}
	if same {
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// makeLocked makes the lock file under a name of its own, and links it to path when it is locked: nobody sees it
// unlocked. The error is fs.ErrExist if somebody else was faster.
func (c *Config) makeLocked(path string, perm vfs.Perm) (vfs.WritableFile, error) {
	temp := fmt.Sprintf("%s%016x", path, rand.Uint64())
	f, err := perm.Create(c.fs(), temp, 0)
	if err != nil {
		return nil, err
	}
	if err = c.lockUnseen(f); err == nil {
		err = c.fs().Link(temp, path)
	}
	// A leftover second name harms nobody.
	removed := c.fs().Remove(temp)
	if err != nil {
		return nil, errors.Join(err, removed, f.Close())
	}
	return f, nil
}

// Release unlocks the file, and removes it if nobody else has locked it by then. Only the first call does something.
func (l *File) Release() error {
	if l.done {
		return nil
	}
	l.done = true
	if l.dot != nil {
		return l.dot.Release()
	}
	defer l.hold.end()
	kind := l.c.Method.kind()
	err := l.f.Unlock(kind)
	if err == nil {
		var free, same bool
		// If nobody waits, the file is locked again, so that nobody but its owner removes it. It may have had another
		// owner in between who did.
		if free, err = l.f.TryLock(kind); free && err == nil {
			if same, err = l.c.leadsTo(l.path, l.f); same {
				err = l.c.fs().Remove(l.path)
			}
		}
	}
	return errors.Join(err, l.f.Close())
}
