package mailbox

import (
	"math"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// edit is what happens to the messages of a view, everything ascending by UID.
type edit struct {
	expunged []uint32
	updated  []record
	appended []record
}

// fromChanges returns the view after a storage answer that is no Reset, and the step to
// it; a nil delta if nothing changed. UIDs that v does not have are ignored where
// something happens to them, since what is gone can not change.
func fromChanges(v *View, c *backend.Changes) (*View, *delta, error) {
	t := v.table
	if err := checkColumns(&c.Updated, 0); err != nil {
		return nil, nil, err
	}
	if err := checkColumns(&c.Appended, uint32(v.UIDNext)-1); err != nil {
		return nil, nil, err
	}
	for i := 1; i < len(c.Expunged); i++ {
		if c.Expunged[i] <= c.Expunged[i-1] {
			return nil, nil, badAnswer("expunged UIDs do not ascend")
		}
	}
	kwmap := t.keywordMap(c.Keywords)
	e := edit{expunged: c.Expunged, updated: make([]record, 0, len(c.Updated.UIDs)), appended: make([]record, 0, len(c.Appended.UIDs))}
	cols := newColumns(&c.Updated, t, kwmap, c.HighestModSeq)
	for i := range c.Updated.UIDs {
		e.updated = append(e.updated, cols.record(i))
	}
	cols = newColumns(&c.Appended, t, kwmap, c.HighestModSeq)
	for i := range c.Appended.UIDs {
		e.appended = append(e.appended, cols.record(i))
	}
	next := *v
	next.UIDNext = max(v.UIDNext, c.UIDNext)
	if n := len(e.appended); n > 0 {
		next.UIDNext = max(next.UIDNext, uidAfter(e.appended[n-1].uid))
	}
	next.FirstRecent = c.FirstRecentUID
	next.HighestModSeq = max(v.HighestModSeq, c.HighestModSeq)
	return finish(v, &next, e)
}

// uidAfter returns the UID after uid, or uid if it is the last there is.
func uidAfter(uid uint32) imap.UID {
	return imap.UID(uid + min(1, math.MaxUint32-uid))
}

// finish completes next, a copy of v with new limits, by an edit.
func finish(v, next *View, e edit) (*View, *delta, error) {
	t := v.table
	next.Keywords = t.keywords[:len(t.keywords):len(t.keywords)]
	d := deltaFrom(v)
	next.chunkList = applyEdit(v, e, d)
	t.publish()
	if !d.changes(next, len(e.appended) > 0) {
		return v, nil, nil
	}
	next.Version = v.Version + 1
	return next, d, nil
}

// first returns the lowest UID to which something happens that is there already.
func (e *edit) first() (uid uint32, ok bool) {
	uid = math.MaxUint32
	if len(e.expunged) > 0 {
		uid, ok = e.expunged[0], true
	}
	if len(e.updated) > 0 {
		uid, ok = min(uid, e.updated[0].uid), true
	}
	return uid, ok
}

// applyEdit returns the messages of v after e and notes in d what happened.
func applyEdit(v *View, e edit, d *delta) chunkList {
	w := rewriting(&v.chunkList, v.table)
	kept := 0
	for {
		uid, ok := e.first()
		i := len(v.chunks)
		if ok {
			i = v.find(kept, uid)
		}
		w.keep(&v.chunkList, kept, i)
		if i == len(v.chunks) {
			break
		}
		c := v.chunks[i]
		w.replace(c)
		kept = i + 1
		x, u := takeUIDs(&e.expunged, c.last()), takeRecords(&e.updated, c.last())
		if len(x) > 0 {
			var gone []record
			c, gone = c.without(x, v.table)
			d.expunged = append(d.expunged, gone...)
		}
		if len(u) > 0 {
			c = c.update(u, v.table, d)
		}
		w.fill(c)
	}
	w.grow(e.appended)
	return w.list
}

// update returns a copy of c with the values of u, whose UIDs are in the range of c.
func (c *chunk) update(u []record, t *flagTable, d *delta) *chunk {
	n := &chunk{uids: c.uids[:c.len():c.len()], flags: slices.Clone(c.flags), modseqs: slices.Clone(c.modseqs)}
	var less, more chunk
	for _, r := range u {
		i := c.find(r.uid)
		if i == c.len() || c.uids[i] != r.uid {
			continue
		}
		d.note(c.record(i), r)
		less.tally(n.flags[i], n.modseqs[i], t)
		more.tally(r.flags, r.modseq, t)
		n.flags[i], n.modseqs[i] = r.flags, r.modseq
	}
	n.tallyFrom(c, &less, &more)
	return n
}

// note records that a message changed.
func (d *delta) note(old, new record) {
	switch {
	case old.flags != new.flags:
		d.flagged = append(d.flagged, old.uid)
	case old.modseq != new.modseq:
		d.touched = append(d.touched, old.uid)
	}
}

// takeUIDs removes from s, ascending, what is at most last, and returns it.
func takeUIDs(s *[]uint32, last uint32) []uint32 {
	n := 0
	for n < len(*s) && (*s)[n] <= last {
		n++
	}
	taken := (*s)[:n]
	*s = (*s)[n:]
	return taken
}

// takeRecords is takeUIDs for records.
func takeRecords(s *[]record, last uint32) []record {
	n := 0
	for n < len(*s) && (*s)[n].uid <= last {
		n++
	}
	taken := (*s)[:n]
	*s = (*s)[n:]
	return taken
}
