package mailboxtest

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// MaxKeywords is how many keywords a mailbox of a Store can have.
const MaxKeywords = 64

// write runs a call of Writer: f does its work with the store locked.
func (s *Store) write(method string, f func() error) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(method)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter(method); err != nil {
		return err
	}
	if !s.writable {
		return backend.Errorf(backend.KindReadOnly, "")
	}
	if err := f(); err != nil {
		return err
	}
	return s.failing[method].err
}

// changed returns what a caller who knows a mailbox at a position is told.
func (s *Store) changed(m *Mailbox, since []byte) *backend.Changes {
	if len(since) == 0 || s.noChanged {
		return nil
	}
	return m.since(since)
}

// Append implements backend.Writer.
func (s *Store) Append(ctx context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
	bodies := make([][]byte, len(r.Messages))
	for i, msg := range r.Messages {
		body, err := io.ReadAll(io.LimitReader(msg.Body, int64(msg.Size)))
		if err == nil && uint64(len(body)) != msg.Size {
			err = backend.Errorf(backend.KindInvalidArgument, "A message is shorter than announced.")
		}
		var e *backend.Error
		if err == nil {
			err = ctx.Err()
		}
		if err != nil && !errors.As(err, &e) {
			err = &backend.Error{Kind: backend.KindOf(err), Cause: err}
		}
		if err != nil {
			return nil, err
		}
		bodies[i] = body
	}
	result := &backend.AppendResult{}
	err := s.write("Append", func() error {
		m, err := s.find(r.Mailbox)
		if err != nil {
			return err
		}
		for _, msg := range r.Messages {
			if err := m.room(msg.Keywords); err != nil {
				return err
			}
		}
		if r.Replaces != nil {
			if m, err = s.findID(r.Mailbox, r.Replaces.MailboxID); err != nil {
				return err
			}
			if m.index(imap.UID(r.Replaces.UID)) < 0 {
				return backend.Errorf(backend.KindExpunged, "")
			}
			defer m.remove([]uint32{r.Replaces.UID})
		}
		result.UIDValidity = m.validity
		for i, msg := range r.Messages {
			date := msg.InternalDate
			if date == 0 {
				date = 1e9 + int64(m.uidNext)
			}
			uid := m.add(message{flags: msg.Flags, kw: m.bits(msg.Keywords), date: date, raw: bodies[i]})
			result.UIDs = append(result.UIDs, uint32(uid))
		}
		if r.Claim && len(r.Since) > 0 && !s.noChanged && m.firstRecent < m.uidNext {
			result.ClaimedFirst, result.ClaimedNext = uint32(max(m.firstRecent, 1)), uint32(m.uidNext)
			m.firstRecent = m.uidNext
			m.happened(0, changed)
		}
		result.Changed = s.changed(m, r.Since)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// room checks that keywords can be stored.
func (m *Mailbox) room(keywords []string) error {
	n := len(m.keywords)
	for _, name := range keywords {
		if !slices.Contains(m.keywords, name) {
			n++
		}
	}
	if n > MaxKeywords {
		return backend.Errorf(backend.KindLimit, "Too many keywords in the mailbox.")
	}
	return nil
}

// Store implements backend.Writer. A message that has the flags already keeps its modseq.
func (s *Store) Store(_ context.Context, r *backend.StoreRequest) (*backend.StoreResult, error) {
	result := &backend.StoreResult{}
	err := s.write("Store", func() error {
		m, err := s.findID(r.Mailbox, r.MailboxID)
		if err != nil {
			return err
		}
		if r.Mode != backend.StoreRemove {
			if err := m.room(r.Keywords); err != nil {
				return err
			}
		}
		kw := m.bits(r.Keywords)
		for _, uid := range r.UIDs {
			i := m.index(imap.UID(uid))
			switch {
			case i < 0:
			case m.messages[i].modseq > r.UnchangedSince:
				result.Modified = append(result.Modified, uid)
			default:
				flags, kw := applyStore(m.messages[i], r.Mode, r.Flags, kw)
				if flags != m.messages[i].flags || kw != m.messages[i].kw {
					m.set(i, flags, kw)
				}
			}
		}
		result.Changed = s.changed(m, r.Since)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

func applyStore(msg *message, mode backend.StoreMode, flags uint8, kw uint64) (uint8, uint64) {
	switch mode {
	case backend.StoreAdd:
		return msg.flags | flags, msg.kw | kw
	case backend.StoreRemove:
		return msg.flags &^ flags, msg.kw &^ kw
	}
	return flags, kw
}

// Copy implements backend.Writer.
func (s *Store) Copy(_ context.Context, r *backend.CopyRequest) (*backend.CopyResult, error) {
	result := &backend.CopyResult{}
	err := s.write("Copy", func() error {
		from, err := s.findID(r.Mailbox, r.MailboxID)
		if err != nil {
			return err
		}
		to, err := s.find(r.Destination)
		if err != nil {
			return backend.Errorf(backend.KindNotFound, "destination")
		}
		var copies []message
		for _, uid := range r.UIDs {
			i := from.index(imap.UID(uid))
			if i < 0 {
				continue
			}
			names := from.names(from.messages[i].kw)
			if err := to.room(names); err != nil {
				return err
			}
			c := *from.messages[i]
			c.kw = to.bits(names)
			copies = append(copies, c)
			result.Source = append(result.Source, uid)
		}
		result.UIDValidity = to.validity
		for _, c := range copies {
			result.UIDs = append(result.UIDs, uint32(to.add(c)))
		}
		if r.Move {
			from.remove(result.Source)
		}
		result.Changed = s.changed(from, r.Since)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// remove expunges messages that exist.
func (m *Mailbox) remove(uids []uint32) {
	if len(uids) == 0 {
		return
	}
	m.modseq++
	m.messages = slices.DeleteFunc(slices.Clone(m.messages), func(msg *message) bool {
		_, ok := slices.BinarySearch(uids, uint32(msg.uid))
		return ok
	})
	for _, uid := range uids {
		m.vanish(imap.UID(uid))
	}
}

// Expunge implements backend.Writer.
func (s *Store) Expunge(_ context.Context, r *backend.ExpungeRequest) (*backend.ExpungeResult, error) {
	result := &backend.ExpungeResult{}
	err := s.write("Expunge", func() error {
		m, err := s.findID(r.Mailbox, r.MailboxID)
		if err != nil {
			return err
		}
		for _, uid := range r.UIDs {
			i := m.index(imap.UID(uid))
			if i >= 0 && (!r.OnlyDeleted || m.messages[i].flags&backend.FlagDeleted != 0) {
				result.Expunged = append(result.Expunged, uid)
			}
		}
		m.remove(result.Expunged)
		result.Changed = s.changed(m, r.Since)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// ClaimRecent implements backend.Writer.
func (s *Store) ClaimRecent(_ context.Context, ref backend.MailboxRef, id [16]byte, since []byte) (*backend.ClaimResult, error) {
	result := &backend.ClaimResult{}
	err := s.write("ClaimRecent", func() error {
		m, err := s.findID(ref, id)
		if err != nil {
			return err
		}
		result.First, result.Next = uint32(max(m.firstRecent, 1)), uint32(m.uidNext)
		if result.First != result.Next {
			m.firstRecent = m.uidNext
			m.happened(0, changed)
		}
		result.Changed = s.changed(m, since)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

var _ backend.Writer = (*Store)(nil)
