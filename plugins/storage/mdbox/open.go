package mdbox

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
)

// mailbox returns the mailbox that ref names until release is called. Errors are *backend.Error.
func (s *Storage) mailbox(ctx context.Context, ref backend.MailboxRef) (m *openMailbox, p place, release func(), err error) {
	if err := s.usable(ctx); err != nil {
		return nil, p, nil, err
	}
	key := placeKey{ref.User, ref.Namespace}
	p, known := s.stores.located.get(key)
	if !known {
		if _, p, err = s.locate(ref.User, ref.Namespace); err != nil {
			return nil, p, nil, err
		}
	}
	m, release, err = s.stores.mailbox(p, ref.Name)
	if err != nil {
		return nil, p, nil, toBackend(err)
	}
	if !known {
		s.stores.located.put(key, p)
	}
	return m, p, release, nil
}

// failed turns an error of m into one for the caller. A mailbox that was deleted is
// forgotten, so that the next call looks for one with its name.
func (s *Storage) failed(p place, m *openMailbox, err error) *backend.Error {
	if errors.Is(err, mdbox.ErrNotFound) {
		s.stores.mailboxes.forget(mailboxKey{p, m.Name()})
	}
	return toBackend(err)
}

// Open implements backend.Storage.
func (s *Storage) Open(ctx context.Context, ref backend.MailboxRef) (*backend.Snapshot, error) {
	if err := s.allow(ref, acl.Read); err != nil {
		return nil, err
	}
	m, p, release, err := s.mailbox(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer release()
	// The watch first: a change after it is announced, one before it is in the state.
	watch, more := s.watchMailbox(m)
	snap, err := m.Snapshot()
	if err != nil {
		s.watches.remove([]int32{watch})
		s.watches.giveBack(more)
		return nil, s.failed(p, m, err)
	}
	b := snapshot(snap)
	b.Watch, b.MoreWatches = watch, more
	if watch != 0 {
		b.WatchName = watchName
	}
	return b, nil
}

// watchMailbox adds the watches that tell of every change to a mailbox: the one for watchName, and those of the directories of a maildir, in which
// other programs than Dovecot put mail without a word in the index. The first is 0 if there are none.
func (s *Storage) watchMailbox(m *openMailbox) (watch int32, more []backend.Watch) {
	if watch = s.watches.add(m.Dir()); watch == 0 {
		return 0, nil
	}
	for _, d := range m.DeliveryDirs() {
		wd := s.watches.addDir(d)
		if wd == 0 {
			s.watches.remove([]int32{watch})
			s.watches.giveBack(more)
			return 0, nil
		}
		more = append(more, backend.Watch{ID: wd, Name: d.Prefix})
	}
	return watch, more
}

func snapshot(s *mdbox.Snapshot) *backend.Snapshot {
	return &backend.Snapshot{
		MailboxID:      s.GUID,
		UIDValidity:    s.UIDValidity,
		UIDNext:        imap.UID(s.UIDNext),
		FirstRecentUID: imap.UID(s.FirstRecentUID),
		HighestModSeq:  highest(s.HighestModSeq, s.Messages.ModSeqs),
		Keywords:       s.Keywords,
		Messages:       backend.Columns(s.Messages),
		Position:       s.Position.Append(nil),
		Damage:         s.Damage,
	}
}

// highest returns the highest modseq of a mailbox, whose messages may have higher ones: the header of an index that was written before roost knew that
// Dovecot does not go back to an old value is behind them.
func highest(modSeq uint64, messages ...[]uint64) uint64 {
	for _, all := range messages {
		for _, v := range all {
			modSeq = max(modSeq, v)
		}
	}
	return modSeq
}

// Changes implements backend.Storage. A snapshot in its answer has no watch: the caller keeps the one it has.
func (s *Storage) Changes(ctx context.Context, ref backend.MailboxRef, since []byte) (*backend.Changes, error) {
	if err := s.allow(ref, acl.Read); err != nil { // may have been taken away since Open
		return nil, err
	}
	m, p, release, err := s.mailbox(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer release()
	from, err := mdbox.ParsePosition(since)
	if err != nil {
		return s.reset(p, m) // of another version of this plugin, or of another plugin
	}
	c, err := m.Changes(from)
	if errors.Is(err, mdbox.ErrHistoryGone) {
		return s.reset(p, m)
	}
	if err != nil {
		return nil, s.failed(p, m, err)
	}
	return &backend.Changes{
		UIDNext:        imap.UID(c.UIDNext),
		FirstRecentUID: imap.UID(c.FirstRecentUID),
		HighestModSeq:  highest(c.HighestModSeq, c.Updated.ModSeqs, c.Appended.ModSeqs),
		Keywords:       c.Keywords,
		Expunged:       c.Expunged,
		Updated:        backend.Columns(c.Updated),
		Appended:       backend.Columns(c.Appended),
		Position:       c.Position.Append(nil),
	}, nil
}

// reset answers Changes when the history is lost.
func (s *Storage) reset(p place, m *openMailbox) (*backend.Changes, error) {
	snap, err := m.Snapshot()
	if err != nil {
		return nil, s.failed(p, m, err)
	}
	return &backend.Changes{Reset: snapshot(snap)}, nil
}
