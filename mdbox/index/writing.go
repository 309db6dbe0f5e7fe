package index

import (
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Fsync is Dovecot's setting mail_fsync, as far as an index is concerned.
type Fsync uint8

// Values of mail_fsync.
const (
	FsyncOptimized Fsync = iota // transactions that their writer calls durable, and snapshots
	FsyncAlways                 // every transaction, new logs, and snapshots
	FsyncNever                  // nothing
)

// Thresholds of Dovecot 2.3 and 2.4 for mailboxes and the map. The mailbox list has its own.
const (
	DefaultRewriteMinLog = 8 << 10   // mail_index_rewrite_min_log_bytes
	DefaultRewriteMaxLog = 128 << 10 // mail_index_rewrite_max_log_bytes
	DefaultRotateMinSize = 32 << 10  // mail_index_log_rotate_min_size
	DefaultRotateMaxSize = 1 << 20   // mail_index_log_rotate_max_size
	DefaultRotateMinAge  = 5 * time.Minute
	DefaultLog2MaxAge    = 48 * time.Hour
)

// Writing says how indexes are written. It may be shared by all indexes and is not changed.
type Writing struct {
	Lock  *filelock.Config
	Fsync Fsync
	// RewriteMinLog and RewriteMaxLog bound how many bytes of log there may be behind a
	// snapshot: from RewriteMinLog on it is replaced if a reader had to go through that
	// much, from RewriteMaxLog on always. 0 = default.
	RewriteMinLog, RewriteMaxLog int64
	// A log of more than RotateMaxSize bytes is rotated, and one of more than RotateMinSize
	// if it is older than RotateMinAge. 0 = default.
	RotateMinSize, RotateMaxSize int64
	RotateMinAge                 time.Duration
	// Log2MaxAge is how long a log stays as .log.2, for those who ask for changes. 0 = default.
	Log2MaxAge time.Duration
	// Backup: the snapshot that is replaced stays as .backup, as Dovecot does for dbox mailboxes.
	Backup bool
	Perm   func() (vfs.Perm, error) // of new files, asked when one is made; nil = vfs.Private
	Now    func() time.Time         // nil = time.Now
	// Warn is told of what was put right under the lock; nil = nobody.
	Warn func(path, what string)
}

func (w *Writing) now() time.Time {
	if w.Now == nil {
		return time.Now()
	}
	return w.Now()
}

func (w *Writing) warn(path, what string) {
	if w.Warn != nil {
		w.Warn(path, what)
	}
}

func (w *Writing) perm() (vfs.Perm, error) {
	if w.Perm == nil {
		return vfs.Private, nil
	}
	return w.Perm()
}

func orDefault[T int64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
