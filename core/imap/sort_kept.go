package imap

import (
	"slices"
	"strings"

	"github.com/roostmail/roost/core/mailbox"
)

// What messages are sorted by does not change: an order that was found once is kept with the mailbox (mailbox.Finding), and that of some of its messages
// is taken from it. So are the threads of all messages.

// keeps reports whether an order or threads of so many messages are kept: of those of which others are likely to be a part.
func (s *search) keeps(found int) bool {
	return s.box != nil && 2*found > int(s.view.Len()) && s.failures.count == 0
}

// keepOrder keeps an order of messages: their indexes in found.
func (s *search) keepOrder(about string, found []mailbox.Message, order []uint32) {
	f := &mailbox.Finding{About: about, UIDs: make([]uint32, len(found)), Ranks: make([]uint32, len(found))}
	for i, m := range found {
		f.UIDs[i] = uint32(m.UID)
	}
	for rank, i := range order {
		f.Ranks[i] = uint32(rank)
	}
	s.box.Keep(f)
}

// keptOrder returns the order of what was found, if an order is kept in which all of that is.
func (s *search) keptOrder(about string) ([]mailbox.SeqNum, bool) {
	if s.box == nil {
		return nil, false
	}
	f := s.box.Finding(about)
	if f == nil {
		return nil, false
	}
	at := make([]mailbox.SeqNum, len(f.UIDs)) // by rank; 0 = it was not found
	k, n := 0, 0
	for m := range s.matches() {
		for k < len(f.UIDs) && f.UIDs[k] < uint32(m.UID) {
			k++
		}
		if k == len(f.UIDs) || f.UIDs[k] != uint32(m.UID) {
			return nil, false
		}
		at[f.Ranks[k]] = m.Seq
		n++
	}
	if n < len(at) {
		at = slices.DeleteFunc(at, func(seq mailbox.SeqNum) bool { return seq == 0 })
	}
	return at, true
}

// aboutOrder names an order by its criteria, as the client wrote them.
func aboutOrder(criteria string) string { return "SORT " + strings.ToUpper(criteria) }

// keptThreads returns the response that a THREAD of all messages had, nil = it is not known, or not all were found.
func (s *search) keptThreads(about string) []byte {
	if s.box == nil {
		return nil
	}
	f := s.box.Finding(about)
	if f == nil || len(f.UIDs) != int(s.view.Len()) {
		return nil
	}
	n := 0
	for m := range s.matches() {
		if uint32(m.UID) != f.UIDs[n] {
			return nil
		}
		n++
	}
	if n < len(f.UIDs) {
		return nil
	}
	return f.Text
}

// keepThreads keeps the response of a THREAD of all messages.
func (t *thread) keepThreads(about string, text []byte) {
	gone := slices.ContainsFunc(t.messages, func(m threadMessage) bool { return !m.came })
	if !gone && t.keeps(len(t.messages)) && len(t.messages) == int(t.view.Len()) {
		f := &mailbox.Finding{About: about, UIDs: make([]uint32, len(t.messages)), Text: text}
		for i := range t.messages {
			f.UIDs[i] = uint32(t.messages[i].UID)
		}
		t.box.Keep(f)
	}
}

// aboutThreads names threads by their algorithm and the kind of numbers in the response.
func aboutThreads(algorithm string, uid bool) string {
	if uid {
		return "UID THREAD " + algorithm
	}
	return "THREAD " + algorithm
}
