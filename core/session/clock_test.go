package session

import (
	"sync"
	"time"
)

// fakeClock stands still until it is advanced.
type fakeClock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *fakeClock { return &fakeClock{t: time.Unix(1_000_000_000, 0)} }

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// advance moves the clock, and returns when the loops have seen it.
func (c *fakeClock) advance(s *server, d time.Duration) {
	c.mu.Lock()
	c.t = c.t.Add(d)
	c.mu.Unlock()
	for _, l := range s.loops {
		seen := make(chan struct{})
		l.do(func() { close(seen) }) // requests are served after the wheel was turned
		<-seen
	}
}
