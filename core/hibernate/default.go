package hibernate

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// byDefault decides without the policy.
func (g *Governor) byDefault(l *backend.HibernationLoad) {
	pressed := l.Pressed()
	if g.cfg.Policy == nil && !pressed {
		return // the registry's timer does the rest
	}
	idle := g.cfg.Warm
	if pressed {
		idle = 0
	}
	for range rounds {
		cs := g.cache.Candidates(g.cfg.Batch, idle, true)
		if parked := g.rest(cs, l); parked < g.cfg.Batch {
			return
		}
	}
}

// rest decides on candidates, the least recently used first, as if there were no policy. It returns how many were parked.
func (g *Governor) rest(cs []mailbox.Candidate, l *backend.HibernationLoad) (parked int) {
	for _, c := range cs {
		tooMuch := l.MemoryMark > 0 && l.MemoryUsed > l.MemoryMark
		switch {
		case tooMuch || g.quota > 0 || c.Idle >= g.cfg.Warm:
			if g.park(c, l) {
				parked++
				g.quota--
			}
		case g.cfg.Policy != nil: // it was asked about early
			g.cache.Keep(c.ID, c.Used, c.Used.Add(g.cfg.Warm))
		}
	}
	return parked
}
