package imap

import (
	"slices"
	"strings"

	"github.com/roostmail/roost/core/mailbox"
)

// What messages are sorted by does not change: an order that was found once is kept with the mailbox (mailbox.Finding), and that of some of its messages
// is taken from it. So are the threads of all messages.

// keeps reports whether an order of so many messages is kept: of those of which others are likely to be a part.
func (s *search) keeps(found int) bool {
	return s.box != nil && 2*found > int(s.view.Len()) && s.failures.count == 0
}

// once calls use with what is kept, and if that is of no use (false), find. When others are about to find what will be kept, it waits for that, and
// calls use again: of many who ask the same at once, one finds it. If that one fails, all do, but not because its client has gone. What is not likely to be
// kept is not waited for.
func (s *search) once(about string, likely bool, use func(*mailbox.Finding) bool, find func() error) error {
	if s.box == nil {
		return find()
	}
	var useless *mailbox.Finding
	for {
		f := s.box.Finding(about)
		if f != nil && f != useless && use(f) {
			return nil
		}
		useless = f
		if !likely {
			return find()
		}
		switch seeking, first := s.box.Seek(about); {
		case !first:
			s.wait(seeking.Done())
			if err := s.ctx.Err(); err != nil {
				return err
			}
			if err := seeking.Err(); err != nil {
				return err
			}
		case s.box.Finding(about) != useless: // it came before Seek
			s.box.Sought(seeking, nil)
		default:
			return s.seek(seeking, find)
		}
	}
}

// seek calls find, for all who wait.
func (s *search) seek(seeking *mailbox.Seeking, find func() error) (err error) {
	var forAll error
	defer func() { s.box.Sought(seeking, forAll) }()
	if err = find(); s.ctx.Err() == nil {
		forAll = err
	}
	return err
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

// orderOf puts what was found in a kept order, if all of that is in it.
func (s *search) orderOf(f *mailbox.Finding) bool {
	at := make([]mailbox.SeqNum, len(f.UIDs)) // by rank; 0 = it was not found
	k, n := 0, 0
	for m := range s.matches() {
		for k < len(f.UIDs) && f.UIDs[k] < uint32(m.UID) {
			k++
		}
		if k == len(f.UIDs) || f.UIDs[k] != uint32(m.UID) {
			return false
		}
		at[f.Ranks[k]] = m.Seq
		n++
	}
	if n < len(at) {
		at = slices.DeleteFunc(at, func(seq mailbox.SeqNum) bool { return seq == 0 })
	}
	s.order = at
	return true
}

// aboutOrder names an order by its criteria, as the client wrote them.
func aboutOrder(criteria string) string { return "SORT " + strings.ToUpper(criteria) }

// threadsOf reports whether kept threads are those of exactly what was found, which is all messages.
func (s *search) threadsOf(f *mailbox.Finding) bool {
	if len(f.UIDs) != int(s.view.Len()) {
		return false
	}
	n := 0
	for m := range s.matches() {
		if uint32(m.UID) != f.UIDs[n] {
			return false
		}
		n++
	}
	return n == len(f.UIDs)
}

// keepsThreads reports whether threads of so many messages are kept: of all.
func (s *search) keepsThreads(found int) bool { return s.keeps(found) && found == int(s.view.Len()) }

// keepThreads keeps the response of a THREAD of all messages.
func (t *thread) keepThreads(about string, text []byte) {
	gone := slices.ContainsFunc(t.messages, func(m threadMessage) bool { return !m.came })
	if !gone && t.keepsThreads(len(t.messages)) {
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
