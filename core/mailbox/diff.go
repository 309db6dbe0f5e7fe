package mailbox

import "github.com/roostmail/roost/core/backend"

// fromReset returns the view of a snapshot that stands for a lost history, and
// the step to it from v; a nil delta if nothing changed. It returns ErrReplaced if the snapshot
// is not of the same mailbox, or gives a message a UID that v has behind it:
// no sequence of changes leads there.
func fromReset(v *View, s *backend.Snapshot) (*View, *delta, error) {
	if s.UIDValidity != v.UIDValidity || s.MailboxID != v.MailboxID {
		return nil, nil, ErrReplaced
	}
	next, err := fromSnapshot(s, v.table, v.Version)
	if err != nil {
		return nil, nil, err
	}
	next.UIDNext = max(next.UIDNext, v.UIDNext)
	next.HighestModSeq = max(next.HighestModSeq, v.HighestModSeq)
	d := deltaFrom(v)
	old, now := cursor{chunks: v.chunks}, cursor{chunks: next.chunks}
	for {
		o, haveOld := old.peek()
		n, haveNow := now.peek()
		switch {
		case haveOld && (!haveNow || o.uid < n.uid):
			d.expunged = append(d.expunged, o)
			old.next()
		case haveOld && o.uid == n.uid:
			d.note(o, n)
			old.next()
			now.next()
		case haveNow && n.uid < uint32(v.UIDNext):
			return nil, nil, ErrReplaced
		default: // only messages that arrived are left
			if !d.changes(next, haveNow) {
				return v, nil, nil
			}
			next.Version++
			return next, d, nil
		}
	}
}

// cursor walks over the messages of chunks.
type cursor struct {
	chunks []*chunk
	i      int
}

func (c *cursor) peek() (record, bool) {
	if len(c.chunks) == 0 {
		return record{}, false
	}
	return c.chunks[0].record(c.i), true
}

func (c *cursor) next() {
	if c.i++; c.i == c.chunks[0].len() {
		c.chunks, c.i = c.chunks[1:], 0
	}
}
