package imap

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// contextStep brings the contexts of a session to another version of its mailbox.
type contextStep struct {
	r    *request
	u    *mailbox.Update
	list []searchContext
}

// contextStep returns the step for an update, nil if there are no contexts.
func (r *request) contextStep(u *mailbox.Update) *contextStep {
	if list := contextsOf(r.s); list != nil && u.From != u.To {
		return &contextStep{r, u, list}
	}
	return nil
}

// expunged tells what is removed because it was expunged, with the numbers of u.From: it precedes EXPUNGE (RFC 5267 §4.3.4).
func (st *contextStep) expunged() {
	if st == nil || len(st.u.Expunged) == 0 {
		return
	}
	gone := make([]uint32, len(st.u.Expunged))
	for i, seq := range st.u.Expunged {
		m, _ := st.u.From.Message(seq)
		gone[i] = uint32(m.UID)
	}
	for i := range st.list {
		l := contextLine{c: &st.list[i], view: st.u.From}
		l.remove(gone)
		l.write(st.r)
	}
}

// changed tells what else changes, with the numbers of u.To: it follows EXISTS (RFC 5267 §4.3.3). A context that cannot be brought
// up to date, or whose result has become too large, is ended.
func (st *contextStep) changed() {
	if st == nil {
		return
	}
	var kept []searchContext
	candidates := st.candidates()
	for _, c := range st.list {
		if len(candidates) > 0 {
			if err := st.update(&c, candidates); err != nil {
				st.r.logError(err)
				st.r.noUpdate(c.tag, "The result could not be updated.")
				continue
			}
		}
		if most := st.r.srv.cfg.ContextBytes; most > 0 && len(appendContexts(nil, append(kept, c))) > most {
			st.r.srv.contextsRefused.Hit(st.r.s, limitContextBytes, "user", st.r.user().Name)
			st.r.noUpdate(c.tag, "Result exceeds "+limitContextBytes+".")
			continue
		}
		kept = append(kept, c)
	}
	st.r.srv.setContexts(st.r.s, kept)
}

// candidates returns the messages of u.To that may belong to other results now: those that changed, and those that are new.
func (st *contextStep) candidates() (ranges []mailbox.SeqRange) {
	add := func(seq mailbox.SeqNum) {
		if n := len(ranges); n > 0 && ranges[n-1].Last+1 == seq {
			ranges[n-1].Last = seq
		} else {
			ranges = append(ranges, mailbox.SeqRange{First: seq, Last: seq})
		}
	}
	for _, c := range st.u.Changed {
		if seq := st.u.To.Seq(c.UID); seq != 0 {
			add(seq)
		}
	}
	for seq := st.firstNew(); seq <= mailbox.SeqNum(st.u.To.Len()); seq++ {
		add(seq)
	}
	return ranges
}

func (st *contextStep) firstNew() mailbox.SeqNum {
	return mailbox.SeqNum(st.u.To.Len() - st.u.Appended() + 1)
}

// update brings one context up to date, and tells what changed.
func (st *contextStep) update(c *searchContext, candidates []mailbox.SeqRange) error {
	r, view := st.r, st.u.To
	p := searchParser{view: view, saved: func() msgSet { return msgSet{uid: true} }}
	key, criteria, err := c.parse(&p, r.srv.cfg.Limits)
	if err != nil {
		return err
	}
	s := r.srv.newSearch(r.ctx, view, r.mbox.Ref(), key)
	s.recent, s.breathe, s.among = r.recent(view), r.s.Breathe, candidates
	if err := errorsOf(s.run(), s.failures.outcome("searched")); err != nil {
		return err
	}
	had := c.has
	if c.sorted() {
		had = memberOf(c.order)
	}
	var added, removed []uint32
	for m := range view.Messages(candidates) {
		uid := uint32(m.UID)
		switch has, had := s.found[m.Seq-1], had(uid); {
		case has && !had:
			added = append(added, uid)
		case had && !has:
			removed = append(removed, uid)
		}
	}
	l := contextLine{c: c, view: view}
	l.remove(removed)
	if len(added) > 0 {
		var order []uint32
		if c.sorted() {
			if order, added, err = st.order(s, criteria, c.order, added); err != nil {
				return err
			}
		}
		l.add(added, order)
		st.fetch(c, added)
	}
	l.write(r)
	return nil
}

// order returns where messages belong that match now, in the order of those that did, and which of them there are still. What others have expunged, of
// which the client can not be told yet, can not be sorted: what it has of that stays where it is.
func (st *contextStep) order(s *search, criteria []sortCriterion, had, added []uint32) (order, there []uint32, err error) {
	clear(s.found)
	for _, uid := range slices.Concat(had, added) {
		if seq := st.u.To.Seq(imap.UID(uid)); seq != 0 {
			s.found[seq-1] = true
		}
	}
	if err := s.sort(criteria, ""); err != nil {
		return nil, nil, err
	}
	if err := s.failures.outcome("sorted"); err != nil {
		return nil, nil, err
	}
	known := memberOf(had)
	var between []uint32            // since the last one that the client has
	before := map[uint32][]uint32{} // that one: those that come before it
	for m := range s.matches() {
		uid := uint32(m.UID)
		if known(uid) {
			before[uid], between = between, nil
			continue
		}
		between, there = append(between, uid), append(there, uid)
	}
	order = make([]uint32, 0, len(had)+len(there))
	for _, uid := range had {
		order = append(append(order, before[uid]...), uid)
	}
	slices.Sort(there)
	return append(order, between...), there, nil
}

// fetch sends what the client wants of new messages that match (RFC 5465 §6).
func (st *contextStep) fetch(c *searchContext, added []uint32) {
	if c.fetch == "" {
		return
	}
	d := imapwire.NewDecoder([]byte(" "+c.fetch+"\r\n"), imapwire.DefaultLimits)
	args, err := parseFetch(&d, c.uid, !st.r.enabled(enabledUIDOnly))
	if err != nil {
		return
	}
	var ranges []mailbox.SeqRange
	for _, uid := range added {
		if seq := st.u.To.Seq(imap.UID(uid)); seq >= st.firstNew() {
			ranges = append(ranges, mailbox.SeqRange{First: seq, Last: seq})
		}
	}
	if len(ranges) > 0 {
		st.r.fetchUnasked(st.u.To, args, ranges)
	}
}
