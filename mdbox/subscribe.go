package mdbox

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// Subscribe adds a name to the subscriptions, or removes it. The mailbox need not exist. It returns a *mailboxlist.NameError,
// ErrReadOnly, or filelock.ErrTimeout.
func (s *Store) Subscribe(ctx context.Context, name string, on bool) error {
	if s.options.Write == nil {
		return ErrReadOnly
	}
	storage, err := s.codec().Storage(name)
	if err != nil {
		return err
	}
	f, err := s.subscriptionsFile()
	if err != nil {
		return err
	}
	changed, err := f.Set(ctx, storage, on)
	if err != nil || !changed {
		return err
	}
	s.noteSubscriptions(ctx, f.Path)
	change := mailboxlist.ChangeUnsubscribed
	if on {
		change = mailboxlist.ChangeSubscribed
	}
	s.noteName(change, name)
	return nil
}

func (s *Store) subscriptionsFile() (*mailboxlist.SubscriptionsFile, error) {
	p, err := s.permissions("")
	if err != nil {
		return nil, err
	}
	return &mailboxlist.SubscriptionsFile{
		FS:    s.options.FS,
		Path:  filepath.Join(s.location.Control, s.location.Subscriptions),
		Locks: s.locks,
		Perm:  p.File,
		Fsync: s.durable(),
		Sep:   s.subscriptionsSeparator(),
	}, s.makeDirs(s.location.Control)
}

// subscriptionsSeparator returns what separates the levels of names in a file subscriptions of version 1.
func (s *Store) subscriptionsSeparator() byte {
	if s.location.Layout == LayoutPlusPlus {
		return '.'
	}
	return '/'
}

// RepairSubscriptions keeps what can be read of the file subscriptions, if it is damaged, and reports whether it was.
func (s *Store) RepairSubscriptions(ctx context.Context) (changed bool, err error) {
	if s.options.Write == nil {
		return false, ErrReadOnly
	}
	f, err := s.subscriptionsFile()
	if err != nil {
		return false, err
	}
	changed, err = f.Repair(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if changed {
		s.noteSubscriptions(ctx, f.Path)
	}
	return changed, err
}
