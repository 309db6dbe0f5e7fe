package imap

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

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
