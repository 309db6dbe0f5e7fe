package imap

import (
	"errors"
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

var errContext = errors.New("imap: a context cannot be brought up to date")

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
			if order, err = st.order(s, criteria, append(slices.Clone(c.order), added...)); err != nil {
				return err
			}
		}
		l.add(added, order)
		st.fetch(c, added)
	}
	l.write(r)
	return nil
}

// order sorts messages that match.
func (st *contextStep) order(s *search, criteria []sortCriterion, uids []uint32) ([]uint32, error) {
	clear(s.found)
	for _, uid := range uids {
		if seq := st.u.To.Seq(imap.UID(uid)); seq != 0 {
			s.found[seq-1] = true
		}
	}
	if err := s.sort(criteria); err != nil {
		return nil, err
	}
	if err := s.failures.outcome("sorted"); err != nil {
		return nil, err
	}
	order := make([]uint32, 0, len(s.order))
	for m := range s.matches() {
		order = append(order, uint32(m.UID))
	}
	if len(order) != len(uids) { // a message is gone, of which the client is not told yet
		return nil, errContext
	}
	return order, nil
}

// fetch sends what the client wants of new messages that match (RFC 5465 §6).
func (st *contextStep) fetch(c *searchContext, added []uint32) {
	if c.fetch == "" {
		return
	}
	d := imapwire.NewDecoder([]byte(" "+c.fetch+"\r\n"), imapwire.DefaultLimits)
	args, err := parseFetch(&d, c.uid)
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

// contextLine is an ESEARCH response with ADDTO and REMOVEFROM (RFC 5267 §4.3.2), while it is made: of each a list of pairs of a
// position and a set of numbers. Those of SEARCH have the position 0.
type contextLine struct {
	c    *searchContext
	view *mailbox.View // that numbers are of
	text []byte
}

// memberOf returns a function that tells whether a number is in the list.
func memberOf(list []uint32) func(n uint32) bool {
	set := make(map[uint32]bool, len(list))
	for _, n := range list {
		set[n] = true
	}
	return func(n uint32) bool { return set[n] }
}

// remove takes messages, ascending, out of the result, if they are in it; of a SORT the last ones first, so that no position has to be adjusted.
func (l *contextLine) remove(uids []uint32) {
	c := l.c
	if len(uids) == 0 {
		return
	}
	if !c.sorted() {
		uids = slices.DeleteFunc(slices.Clone(uids), func(uid uint32) bool { return !c.has(uid) })
		c.found = withoutNumbers(c.found, uids)
		l.item(" REMOVEFROM (", l.pair(nil, 0, uids))
		return
	}
	var pairs []byte
	gone := memberOf(uids)
	for end := len(c.order); end > 0; {
		if !gone(c.order[end-1]) {
			end--
			continue
		}
		start := end - 1
		for start > 0 && gone(c.order[start-1]) {
			start--
		}
		pairs = l.pair(pairs, start+1, c.order[start:end])
		c.order = slices.Delete(c.order, start, end)
		end = start
	}
	l.item(" REMOVEFROM (", pairs)
}

// add puts messages, ascending, which are not in it into the result; order is that of the new result, if it is that of a SORT.
func (l *contextLine) add(added, order []uint32) {
	c := l.c
	if !c.sorted() {
		c.found = withNumbers(c.found, added)
		l.item(" ADDTO (", l.pair(nil, 0, added))
		return
	}
	var pairs []byte
	isNew := memberOf(added)
	for i := 0; i < len(order); i++ {
		end := i
		for end < len(order) && isNew(order[end]) {
			end++
		}
		if end > i {
			pairs = l.pair(pairs, i+1, order[i:end])
			i = end
		}
	}
	c.order = order
	l.item(" ADDTO (", pairs)
}

// withNumbers returns ranges, ascending, with numbers, ascending, that are not in them.
func withNumbers(ranges []imapwire.NumRange, numbers []uint32) (all []imapwire.NumRange) {
	add := func(r imapwire.NumRange) {
		if k := len(all); k > 0 && all[k-1].Stop+1 == r.Start {
			all[k-1].Stop = r.Stop
		} else {
			all = append(all, r)
		}
	}
	for _, r := range ranges {
		for len(numbers) > 0 && numbers[0] < r.Start {
			add(imapwire.NumRange{Start: numbers[0], Stop: numbers[0]})
			numbers = numbers[1:]
		}
		add(r)
	}
	for _, n := range numbers {
		add(imapwire.NumRange{Start: n, Stop: n})
	}
	return all
}

// withoutNumbers returns ranges, ascending, without numbers, ascending, that are in them.
func withoutNumbers(ranges []imapwire.NumRange, numbers []uint32) (rest []imapwire.NumRange) {
	for _, r := range ranges {
		start := uint64(r.Start)
		for len(numbers) > 0 && numbers[0] <= r.Stop {
			if uint64(numbers[0]) > start {
				rest = append(rest, imapwire.NumRange{Start: uint32(start), Stop: numbers[0] - 1})
			}
			start, numbers = uint64(numbers[0])+1, numbers[1:]
		}
		if start <= uint64(r.Stop) {
			rest = append(rest, imapwire.NumRange{Start: uint32(start), Stop: r.Stop})
		}
	}
	return rest
}

// pair appends a position and numbers, if there are any.
func (l *contextLine) pair(b []byte, position int, uids []uint32) []byte {
	var ranges []imapwire.NumRange
	for _, n := range uids {
		if !l.c.uid {
			n = uint32(l.view.Seq(imap.UID(n)))
		}
		if n != 0 {
			ranges = addNumber(ranges, n)
		}
	}
	if len(ranges) == 0 {
		return b
	}
	if len(b) > 0 {
		b = append(b, ' ')
	}
	b = append(imapwire.AppendNumber(b, uint64(position)), ' ')
	return imapwire.AppendNumSet(b, ranges)
}

func (l *contextLine) item(name string, pairs []byte) {
	if len(pairs) > 0 {
		l.text = append(append(append(l.text, name...), pairs...), ')')
	}
}

// write writes the response, if there is anything to tell.
func (l *contextLine) write(r *request) {
	if len(l.text) == 0 {
		return
	}
	b := r.s.Buffer()
	*b = append(*b, "* ESEARCH (TAG "...)
	*b = append(imapwire.AppendQuoted(*b, []byte(l.c.tag)), ')')
	if l.c.uid {
		*b = append(*b, " UID"...)
	}
	*b = append(append(*b, l.text...), '\r', '\n')
	r.s.Commit()
}
