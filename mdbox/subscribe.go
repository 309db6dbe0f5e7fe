package mdbox

import (
	"context"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// Subscribe adds a name to the subscriptions, or removes it. The mailbox need not exist. It returns a *mailboxlist.NameError,
// ErrReadOnly, or filelock.ErrTimeout.
func (s *Store) Subscribe(ctx context.Context, name string, on bool) error {
	if s.options.Write == nil {
		return ErrReadOnly
	}
	name = mailboxlist.Canonical(name)
	storage, err := s.codec().Storage(name)
	if err != nil {
		return err
	}
	p, err := s.permissions("")
	if err != nil {
		return err
	}
	if err := s.makeDirs(s.location.Control); err != nil {
		return err
	}
	f := mailboxlist.SubscriptionsFile{
		FS:    s.options.FS,
		Path:  filepath.Join(s.location.Control, s.location.Subscriptions),
		Locks: s.locks,
		Perm:  p.File,
		Fsync: s.durable(),
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
