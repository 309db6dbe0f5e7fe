package adaptive

import (
	"math"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// policy decides. It is a function of its options and of the batches so far.
type policy struct {
	o        options
	history  history
	pressure pressure
}

func newPolicy(o options) *policy {
	return &policy{o: o, history: newHistory(o.history), pressure: pressure{o: o, warm: o.warm, turned: -hold}}
}

// soon is when core is to ask again about what is kept for a moment only.
const soon = time.Second

// decide answers a batch.
func (p *policy) decide(b *backend.HibernationBatch) *backend.HibernationAnswer {
	p.pressure.follow(b.Now, b.Load)
	a := &backend.HibernationAnswer{
		IDs:     b.IDs,
		Actions: make([]backend.HibernationAction, b.Len()),
		Again:   make([]uint32, b.Len()),
		Warm:    p.pressure.warm,
	}
	goal := p.goal(b.Load)
	for i := range b.IDs {
		p.learn(b, i)
		keep := p.keep(b, i)
		if goal.take(b.Bytes[i]) || keep <= 0 {
			a.Actions[i] = backend.ActionPark
			if b.States[i] == backend.StateLeft {
				a.Actions[i] = backend.ActionDrop
			}
			continue
		}
		a.Actions[i] = backend.ActionKeep
		a.Again[i] = uint32(min(max(keep, soon).Milliseconds(), math.MaxUint32))
	}
	a.SoftBytes = p.soft(b.Load)
	return a
}

// learn takes in what a candidate tells of itself.
func (p *policy) learn(b *backend.HibernationBatch, i int) {
	r, first := p.history.make(b.Keys[i])
	if r == nil {
		return
	}
	used := b.Now.Milliseconds() - int64(b.Idle[i])
	pause := used - r.used
	r.used = used
	if !first && pause < burst.Milliseconds() {
		return // it was asked about since its last use
	}
	switch {
	case b.Gaps[i] > 0: // the pause before its last use, which is right also if it was used more than once since the last question
		pause = int64(b.Gaps[i])
	case first:
		return
	}
	n := uint32(min(pause, math.MaxUint32))
	r.learn(n)
	u, _ := p.history.make(userKey(b.UserKeys[i]))
	u.used = max(u.used, used)
	u.learn(n)
}

// keep returns for how long a candidate should stay warm from now on; 0 = it should not.
func (p *policy) keep(b *backend.HibernationBatch, i int) time.Duration {
	idle := time.Duration(b.Idle[i]) * time.Millisecond
	until := p.pressure.warm
	expected, ok := p.history.find(b.Keys[i]).expected()
	if !ok {
		expected, ok = p.history.find(userKey(b.UserKeys[i])).expected()
	}
	if ok && expected <= p.pressure.reach() {
		until = max(until, expected)
	}
	return until - idle
}

// goal is what must be parked, expected or not: the least recently used first.
type goal struct {
	bytes uint64
	count uint32
}

func (p *policy) goal(l backend.HibernationLoad) (g goal) {
	if l.MemoryMark > 0 && l.MemoryUsed > l.MemoryMark {
		g.bytes = l.MemoryUsed - uint64(p.o.tight*float64(l.MemoryMark))
	}
	if l.QueueMark > 0 && l.Queued > l.QueueMark {
		g.count = l.Warm/4 + 1
	}
	return g
}

// take reports whether the next candidate belongs to what must be parked.
func (g *goal) take(bytes uint64) bool {
	if g.bytes == 0 && g.count == 0 {
		return false
	}
	g.bytes -= min(bytes, g.bytes)
	g.count -= min(1, g.count)
	return true
}

// soft returns the most that the views may take until memory reaches its mark, 0 = no bound.
func (p *policy) soft(l backend.HibernationLoad) uint64 {
	switch {
	case p.pressure.level == calm || l.MemoryMark == 0:
		return 0
	case l.MemoryUsed <= l.MemoryMark:
		return l.WarmBytes + l.MemoryMark - l.MemoryUsed
	}
	excess := l.MemoryUsed - l.MemoryMark
	return max(1, l.WarmBytes-min(excess, l.WarmBytes))
}
