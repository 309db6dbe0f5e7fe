package mdbox

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/vfs"
)

// treeTimeout is how long the tree lock is waited for (dovecot src/lib-storage/mailbox-list-private.h, MAILBOX_LIST_LOCK_TIMEOUT_SECS).
const treeTimeout = 60 * time.Second

// lockTree takes the lock TREE, under which mailboxes are made, renamed and deleted: mailboxes.lock. It is the first of all locks.
func (s *Store) lockTree(ctx context.Context) (*filelock.File, error) {
	if s.options.Write == nil {
		return nil, ErrReadOnly
	}
	p, err := s.permissions("")
	if err != nil {
		return nil, err
	}
	path, err := s.treeLockPath()
	if err != nil {
		return nil, err
	}
	lock, err := s.locks.File(ctx, path, treeTimeout, p.File)
	if err != nil {
		return nil, fmt.Errorf("mdbox: lock mailbox tree: %w", err)
	}
	return lock, nil
}

// treeLockPath returns the path of the lock file, whose directory exists then. In a volatile directory, which all
// namespaces of a user may share, its name depends on the namespace.
func (s *Store) treeLockPath() (string, error) {
	const name = "mailboxes.lock"
	if !s.location.Volatile {
		return filepath.Join(s.location.Index, name), s.makeDirs(s.location.Index)
	}
	private := mailboxlist.Permissions{File: vfs.Private, Dir: 0o700}
	if _, err := private.Mkdir(s.options.FS, s.location.VolatileDir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("mdbox: make directory: %w", err)
	}
	sum := sha1.Sum([]byte(s.options.Write.NamespacePrefix))
	return filepath.Join(s.location.VolatileDir, name+hex.EncodeToString(sum[:])), nil
}

// changeTree runs change under the tree lock. The list index is told of the change only after that: a Dovecot that lists mailboxes
// holds the lock LIST, and may want the tree lock to make INBOX.
func (s *Store) changeTree(ctx context.Context, change func() error) error {
	lock, err := s.lockTree(ctx)
	if err != nil {
		return err
	}
	err = change()
	if unlocked := lock.Release(); unlocked != nil {
		s.options.Report(fmt.Errorf("mdbox: unlock mailbox tree: %w", unlocked)) // what was done is done
	}
	if err == nil && s.location.Layout != LayoutIndex {
		s.markListStale(ctx)
	}
	return err
}
