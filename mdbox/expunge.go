package mdbox

import (
	"context"
	"fmt"
	"slices"

	"github.com/roostmail/roost/mdbox/index"
)

// Expunge removes messages and returns their UIDs, ascending. uids are ascending; those that do not exist are ignored, and with
// onlyDeleted those without \Deleted as well. guid is that of the mailbox, zero = any. The messages' data stays
// in the m.N files until a purge. The removal is durable on return. A message of a maildir whose file can not be removed stays, and is not
// returned; whoever syncs the mailbox later tries it again.
func (b *Mailbox) Expunge(ctx context.Context, guid [16]byte, uids []uint32, onlyDeleted bool) (expunged []uint32, err error) {
	if some, err := b.anyOf(guid, uids, onlyDeleted); err != nil || !some {
		return nil, err
	}
	err = b.store.format.change(ctx, b.store, func(c change) error {
		l, err := b.lockSized(ctx, guid, uids)
		if err != nil {
			return err
		}
		defer l.unlock()
		expunged = pick(l.x.State(), uids, onlyDeleted)
		if err := l.expungeAll(c, expunged); err != nil {
			return err
		}
		expunged = slices.DeleteFunc(expunged, func(uid uint32) bool { _, there := l.x.State().Find(uid); return there })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return expunged, nil
}

// expungeAll expunges messages, and those that other sessions asked for.
func (l *lockedBox) expungeAll(c change, uids []uint32) error {
	requested, err := l.requested()
	if err != nil {
		return err
	}
	if err := c.check(l); err != nil {
		return err
	}
	all := slices.Concat(uids, requested)
	slices.Sort(all)
	if err := c.expunge(l, slices.Compact(all)); err != nil {
		return err
	}
	l.finish()
	return nil
}

// anyOf reports whether any of the messages is to be changed, as far as is known without a lock.
func (b *Mailbox) anyOf(guid [16]byte, uids []uint32, onlyDeleted bool) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refresh()
	if err != nil {
		return false, err
	}
	if guid != [16]byte{} && b.guid(s) != guid {
		return false, fmt.Errorf("%w: %s is another mailbox now", ErrNotFound, b.name)
	}
	return len(pick(s, uids, onlyDeleted)) > 0, nil
}

// pick returns the UIDs that exist, with onlyDeleted those of messages with \Deleted.
func pick(s *index.State, uids []uint32, onlyDeleted bool) (picked []uint32) {
	for i := range located(s, slices.Values(uids)) {
		if !onlyDeleted || s.Flags()[i]&index.FlagDeleted != 0 {
			picked = append(picked, s.UIDs()[i])
		}
	}
	return picked
}
