package adaptive

import (
	"time"

	"github.com/roostmail/roost/core/backend"
)

// level is how scarce memory and workers are.
type level uint8

const (
	calm level = iota
	tight
	pressed
)

const (
	hold  = 10 * time.Second // between two steps back to calm
	pace  = time.Second      // between two steps under pressure
	slack = 0.9              // of what raises a level, for it to fall
)

// pressure follows the load.
type pressure struct {
	o      options
	level  level
	calmed time.Duration // since when the load is low enough for a lower level
	warm   time.Duration // in force
	turned time.Duration // when warm was changed last
}

// follow takes a load in, at a time of core's clock.
func (p *pressure) follow(now time.Duration, l backend.HibernationLoad) {
	load := max(share(l.MemoryUsed, l.MemoryMark), share(uint64(l.Queued), uint64(l.QueueMark)))
	raised := calm
	switch {
	case l.Pressed():
		raised = pressed
	case load > p.o.tight:
		raised = tight
	}
	switch {
	case raised >= p.level:
		p.level, p.calmed = raised, now
	case load > slack*p.threshold():
		p.calmed = now
	case now-p.calmed >= hold:
		p.level--
		p.calmed = now
	}
	p.turn(now)
}

// threshold is the load that raises the present level.
func (p *pressure) threshold() float64 {
	if p.level == pressed {
		return 1
	}
	return p.o.tight
}

func share(n, mark uint64) float64 {
	if mark == 0 {
		return 0
	}
	return float64(n) / float64(mark)
}

// turn moves warm towards what the level asks for.
func (p *pressure) turn(now time.Duration) {
	aim := p.o.warm
	switch p.level {
	case tight:
		aim = max(p.o.warm/2, p.o.minWarm)
	case pressed:
		aim = p.o.minWarm
	}
	switch since := now - p.turned; {
	case p.warm > aim && since >= pace:
		p.warm, p.turned = max(p.warm/2, aim), now
	case p.warm < aim && since >= hold:
		p.warm, p.turned = min(max(2*p.warm, time.Millisecond), aim), now
	}
}

// reach is how long an expected mailbox is kept at most.
func (p *pressure) reach() time.Duration {
	if p.level == calm {
		return p.o.maxWarm
	}
	return p.o.maxWarm / 4
}
