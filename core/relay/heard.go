package relay

import (
	"sync"

	"github.com/roostmail/roost/core/backend"
)

// heard remembers what other servers have told last of each mailbox, so that what a refresh finds because of it is not told on.
type heard struct {
	max int

	mu    sync.Mutex
	byKey map[key]backend.MailboxChange
}

func newHeard(max int) *heard { return &heard{max: max, byKey: map[key]backend.MailboxChange{}} }

// add notes a change elsewhere. When there are too many all are forgotten, which costs a needless message for each at the most.
func (h *heard) add(c backend.MailboxChange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.byKey) >= h.max {
		clear(h.byKey)
	}
	h.byKey[keyOf(&c)] = c
}

// echoes reports whether a change here is no more than what was heard. One that is more ends the memory of it.
func (h *heard) echoes(c *backend.MailboxChange) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := keyOf(c)
	there, ok := h.byKey[k]
	if !ok {
		return false
	}
	if within(c, &there) {
		return true
	}
	delete(h.byKey, k)
	return false
}

// within reports whether c says nothing that there does not say.
func within(c, there *backend.MailboxChange) bool {
	a, b := c.State, there.State
	if a == nil || b == nil {
		return a == nil && b == nil && c.Kinds != 0 && c.Kinds&^there.Kinds == 0
	}
	return a.UIDValidity == b.UIDValidity && a.UIDNext <= b.UIDNext &&
		(a.HighestModSeq < b.HighestModSeq || a.HighestModSeq == b.HighestModSeq && a.Messages == b.Messages)
}
