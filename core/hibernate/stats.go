package hibernate

import (
	"sync/atomic"
	"time"
)

// counts are written by the loop and read by Stats.
type counts struct {
	calls, failures, parked, kept, dropped atomic.Uint64
	byDefault, pressed                     atomic.Bool
	warm                                   atomic.Int64
	memory                                 atomic.Uint64
}

// Stats are the figures of a Governor. Counters count since the start.
type Stats struct {
	Calls      uint64        // of the policy
	Failures   uint64        // of these: an error, a wrong answer, or none in time
	Parked     uint64        // mailboxes, also by default; without those that the registry parked itself
	Kept       uint64        // times that the policy kept one
	Dropped    uint64        // mailboxes without sessions, by the policy
	ByDefault  bool          // the policy, if any, is not in force
	Pressed    bool          // memory or run queue has passed its mark
	Warm       time.Duration // how long a mailbox rests before anything is decided
	MemoryUsed uint64        // bytes, at the last look
	MemoryMark uint64        // bytes, 0 = none
}

// Stats returns the figures of this moment.
func (g *Governor) Stats() Stats {
	return Stats{
		Calls: g.counts.calls.Load(), Failures: g.counts.failures.Load(),
		Parked: g.counts.parked.Load(), Kept: g.counts.kept.Load(), Dropped: g.counts.dropped.Load(),
		ByDefault: g.counts.byDefault.Load(), Pressed: g.counts.pressed.Load(), Warm: time.Duration(g.counts.warm.Load()),
		MemoryUsed: g.counts.memory.Load(), MemoryMark: g.cfg.Memory,
	}
}
