package mailbox

import (
	"bytes"
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// meetings is how often storage is asked for a moment at which a snapshot and the changes since the saved position meet.
const meetings = 8

// awaken loads the views of a mailbox that was asleep, and takes up its journal: the old view is the one that
// storage has now, plus what was expunged since the saved position, minus what arrived since. What does not fit what is saved is no history:
// the sessions get ErrHistoryGone. The caller holds the turn.
func (m *Mailbox) awaken(ctx context.Context, before watchState) (changed bool, err error) {
	s, err := m.r.storage.Open(ctx, *m.Ref())
	if err == nil && s == nil {
		err = badAnswer("no snapshot")
	}
	if err != nil {
		return false, err
	}
	m.report(s.Damage)
	m.sawModSeqs(&s.Messages)
	m.r.addWatch(m, s, before)
	m.watchable = s.Watch != 0
	if s.UIDValidity != m.saved.uidValidity || s.MailboxID != m.saved.mailboxID {
		return false, ErrReplaced
	}
	h := history{position: s.Position, same: bytes.Equal(s.Position, m.position)}
	if !h.same {
		if err := m.meet(ctx, &h); err != nil {
			return false, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, err := fromSnapshot(s, m.table, m.saved.version)
	for i := 0; err == nil && i < len(h.after); i++ {
		v, _, err = fromChanges(v, h.after[i])
	}
	if err != nil {
		return false, err
	}
	old := *v // the snapshot's, which nobody has seen
	v = &old
	return m.takeUp(v, &h), nil
}

// history is what leads from the saved position to the present.
type history struct {
	position []byte             // of the present
	same     bool               // the present is the saved state
	since    *backend.Changes   // from the saved position to the present; nil: that is not known
	after    []*backend.Changes // from the snapshot to the present
}

// meet asks for the changes since the saved position, and those since the snapshot, until both lead to the same moment.
func (m *Mailbox) meet(ctx context.Context, h *history) error {
	for range meetings {
		c, err := m.changesSince(ctx, m.position)
		if err != nil || c.Reset != nil {
			return err
		}
		if bytes.Equal(c.Position, m.position) { // then the snapshot, which is older, is of the same state
			h.same, h.position = true, c.Position
			return nil
		}
		if bytes.Equal(c.Position, h.position) {
			h.since = c
			return nil
		}
		d, err := m.changesSince(ctx, h.position)
		if err != nil {
			return err
		}
		if d.Reset != nil {
			break // the snapshot is of a moment ago: whoever comes next gets a newer one
		}
		if !bytes.Equal(d.Position, h.position) {
			h.after, h.position = append(h.after, d), d.Position
		}
		if bytes.Equal(c.Position, h.position) {
			h.since = c
			return nil
		}
	}
	return &backend.Error{Kind: backend.KindInUse, Message: "Mailbox changes too fast, try again."}
}

func (m *Mailbox) changesSince(ctx context.Context, position []byte) (*backend.Changes, error) {
	c, err := m.r.storage.Changes(ctx, *m.Ref(), position)
	if err == nil && c == nil {
		err = badAnswer("no changes")
	}
	return c, err
}

// takeUp makes v, the present, the current view: at the saved version if that is what it is, else at the one after. changed: it is another
// one. The caller holds m.mu.
func (m *Mailbox) takeUp(v *View, h *history) (changed bool) {
	sv := m.saved
	sv.keywords = min(sv.keywords, len(v.Keywords))
	m.saved = nil
	m.position = h.position
	m.changed = true
	v.Version = sv.version
	v.UIDNext, v.HighestModSeq = max(v.UIDNext, sv.uidNext), max(v.HighestModSeq, sv.highestModSeq)
	v.Keywords = m.table.keywords[:len(m.table.keywords):len(m.table.keywords)]
	d, ok := sv.stepTo(v, h)
	if !ok {
		m.r.log.Warn("history of a sleeping mailbox is gone, its sessions end", "user", m.Ref().User.Name, "mailbox", m.Ref().Name)
		v.Version++
		m.journal = newJournal(v.Version, m.r.cfg.JournalBytes)
		m.install(v, nil)
		m.r.tell(*m.Ref(), 0, stateOf(v))
		return true
	}
	if d == nil {
		m.install(v, nil)
		return false
	}
	v.Version++
	m.install(v, d)
	return true
}

// stepTo returns the step from the saved state to v, nil if it is the same. ok is false if none leads there.
func (sv *saved) stepTo(v *View, h *history) (d *delta, ok bool) {
	d = &delta{limits: sv.limits}
	if c := h.since; !h.same && c != nil {
		if !slices.IsSorted(c.Expunged) || !slices.IsSorted(c.Updated.UIDs) {
			return nil, false
		}
		for _, uid := range slices.Compact(slices.Clone(c.Expunged)) {
			switch {
			case imap.UID(uid) >= sv.uidNext: // came and went
			case v.Seq(imap.UID(uid)) != 0:
				return nil, false
			default:
				d.expunged = append(d.expunged, record{uid: uid, modseq: sv.highestModSeq})
			}
		}
		for _, uid := range c.Updated.UIDs {
			if imap.UID(uid) < sv.uidNext && v.Seq(imap.UID(uid)) != 0 {
				d.flagged = append(d.flagged, uid)
			}
		}
	}
	old := uint32(v.lowerBound(sv.uidNext)) - 1
	if old+uint32(len(d.expunged)) != sv.count {
		return nil, false
	}
	if !d.changes(v, v.count > old) {
		return nil, true
	}
	// Without the changes it is known only if nothing has changed. It may have been said in another way where the history begins.
	return d, h.since != nil
}
