package mdbox

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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
	SaveCRLF       bool             // mail_save_crlf

	// Index has the thresholds of the indexes of mailboxes: mail_index_rewrite_*, mail_index_log_*. The rest of it is filled in.
	Index index.Writing

	Cache  cache.Policy // mail_cache_fields, mail_always_cache_fields, mail_never_cache_fields
	Parser cache.Parser // for the fields that take an understanding of mail; nil: they are left to others

	Now func() time.Time // nil: time.Now
}

// ErrReadOnly: the store was opened to be read only.
var ErrReadOnly = errors.New("mdbox: store is read-only")

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

// indexWriting returns how an index below a directory is written. Permissions of new files are those of dir, which need not exist.
func (s *Store) indexWriting(w index.Writing, dir string) (*index.Writing, error) {
	if s.options.Write == nil {
		return nil, ErrReadOnly
	}
	p, err := s.permissions(dir)
	if err != nil {
		return nil, err
	}
	w.Lock, w.Fsync, w.Perm, w.Now = s.locks, s.options.Write.Fsync, p.File, s.now
	w.Warn = func(path, what string) { s.options.Report(fmt.Errorf("mdbox: %s: %s", path, what)) }
	return &w, nil
}

// mapWriting returns how the map is written: with Dovecot's thresholds, which no setting changes.
func (s *Store) mapWriting() (*index.Writing, error) {
	return s.indexWriting(index.Writing{}, s.location.Root)
}

// writing returns how the index of the mailbox is written.
func (b *Mailbox) writing() (*index.Writing, error) {
	s := b.store
	if s.options.Write == nil {
		return nil, ErrReadOnly
	}
	w := s.options.Write.Index
	w.Backup = true
	return s.indexWriting(w, s.permissionDir(b.dir))
}

// permissionDir is the directory whose permissions rule the files of a mailbox: the one that dbox-Mails is in.
func (s *Store) permissionDir(dir string) string {
	d := s.location.mailboxDir(dir)
	if s.location.Layout == LayoutFS {
		return filepath.Dir(d)
	}
	return d
}

// permissions returns what new files in dir get: what dir says, or the nearest of its parents that exists, up to the store's root.
func (s *Store) permissions(dir string) (mailboxlist.Permissions, error) {
	for d := dir; ; d = filepath.Dir(d) {
		st, err := s.options.FS.Stat(d)
		if err == nil {
			return mailboxlist.PermissionsOf(st), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return mailboxlist.Permissions{}, fmt.Errorf("mdbox: permissions: %w", err)
		}
		if d == s.location.Root || d == filepath.Dir(d) {
			return mailboxlist.DefaultPermissions, nil
		}
	}
}
