package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/roostmail/roost/mdbox/acl"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/vfs"
)

// aclName is the file with the access control list of a mailbox, in its directory; in that of all mailboxes it is for those that have none.
// aclListName is a list, with times, of the mailboxes that have one. (dovecot acl-backend-vfile.h, acl-backend-vfile-acllist.c)
const (
	aclName     = "dovecot-acl"
	aclListName = "dovecot-acl-list"
)

// maxACL bounds a list, in bytes.
const maxACL = 1 << 20

// How long dovecot-acl.lock is waited for, and after how long it is overridden (dovecot acl-backend-vfile.c, acl_backend_vfile_init).
const (
	aclTimeout = 30 * time.Second
	aclStale   = 120 * time.Second
)

// ACL returns the access control list of a mailbox, which need not exist. If it has none of its own, with defaults that of the store is returned. Errors are those of reading, and a
// *vfs.CorruptError for a list that can not be understood: nobody has any right then.
func (s *Store) ACL(name string, defaults bool) ([]acl.Entry, error) {
	path, err := s.aclPath(name)
	if err != nil {
		return nil, err
	}
	if path != "" {
		list, found, err := s.readACL(path)
		if found || err != nil {
			return list, err
		}
	}
	if !defaults {
		return nil, nil
	}
	list, _, err := s.readACL(filepath.Join(s.location.mailboxesDir(s.location.Root), aclName))
	return list, err
}

// aclPath returns where the list of a mailbox is, "" for one that does not exist.
func (s *Store) aclPath(name string) (string, error) {
	dir, err := s.mailboxDir(name)
	var noName *mailboxlist.NameError
	if errors.Is(err, ErrNotFound) || errors.As(err, &noName) {
		return "", nil
	}
	return filepath.Join(s.location.mailboxDir(dir), aclName), err
}

func (s *Store) readACL(path string) (list []acl.Entry, found bool, err error) {
	b, err := vfs.ReadFile(s.options.FS, path, maxACL)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err == nil {
		list, err = acl.Decode(b)
	}
	if err != nil {
		return nil, true, fmt.Errorf("mdbox: read access control list: %w", vfs.At(err, path, 0))
	}
	return list, true, nil
}

// UpdateACL lets change change the list of a mailbox, which is sorted, while nobody else can, durably. Errors: ErrNotFound, ErrReadOnly,
// filelock.ErrTimeout, and those of ACL: a list that can not be understood is not changed.
func (s *Store) UpdateACL(ctx context.Context, name string, change func(list []acl.Entry) []acl.Entry) error {
	if s.options.Write == nil {
		return ErrReadOnly
	}
	dir, err := s.mailboxDir(name)
	if err != nil {
		return err
	}
	p, err := s.permissions(dir)
	if err != nil {
		return err
	}
	path := filepath.Join(s.location.mailboxDir(dir), aclName)
	lock, err := s.locks.Dotlock(ctx, path, filelock.DotlockOptions{Timeout: aclTimeout, Stale: aclStale, Suffix: ".lock", Perm: p.File})
	if err != nil {
		return fmt.Errorf("mdbox: lock access control list: %w", err)
	}
	list, _, err := s.readACL(path)
	if err == nil {
		if b := acl.Append(nil, change(list)); len(b) > 0 {
			_, err = lock.File.Write(b)
		}
	}
	if err == nil && s.durable() {
		err = lock.File.Sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("mdbox: change access control list of %s: %w", name, err), lock.Release())
	}
	if err := lock.Replace(); err != nil {
		return fmt.Errorf("mdbox: replace access control list of %s: %w", name, err)
	}
	s.dropACLList()
	return nil
}

// dropACLList removes the list of mailboxes that have an access control list: it is made again by the next Dovecot that needs it.
func (s *Store) dropACLList() {
	err := s.options.FS.Remove(filepath.Join(s.location.mailboxesDir(s.location.Root), aclListName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.report("remove "+aclListName, err)
	}
}

// ACLWatchDirs returns the directories that tell of every change to the access control list of a mailbox, and with defaults to that of the store.
func (s *Store) ACLWatchDirs(name string, defaults bool) ([]WatchDir, error) {
	path, err := s.aclPath(name)
	if err != nil {
		return nil, err
	}
	var dirs []WatchDir
	if path != "" {
		dirs = append(dirs, WatchDir{Path: filepath.Dir(path), Prefix: aclName})
	}
	if defaults {
		dirs = append(dirs, WatchDir{Path: s.location.mailboxesDir(s.location.Root), Prefix: aclName})
	}
	return dirs, nil
}
