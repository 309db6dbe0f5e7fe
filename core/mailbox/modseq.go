package mailbox

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// EnableModSeqs makes storage keep a modseq for each message, if it is not known to do so already: a call for the first
// session that wants modseqs (RFC 7162 §3.1). Messages keep those that they were said to have, so that no view becomes wrong by it.
// Storage that can not be changed says KindReadOnly: then each message has the mailbox's modseq.
func (m *Mailbox) EnableModSeqs(ctx context.Context, s backend.ModSeqs) error {
	if m.e.has(bitModSeqs) {
		return nil
	}
	_, err := m.Change(ctx, func(since []byte) (*backend.Changes, error) {
		return s.EnableModSeqs(ctx, *m.Ref(), m.Current().MailboxID, since)
	})
	if err == nil {
		m.r.mark(m.e, bitModSeqs)
	}
	return err
}

// HasModSeqs reports whether storage is known to keep a modseq for each message of a mailbox.
func (r *Registry) HasModSeqs(id uint32) bool {
	e := r.at(id)
	return e != nil && e.has(bitModSeqs)
}

// sawModSeqs notes whether storage keeps them, if that can be told from what it has sent.
func (m *Mailbox) sawModSeqs(c *backend.Columns) {
	switch {
	case len(c.ModSeqs) > 0:
		m.r.mark(m.e, bitModSeqs)
	case len(c.UIDs) > 0:
		m.r.unmark(m.e, bitModSeqs)
	}
}

// HighestOf returns the highest modseq above since of the messages in ranges, 0 = none.
func (v *View) HighestOf(ranges []SeqRange, since uint64) (modseq uint64) {
	for m := range v.Newer(ranges, since) {
		modseq = max(modseq, m.ModSeq)
	}
	return modseq
}

// Missing returns those UIDs of ascending ranges that v has no message of, in ranges. UIDs that no message has had yet are left out.
func (v *View) Missing(rs []backend.UIDRange) []backend.UIDRange {
	var out []backend.UIDRange
	add := func(first, last uint32) {
		if first <= last {
			out = append(out, backend.UIDRange{First: first, Last: last})
		}
	}
	for _, r := range rs {
		first, last := r.First, min(r.Last, uint32(v.UIDNext)-1)
		if first > last {
			break
		}
		seq := v.lowerBound(imap.UID(first))
		for m := range v.Messages([]SeqRange{{seq, SeqNum(v.count)}}) {
			if uint32(m.UID) > last {
				break
			}
			add(first, uint32(m.UID)-1)
			first = uint32(m.UID) + 1
		}
		add(first, last)
	}
	return out
}
