package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// How long Dovecot waits for its locks, and after how long it takes one without a change for abandoned.
const (
	// LogTimeout is that of index logs (MAIL_TRANSACTION_LOG_LOCK_TIMEOUT), and of the lock to make or rotate one.
	LogTimeout = 180 * time.Second
	// LogStale is that of a dotlock beside a log (MAIL_TRANSACTION_LOG_DOTLOCK_CHANGE_TIMEOUT).
	LogStale = 180 * time.Second
	// CacheTimeout is that of a cache (MAIL_CACHE_LOCK_TIMEOUT).
	CacheTimeout = 10 * time.Second
	// CacheStale is that of a dotlock beside a cache (MAIL_CACHE_LOCK_CHANGE_TIMEOUT).
	CacheStale = 300 * time.Second
	// FileStale is the least age of an abandoned lock file, if lock files are dotlocks; the time to wait if that is longer.
	FileStale = 300 * time.Second

	// WarnAfter is how long a lock may be waited for, or held, before Config.Warn is told.
	WarnAfter = 30 * time.Second
)

var (
	// ErrTimeout says that somebody else held the lock all the time. Nothing was changed; the operation may be tried again.
	ErrTimeout = errors.New("lock is held by somebody else")
	// ErrLost says that somebody has removed or overridden a dotlock while it was held: what it protected may have been
	// changed by others meanwhile.
	ErrLost = errors.New("dotlock was removed or overridden by somebody else")
)

// Method is a way to lock: lock_method of Dovecot's configuration.
type Method string

// Methods.
const (
	MethodFcntl   Method = "fcntl"
	MethodFlock   Method = "flock"
	MethodDotlock Method = "dotlock"
)

// ParseMethod reads the value of lock_method. The empty string is Dovecot's default, MethodFcntl.
func ParseMethod(s string) (Method, error) {
	switch m := Method(s); m {
	case "":
		return MethodFcntl, nil
	case MethodFcntl, MethodFlock, MethodDotlock:
		return m, nil
	}
	return "", fmt.Errorf("lock_method %q: must be fcntl, flock or dotlock", s)
}

// kind is the lock on an open file that stands for m.
func (m Method) kind() vfs.LockKind {
	if m == MethodFlock {
		return vfs.LockFlock
	}
	return vfs.LockFcntl
}

// Config says how to lock. All that locks files of one store in this process should share one Config, since that is
// where its goroutines queue; it must not be copied. It is safe for concurrent use once its fields are set.
type Config struct {
	FS     vfs.FS // nil is vfs.OS
	Method Method // "" is MethodFcntl

	// MaxTimeout cuts all times to wait: mail_max_lock_timeout. 0 does not.
	MaxTimeout time.Duration

	// DotlockExcl makes dotlocks with O_EXCL: dotlock_use_excl. Otherwise, and those with a content, they are linked, as old NFS needs it.
	DotlockExcl bool

	// Warn, if set, is told when a lock was waited for ("waited for the lock") or held ("held the lock") for WarnAfter or
	// longer. It must not block.
	Warn func(path, what string, took time.Duration)

	queues queues
}

func (c *Config) fs() vfs.FS {
	if c.FS == nil {
		return vfs.OS
	}
	return c.FS
}

// leadsTo reports whether path leads to the open file f. No file at path is not an error.
func (c *Config) leadsTo(path string, f vfs.File) (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := c.fs().Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && there.SameFile(mine), err
}
