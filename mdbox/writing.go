package mdbox

import (
	"fmt"
	"strings"
	"time"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// Writing says how a store is written. Whoever writes the store as well must do it alike: the fields are named after
// Dovecot's settings, and must have their values. It may be shared by stores, and is not changed.
type Writing struct {
	LockMethod     filelock.Method // lock_method; "" = fcntl
	MaxLockTimeout time.Duration   // mail_max_lock_timeout; 0 = Dovecot's own timeouts
	DotlockNoExcl  bool            // dotlock_use_excl = no
	Fsync          index.Fsync     // mail_fsync

	RotateSize     uint64           // mdbox_rotate_size; 0 = default
	RotateInterval time.Duration    // mdbox_rotate_interval; 0 = none
	Preallocate    bool             // mdbox_preallocate_space
	Compression    dbox.Compression // zlib_save
	SaveCRLF       bool             // mail_save_crlf; mdbox and sdbox have LF in any case

	// Index has the thresholds of the indexes of mailboxes: mail_index_rewrite_*, mail_index_log_*. The rest of it is filled in.
	Index index.Writing

	Cache  cache.Policy // mail_cache_fields, mail_always_cache_fields, mail_never_cache_fields
	Parser cache.Parser // for the fields that take an understanding of mail; nil: they are left to others

	// NamespacePrefix and Separator (0 = '/') are those of the namespace. Names of lock files in VOLATILEDIR, and the log that
	// replication reads, depend on names as clients see them.
	NamespacePrefix string
	Separator       byte

	Now func() time.Time // nil: time.Now
}

func (s *Store) now() time.Time {
	if w := s.options.Write; w != nil && w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

// newLocks returns how the files of a store are locked.
func newLocks(o *Options) *filelock.Config {
	if o.Write == nil {
		return nil
	}
	c := &filelock.Config{FS: o.FS, Method: o.Write.LockMethod, MaxTimeout: o.Write.MaxLockTimeout, DotlockExcl: !o.Write.DotlockNoExcl}
	if c.Method == "" {
		c.Method = filelock.MethodFcntl
	}
	c.Warn = func(path, what string, took time.Duration) {
		o.Report(fmt.Errorf("mdbox: %s: %s took %v", path, what, took.Round(time.Second)))
	}
	return c
}

// indexWriting returns how an index is written. Permissions of new files are those of dir, which is as for permissions.
func (s *Store) indexWriting(w index.Writing, dir string) (*index.Writing, error) {
	if s.options.Write == nil {
		return nil, ErrReadOnly
	}
	w.Lock, w.Fsync, w.Perm, w.Now = s.locks, s.options.Write.Fsync, s.permOf(dir), s.now
	w.Warn = func(path, what string) { s.options.Report(fmt.Errorf("mdbox: %s: %s", path, what)) }
	return &w, nil
}

// mapWriting returns how the map is written: with Dovecot's thresholds, which no setting changes.
func (s *Store) mapWriting() (*index.Writing, error) { return s.indexWriting(index.Writing{}, "") }

// Thresholds of the list index (dovecot src/lib-storage/list/mailbox-list-index.c), which no setting changes either.
const (
	listRotateMinSize = 8 << 10
	listRotateMaxSize = 64 << 10
	listRotateMinAge  = 5 * time.Minute
	listLog2MaxAge    = 10 * time.Minute
)

// listWriting returns how the list index is written. It is synced only where it is more than a cache.
func (s *Store) listWriting() (*index.Writing, error) {
	w, err := s.indexWriting(index.Writing{
		RotateMinSize: listRotateMinSize, RotateMaxSize: listRotateMaxSize, RotateMinAge: listRotateMinAge, Log2MaxAge: listLog2MaxAge}, "")
	if err == nil && s.location.Layout != LayoutIndex && w.Fsync == index.FsyncOptimized {
		w.Fsync = index.FsyncNever
	}
	return w, err
}

// mailboxWriting returns how the index of a mailbox is written, whose directory below mailboxes/ is dir.
func (s *Store) mailboxWriting(dir string) (*index.Writing, error) {
	if s.options.Write == nil {
		return nil, ErrReadOnly
	}
	w := s.options.Write.Index
	w.Backup = true
	return s.indexWriting(w, dir)
}

// writing returns how the index of the mailbox is written.
func (b *Mailbox) writing() (*index.Writing, error) { return b.store.mailboxWriting(b.dir) }

// durable reports whether a change of the mailbox tree is to be on disk when it is answered.
func (s *Store) durable() bool { return s.options.Write.Fsync != index.FsyncNever }

// clientName returns the name of a mailbox as clients see it.
func (s *Store) clientName(name string) string {
	if name == mailboxlist.Inbox && !s.options.NoInbox {
		return name
	}
	w := s.options.Write
	if w.Separator != 0 && w.Separator != '/' {
		name = strings.ReplaceAll(name, "/", string(rune(w.Separator)))
	}
	return w.NamespacePrefix + name
}
