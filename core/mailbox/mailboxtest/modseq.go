package mailboxtest

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// vanishedUID is a message that was expunged.
type vanishedUID struct {
	uid    imap.UID
	modseq uint64
}

// vanish notes that a message was expunged with the mailbox's modseq.
func (m *Mailbox) vanish(uid imap.UID) {
	m.vanished = append(m.vanished, vanishedUID{uid, m.modseq})
	m.happened(uid, expunged)
}

// WithoutModSeqs makes that Info does not announce backend.CapModSeqs. It is called before anybody asks.
func (s *Store) WithoutModSeqs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noModSeqs = true
}

// DisableModSeqs makes that messages have no modseqs of their own until EnableModSeqs is called.
func (m *Mailbox) DisableModSeqs() {
	defer m.lock()()
	m.noModSeqs = true
}

// EnableModSeqs implements backend.ModSeqs.
func (s *Store) EnableModSeqs(_ context.Context, ref backend.MailboxRef, id [16]byte, since []byte) (c *backend.Changes, err error) {
	err = s.write("EnableModSeqs", func() error {
		m, err := s.findID(ref, id)
		if err != nil {
			return err
		}
		if m.noModSeqs {
			m.noModSeqs = false
			for i, msg := range m.messages {
				n := *msg
				n.modseq = m.modseq
				m.messages[i] = &n
				m.happened(msg.uid, changed)
			}
		}
		c = s.changed(m, since)
		return nil
	})
	return c, err
}

// Expunged implements backend.ModSeqs.
func (s *Store) Expunged(_ context.Context, ref backend.MailboxRef, id [16]byte, modseq uint64) (*backend.ExpungedResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter("Expunged"); err != nil {
		return nil, err
	}
	m, err := s.findID(ref, id)
	if err != nil {
		return nil, err
	}
	if modseq < m.forgotten {
		return &backend.ExpungedResult{}, nil
	}
	var uids []uint32
	for _, v := range m.vanished {
		if v.modseq > modseq {
			uids = append(uids, uint32(v.uid))
		}
	}
	slices.Sort(uids)
	res := &backend.ExpungedResult{Known: true}
	for _, uid := range slices.Compact(uids) {
		if n := len(res.UIDs); n > 0 && res.UIDs[n-1].Last+1 == uid {
			res.UIDs[n-1].Last = uid
		} else {
			res.UIDs = append(res.UIDs, backend.UIDRange{First: uid, Last: uid})
		}
	}
	return res, nil
}

var _ backend.ModSeqs = (*Store)(nil)
