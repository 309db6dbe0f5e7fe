package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// lockSuffix is that of dotlocks that protect a file without replacing it.
const lockSuffix = ".lock"

// DotlockOptions says what a dotlock is like.
type DotlockOptions struct {
	Suffix  string        // added to the path: ".lock", ".newlock"; with "" the path is that of the lock itself
	Timeout time.Duration // to wait; 0 tries once
	Stale   time.Duration // override it when neither the lock nor the protected file has changed for so long; 0: never
	PID     bool          // write who holds it; not for a lock that becomes the new file
	Perm    vfs.Perm      // of the lock file; the zero value is vfs.Private

	// Fill writes what is in a lock that becomes the new file, and makes that durable. The lock appears with it. nil: Dotlock.File is written by the caller.
	Fill func(f vfs.WritableFile) error
}

// Dotlock is a lock that consists of a file's existence. It ends with Replace, or Release. Its methods are for one
// goroutine at a time.
type Dotlock struct {
	// File is the lock file, to be written if it is to become the new file.
	File vfs.WritableFile

	c        *Config
	path     string
	lockPath string
	info     vfs.Info // what the lock file was when it was made
	hold     hold
	taken    bool // the caller closes File
	done     bool
}

// maxTaken bounds how often others may be faster to make a lock that is gone, before there is a pause.
const maxTaken = 10

// Dotlock makes the lock file of path. The error is ErrTimeout if somebody else has it all the time, or that of ctx.
//
// A lock is overridden if its content names a process of this host that is dead, or by DotlockOptions.Stale if it names
// none. The lock of a living process of this host is not, however old it is.
//
// Source: Dovecot src/lib/file-dotlock.c.
func (c *Config) Dotlock(ctx context.Context, path string, o DotlockOptions) (*Dotlock, error) {
	if o.Perm == (vfs.Perm{}) {
		o.Perm = vfs.Private
	}
	d := &Dotlock{c: c, path: path, lockPath: path + o.Suffix}
	a, err := c.begin(ctx, d.lockPath, o.Timeout)
	if err != nil {
		return nil, err
	}
	watch := watch{c: c, path: path, lockPath: d.lockPath, stale: o.Stale}
	for tries := 0; ; tries++ {
		err := d.make(o)
		if err == nil {
			d.hold = a.had()
			return d, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, a.fail(err)
		}
		gone, err := watch.look()
		if err != nil {
			return nil, a.fail(err)
		}
		if gone && tries < maxTaken {
			continue // even if the time is over
		}
		if err := a.wait(dotlockPause); err != nil {
			return nil, a.fail(err)
		}
	}
}

// make makes the lock file. The error is fs.ErrExist if it is there. What is known beforehand of its content is there as soon as it is: a lock that does not
// name its holder could only be overridden when it is old, and everybody would wait for somebody who was killed in between.
func (d *Dotlock) make(o DotlockOptions) error {
	name := d.lockPath
	if !d.c.DotlockExcl || o.PID || o.Fill != nil {
		if _, err := d.c.fs().Stat(d.lockPath); err == nil {
			return fs.ErrExist
		}
		name = tempName(d.lockPath)
	}
	f, err := o.Perm.Create(d.c.fs(), name, 0)
	if err != nil {
		return err
	}
	d.File = f
	if d.info, err = f.Stat(); err == nil {
		ours.add(d.info) // before others can read that it is of this process
		err = writeHolder(f, o.PID)
	}
	if err == nil && o.Fill != nil {
		err = o.Fill(f)
	}
	if name != d.lockPath {
		if err == nil {
			err = d.c.fs().Link(name, d.lockPath)
		}
		err = errors.Join(err, d.c.fs().Remove(name))
	} else if err != nil {
		err = errors.Join(err, d.c.fs().Remove(name))
	}
	if err != nil {
		ours.remove(d.info)
		return errors.Join(err, f.Close())
	}
	return nil
}

// tempName is a name for a file in the directory of path, like those that Dovecot uses.
func tempName(path string) string {
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".temp.%s.%d.%016x", hostname(), os.Getpid(), rand.Uint64()))
}

// Check returns ErrLost if the lock file is not the one that was made.
func (d *Dotlock) Check() error {
	st, err := d.c.fs().Stat(d.lockPath)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.SameFile(d.info) {
		return fmt.Errorf("%s: %w", d.lockPath, ErrLost)
	}
	return err
}

// Take hands File over to the caller, who closes it, for instance with the Log that adopts it.
func (d *Dotlock) Take() vfs.WritableFile {
	d.taken = true
	return d.File
}

// Replace makes the lock file the file that it protects, and releases the lock. What was written should have been synced
// before. If the lock was lost, or on another error, the protected file is not replaced, and the lock is released all
// the same. Release does nothing then.
func (d *Dotlock) Replace() error {
	return d.finish(func() error { return d.c.fs().Rename(d.lockPath, d.path) })
}

// Release removes the lock file. The error is ErrLost if somebody else has overridden it. Only the first call does
// something.
func (d *Dotlock) Release() error {
	return d.finish(nil)
}

// finish ends the lock with what last does, or else by removing it.
func (d *Dotlock) finish(last func() error) error {
	if d.done {
		return nil
	}
	d.done = true
	err := d.Check()
	if err == nil {
		if last != nil {
			err = last()
		}
		if last == nil || err != nil {
			err = errors.Join(err, d.c.fs().Remove(d.lockPath))
		}
	}
	ours.remove(d.info) // while the file is open: the next one could get its inode number
	if !d.taken {
		err = errors.Join(err, d.File.Close())
	}
	d.hold.end()
	return err
}
