package mdbox

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/roostmail/roost/mdbox"
)

// recoverTimeout is how long the first use of a store waits for what a process has left that died in the midst of a change.
const recoverTimeout = 5 * time.Second

// recoveredSlots is how many stores are remembered, at most: one in each slot, 4 bytes.
const recoveredSlots = 1 << 16

// recoveredAge is how old the last change of a directory must be to be remembered: one that comes in the same tick of the clock as one
// before it would not be seen.
const recoveredAge = 2 * time.Second

// recovered remembers the stores in which no process has left anything, and no process was at work, together with the time of the last change of
// the directory that would show one: so a user who wakes once a minute does not have it read each time. Which store has a slot depends on its hash; the
// later one gets it. Its zero value is ready.
type recovered struct {
	clock func() time.Time // nil: time.Now

	mu    sync.Mutex
	seed  maphash.Seed
	slots []uint32 // nil: none yet; a part of the hash of the store with the time
}

// recover brings to an end what processes have left in a store at p that is opened, if any may have.
func (r *recovered) recover(p place, s *mdbox.Store) {
	at := s.Entered()
	if at != 0 && r.known(p, at) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), recoverTimeout)
	defer cancel()
	if s.Recover(ctx) && at != 0 {
		r.note(p, at)
	}
}

// slot returns where a store is remembered, and as what. r.mu is held.
func (r *recovered) slot(p place, at int64) (*uint32, uint32) {
	if r.slots == nil {
		r.seed, r.slots = maphash.MakeSeed(), make([]uint32, recoveredSlots)
	}
	sum := maphash.Comparable(r.seed, struct {
		place
		at int64
	}{p, at})
	return &r.slots[maphash.Comparable(r.seed, p)%recoveredSlots], max(uint32(sum), 1)
}

func (r *recovered) known(p place, at int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, sum := r.slot(p, at)
	return *s == sum
}

func (r *recovered) note(p place, at int64) {
	now := time.Now
	if r.clock != nil {
		now = r.clock
	}
	if now().UnixNano()-at < int64(recoveredAge) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, sum := r.slot(p, at)
	*s = sum
}
