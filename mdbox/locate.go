package mdbox

import (
	"iter"

	"github.com/roostmail/roost/mdbox/index"
)

// located yields the message numbers of the UIDs that exist, in their order.
// UIDs that follow each other in the mailbox cost no search.
func located(s *index.State, uids iter.Seq[uint32]) iter.Seq[int] {
	return func(yield func(int) bool) {
		all := s.UIDs()
		next := 0
		for uid := range uids {
			if next >= len(all) || all[next] != uid {
				i, found := s.Find(uid)
				if !found {
					continue
				}
				next = i
			}
			if !yield(next) {
				return
			}
			next++
		}
	}
}
