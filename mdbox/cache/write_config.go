package cache

import (
	"errors"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

// ErrFull says that a cache file has its largest size, WriteConfig.MaxFileSize. A purge makes room.
var ErrFull = errors.New("cache: file has its largest size")

// WriteConfig says how cache files are written. FS and Lock are needed; other zero values mean the defaults, which
// are those of Dovecot (src/lib-index/mail-index.c, default_optimization_set). It is not changed after its first use,
// and is safe for concurrent use.
type WriteConfig struct {
	FS     vfs.FS
	Lock   *filelock.Config
	Policy Policy
	Perm   func() (vfs.Perm, error) // of new files, asked when one is made; nil: vfs.Private
	// Sync makes everything that was written durable before it is referred to: mail_fsync=always. Without it nothing
	// of a cache is, which costs time after a power cut and never data.
	Sync bool
	// LockTimeout bounds the wait for the lock of the file. Default 10 s.
	LockTimeout time.Duration
	// MaxRecordSize bounds a record; values that do not fit are left out. Default 64 KiB.
	MaxRecordSize int
	// MaxFileSize bounds the file (ErrFull). Default and maximum 1 GiB, what the format can address.
	MaxFileSize int64
	// A file is purged from PurgeMinSize bytes on (default 32 KiB) when the records of expunged messages are
	// PurgeDeleted percent (default 20) of all, or continued ones PurgeContinued percent (default 200) of the
	// messages with records; and when more than PurgeTables field tables (default 4) are chained.
	PurgeMinSize                 int64
	PurgeDeleted, PurgeContinued uint64
	PurgeTables                  int
	// Unused is how long a field stays cached for all messages when nobody is known to need that; after twice the
	// time without any use it is dropped. Default 30 days.
	Unused time.Duration
	// Now is the clock. nil: time.Now.
	Now func() time.Time
}

const (
	// maxFileSize is what Dovecot's offsets in field tables can address, less than 1 GiB.
	maxFileSize = 1 << 30
	day         = 24 * 60 * 60 // seconds
)

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (c *WriteConfig) lockTimeout() time.Duration { return orDefault(c.LockTimeout, 10*time.Second) }
func (c *WriteConfig) maxRecordSize() int {
	return min(orDefault(c.MaxRecordSize, maxRecordSize), maxReadSize)
}
func (c *WriteConfig) maxFileSize() int64 {
	return min(orDefault(c.MaxFileSize, maxFileSize), maxFileSize)
}
func (c *WriteConfig) perm() (vfs.Perm, error) {
	if c.Perm == nil {
		return vfs.Private, nil
	}
	return c.Perm()
}

// now returns the time as it is stored.
func (c *WriteConfig) now() uint32 {
	if c.Now == nil {
		return uint32(time.Now().Unix())
	}
	return uint32(c.Now().Unix())
}

// Identity ties a cache file to an index.
type Identity struct {
	IndexID uint32 // of the index
	ResetID uint32 // of its extension `cache`; 0 = it has none
	// Highest is the highest offset that the index has for a message; 0 = not known. A file that ends before it has lost records in a
	// power cut: what is appended to it would be taken for them.
	Highest uint32
}
