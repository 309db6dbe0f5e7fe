package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/translog"
)

// Extensions of the index of a mailbox that have header data only.
const (
	extPOP3UIDL   = "hdr-pop3-uidl"     // uint32: the highest UID of a message with a stored POP3 UIDL; of INBOX
	extBoxName    = "box-name"          // with LayoutIndex: the storage name, levels separated by NUL
	extLastRename = "last-rename-stamp" // uint32: UNIX time
)

// CreateMailbox makes a mailbox, and the parents that it needs. A name that was only a parent becomes a mailbox. One
// whose creation was interrupted is completed.
//
// It returns ErrExists, a *mailboxlist.NameError, or ErrReadOnly. (spec: dovecot index-storage.c, index_storage_mailbox_create)
func (s *Store) CreateMailbox(ctx context.Context, name string) error {
	dir, err := s.dirOf(name)
	if err == nil {
		err = mailboxlist.CheckNew(name)
	}
	if err != nil {
		return err
	}
	return s.changeTree(ctx, func() error { return s.create(ctx, mailboxlist.Canonical(name), dir) })
}

// EnsureMailbox makes a mailbox unless it exists, as for one that the configuration says shall be there. If it was
// made, and subscribe is set, it is subscribed as well.
func (s *Store) EnsureMailbox(ctx context.Context, name string, subscribe bool) error {
	if _, err := s.mailboxDir(name); !errors.Is(err, ErrNotFound) {
		return err
	}
	err := s.CreateMailbox(ctx, name)
	if errors.Is(err, ErrExists) {
		return nil // made by somebody else meanwhile
	}
	if err == nil && subscribe {
		err = s.Subscribe(ctx, name, true)
	}
	return err
}

// create is CreateMailbox under the tree lock. dir is the storage name.
func (s *Store) create(ctx context.Context, name, dir string) error {
	if s.location.Layout == LayoutIndex {
		return s.createNode(ctx, name, dir)
	}
	if s.location.Format == FormatMaildir && s.isMaildir(dir) {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	p, err := s.permissions(dir)
	if err != nil {
		return err
	}
	made, err := s.makeMailboxDirs(dir, p)
	if err != nil {
		return err
	}
	b, err := s.initialise(ctx, dir, newMailbox{name: name})
	if err != nil {
		return err
	}
	if made == "" && b.found && s.location.Format != FormatMaildir {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	return nil
}

// makeMailboxDirs makes the directories of a mailbox. made is the topmost directory that was made of those whose existence
// makes the mailbox exist, "" if they were all there.
func (s *Store) makeMailboxDirs(dir string, p mailboxlist.Permissions) (made string, err error) {
	l := &s.location
	if err := s.makeDirs(l.mailboxesDir(l.Root)); err != nil {
		return "", err
	}
	made, err = p.Mkdir(s.options.FS, l.mailboxDir(dir))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("mdbox: make mailbox directory: %w", err)
	}
	if err := s.syncDirs(l.mailboxDir(dir), made); err != nil {
		return "", err
	}
	if l.Format == FormatMaildir {
		if err := s.makeMaildir(dir, p); err != nil {
			return "", err
		}
	}
	if l.indexDir(dir) == l.mailboxDir(dir) {
		return made, nil
	}
	if err := s.makeDirs(l.mailboxesDir(l.Index)); err != nil {
		return "", err
	}
	top, err := p.Mkdir(s.options.FS, l.indexDir(dir))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("mdbox: make index directory: %w", err)
	}
	return made, s.syncDirs(l.indexDir(dir), top)
}

// done is a record of what needs nothing more to be done.
func done(p translog.Payload) translog.NewRecord {
	return translog.NewRecord{External: true, Payload: p}
}
