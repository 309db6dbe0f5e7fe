package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// emptyForDelete expunges all messages of a mailbox and marks its index as deleted, under one hold of the locks MAP and BOX, so that no
// message can come in between. A mailbox that has no complete index has no messages; one that is marked already was left by
// a process that died.
func (s *Store) emptyForDelete(ctx context.Context, name, dir string) (guid [16]byte, err error) {
	x, err := index.Open(s.indexOptions(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return guid, nil
	}
	if err != nil {
		return guid, fmt.Errorf("mdbox: delete mailbox %s: %w", name, err)
	}
	b := s.newMailbox(name, dir, x)
	defer func() { s.former.note(dir, b.index.State().Former()) }()
	if x.State().Deleted() {
		return b.guid(x.State()), b.reportLeft()
	}
	err = s.format.change(ctx, s, func(c change) error {
		l, err := b.lock(ctx, guid)
		if err != nil {
			return err
		}
		defer l.unlock()
		l.deletes = true
		return l.emptyForDelete(c)
	})
	switch {
	case errors.Is(err, index.ErrDeleted):
		err = b.reportLeft()
	case errors.Is(err, ErrNotInitialised):
		err = nil
	}
	return b.guid(b.index.State()), err
}

// reportLeft tells of messages in a mailbox that another process was about to delete: they stay in storage.
func (b *Mailbox) reportLeft() error {
	if n := b.index.State().Len(); n > 0 {
		b.store.options.Report(fmt.Errorf("mdbox: %s was deleted with %d messages in it, which stay in storage", b.name, n))
	}
	return nil
}

// emptyForDelete expunges everything and marks the index as deleted: first as a request, then as done.
func (l *lockedBox) emptyForDelete(c change) error {
	if err := c.check(l); err != nil {
		return err
	}
	if err := c.expunge(l, slices.Clone(l.x.State().UIDs())); err != nil {
		return err
	}
	if err := l.x.Commit(true, translog.NewRecord{Payload: translog.IndexDeleted{}}, done(translog.IndexDeleted{})); err != nil {
		return fmt.Errorf("mdbox: delete mailbox %s: %w", l.b.name, err)
	}
	return nil
}
