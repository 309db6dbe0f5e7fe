package mdbox

import (
	"hash/maphash"
	"sync"
	"time"
)

// recoveredFor is how long a store is known to have nothing of dead processes, once it was looked at. What this process's own predecessor
// has left is found by the first look; only what others leave that die later (roost mail, a roost on another machine) waits for the
// next one, or for the first change by this process, which looks too.
const recoveredFor = time.Hour

// recoveredSlots is how many stores are remembered, at most: one in each slot, 16 bytes.
const recoveredSlots = 1 << 16

// recovered remembers which stores were looked at, so that a user who wakes once a minute does not have his store's directory read each time.
// Which store has a slot depends on its hash; the later one gets it. Its zero value is ready.
type recovered struct {
	clock func() time.Time // nil: time.Now

	mu    sync.Mutex
	seed  maphash.Seed
	slots []recoveredSlot // nil: none yet
}

type recoveredSlot struct {
	hash uint64
	at   int64 // UNIX time, seconds
}

// due reports whether a store must be looked at, and takes it to be done.
func (r *recovered) due(p place) bool {
	now := time.Now
	if r.clock != nil {
		now = r.clock
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slots == nil {
		r.seed, r.slots = maphash.MakeSeed(), make([]recoveredSlot, recoveredSlots)
	}
	h := maphash.Comparable(r.seed, p)
	s := &r.slots[h%recoveredSlots]
	if t := now().Unix(); s.hash != h || t-s.at >= int64(recoveredFor/time.Second) || t < s.at {
		*s = recoveredSlot{h, t}
		return true
	}
	return false
}
