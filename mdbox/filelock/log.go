package filelock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Log is a lock on an index log or on a cache. Its methods are for one goroutine at a time.
type Log struct {
	// File is the locked file, to read and write. Unlock closes it.
	File vfs.WritableFile

	c    *Config
	hold hold
	more []vfs.WritableFile
	dot  *Dotlock // with MethodDotlock: the lock itself
	done bool
}

// maxReplaced bounds how often a file may be replaced while it is being locked.
const maxReplaced = 1000

// Log locks the index log at path, and opens it with vfs.Append. It waits up to LogTimeout.
//
// The error is fs.ErrNotExist if there is no such file (any more), ErrTimeout, or that of ctx.
//
// Source: Dovecot src/lib-index/mail-transaction-log.c, mail_transaction_log_lock_head.
func (c *Config) Log(ctx context.Context, path string) (*Log, error) {
	return c.LogWithin(ctx, path, LogTimeout)
}

// LogWithin is Log with a time to wait of one's own. 0 tries once.
func (c *Config) LogWithin(ctx context.Context, path string, timeout time.Duration) (*Log, error) {
	return c.lockContent(ctx, path, vfs.Append, timeout, LogStale)
}

// Cache locks the cache at path, as Log does a log, but does not open it with vfs.Append. 0 tries once.
//
// Source: Dovecot src/lib-index/mail-cache.c, mail_cache_lock_file.
func (c *Config) Cache(ctx context.Context, path string, timeout time.Duration) (*Log, error) {
	return c.lockContent(ctx, path, 0, timeout, CacheStale)
}

func (c *Config) lockContent(ctx context.Context, path string, how vfs.How, timeout, stale time.Duration) (*Log, error) {
	if c.Method == MethodDotlock {
		return c.dotlockContent(ctx, path, how, timeout, stale)
	}
	a, err := c.begin(ctx, path, timeout)
	if err != nil {
		return nil, err
	}
	for range maxReplaced {
		f, err := c.fs().OpenWrite(path, how, 0)
		if err != nil {
			return nil, a.fail(err)
		}
		same := false
		if err = a.lock(f); err == nil {
			same, err = c.leadsTo(path, f)
		}
		if same {
			return &Log{File: f, c: c, hold: a.had()}, nil
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, a.fail(err)
		}
	}
	return nil, a.fail(errReplaced)
}

var errReplaced = fmt.Errorf("file was replaced %d times meanwhile", maxReplaced)

// dotlockContent is lockContent by a dotlock beside the file.
func (c *Config) dotlockContent(ctx context.Context, path string, how vfs.How, timeout, stale time.Duration) (*Log, error) {
	st, err := c.fs().Stat(path)
	if err != nil {
		return nil, err
	}
	d, err := c.beside(ctx, path, st, timeout, stale)
	if err != nil {
		return nil, err
	}
	f, err := c.fs().OpenWrite(path, how, 0)
	if err != nil {
		return nil, errors.Join(err, d.Release())
	}
	return &Log{File: f, c: c, dot: d}, nil
}

// beside makes the dotlock of the file at path, which st describes: who may use the file may see who has it locked.
func (c *Config) beside(ctx context.Context, path string, st vfs.Info, timeout, stale time.Duration) (*Dotlock, error) {
	return c.Dotlock(ctx, path, DotlockOptions{
		Suffix: lockSuffix, Timeout: timeout, Stale: stale, PID: true, Perm: vfs.Perm{Mode: st.Perm & 0o666, GID: int(st.GID)},
	})
}

// Adopt locks f, a log that the caller has just made and that is still under a name that nobody else opens, and makes
// it the lock of path, where it is about to appear. On success f is closed by Unlock; else it remains the caller's.
func (c *Config) Adopt(ctx context.Context, path string, f vfs.WritableFile) (*Log, error) {
	if c.Method == MethodDotlock {
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		d, err := c.beside(ctx, path, st, LogTimeout, LogStale)
		if err != nil {
			return nil, err
		}
		return &Log{File: f, c: c, dot: d}, nil
	}
	// Whoever has the turn for path waits for another file, or finds none.
	a := &attempt{c: c, path: path, since: time.Now(), cancel: func() {}, leave: func() {}}
	if err := c.lockUnseen(f); err != nil {
		return nil, a.fail(err)
	}
	return &Log{File: f, c: c, hold: a.had()}, nil
}

// LockMore locks another file together with l: the log that is about to replace l.File, while nobody else can open it.
// On success f is closed by Unlock; else it remains the caller's.
func (l *Log) LockMore(f vfs.WritableFile) error {
	if l.dot == nil { // a dotlock covers whatever is at its path
		if err := l.c.lockUnseen(f); err != nil {
			return err
		}
	}
	l.more = append(l.more, f)
	return nil
}

func (c *Config) lockUnseen(f vfs.WritableFile) error {
	ok, err := f.TryLock(c.Method.kind())
	if err == nil && !ok {
		err = fmt.Errorf("%s: a new file is locked already: %w", f.Name(), ErrTimeout)
	}
	return err
}

// Unlock releases the lock and closes the file. Only the first call does something.
func (l *Log) Unlock() error {
	if l.done {
		return nil
	}
	l.done = true
	var errs []error
	for _, f := range append([]vfs.WritableFile{l.File}, l.more...) {
		if l.dot == nil {
			errs = append(errs, f.Unlock(l.c.Method.kind()))
		}
		errs = append(errs, f.Close())
	}
	if l.dot != nil {
		errs = append(errs, l.dot.Release())
	} else {
		l.hold.end()
	}
	return errors.Join(errs...)
}
