package hibernate

import (
	"math"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// rates are the counters at the last look.
type rates struct {
	at            time.Time
	woken, logins uint64
}

// freed are the bytes that were parked, and that the figure of the memory in use may still contain.
type freed struct {
	bytes uint64
	gcs   uint64 // Sample.GCs when bytes was 0
}

// collected is after how many ends of cycles what was dropped before is gone for certain: the first cycle may have begun before.
const collected = 2

// load takes the load of this moment.
func (g *Governor) load(now time.Time) backend.HibernationLoad {
	s, u := g.sample(), g.cache.Usage()
	if g.freed.bytes == 0 || s.GCs-g.freed.gcs >= collected {
		g.freed = freed{gcs: s.GCs}
	}
	l := backend.HibernationLoad{
		MemoryUsed: s.Memory - min(g.freed.bytes, s.Memory),
		MemoryMark: g.cfg.Memory,
		Queued:     clamp(s.Queued),
		QueueMark:  g.cfg.Queue,
		Running:    clamp(s.Running),
		Workers:    clamp(s.Workers),
		Sessions:   clamp(s.Sessions),
		Warm:       clamp(u.Open),
		WarmBytes:  uint64(max(u.Bytes, 0)),
	}
	if d := now.Sub(g.rates.at).Seconds(); d > 0 {
		l.WakesPerSecond = float64(u.Woken-g.rates.woken) / d
		l.LoginsPerSecond = float64(s.Logins-g.rates.logins) / d
	}
	g.rates = rates{now, u.Woken, s.Logins}
	g.quota = 0
	if l.QueueMark > 0 && l.Queued > l.QueueMark {
		g.quota = (u.Open + 3) / 4
	}
	g.counts.memory.Store(l.MemoryUsed)
	g.counts.pressed.Store(l.Pressed())
	return l
}

func clamp(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
