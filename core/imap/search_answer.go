package imap

import (
	"iter"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// matches iterates over what was found, in its order.
func (s *search) matches() iter.Seq[mailbox.Message] {
	return func(yield func(mailbox.Message) bool) {
		if s.order == nil {
			for m := range s.view.Messages(s.view.All()) {
				if s.found[m.Seq-1] && !yield(m) {
					return
				}
			}
			return
		}
		for _, seq := range s.order {
			if m, _ := s.view.Message(seq); !yield(m) {
				return
			}
		}
	}
}

// count returns how many messages were found.
func (s *search) count() (n int) {
	for _, found := range s.found {
		if found {
			n++
		}
	}
	return n
}

// answer writes the SEARCH or SORT response (RFC 3501 §7.2.5, RFC 5256 §4; RFC 7162 §3.1.5: the highest modseq of what was found).
func (s *search) answer(out output, name string, uid bool) error {
	b := out.Buffer()
	*b = append(append(*b, "* "...), name...)
	if s.order != nil && !uid && !s.key.hasModSeq() { // nothing else of the messages is asked for
		for _, seq := range s.order {
			*b = imapwire.AppendNumber(append(*b, ' '), uint64(seq))
			if len(*b) >= fetchFlush {
				out.Commit()
			}
		}
		*b = append(*b, '\r', '\n')
		return gone(out.Commit())
	}
	var modseq uint64
	for m := range s.matches() {
		n := uint64(m.Seq)
		if uid {
			n = uint64(m.UID)
		}
		*b = imapwire.AppendNumber(append(*b, ' '), n)
		modseq = max(modseq, m.ModSeq)
		if len(*b) >= fetchFlush {
			out.Commit()
		}
	}
	if s.key.hasModSeq() && modseq > 0 {
		*b = append(*b, " (MODSEQ "...)
		*b = imapwire.AppendNumber(*b, modseq)
		*b = append(*b, ')')
	}
	*b = append(*b, '\r', '\n')
	return gone(out.Commit())
}
