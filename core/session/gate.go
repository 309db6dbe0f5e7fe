package session

import "sync"

// gate bounds the handshakes in progress: each has a goroutine and some 20 KiB while it waits for its client.
// Sessions that find it full sleep, and are signalled in the order they came.
type gate struct {
	max int

	mu      sync.Mutex // guards what follows
	inside  int
	queue   ring[Handle]
	waiting map[Handle]struct{} // what is in queue: a session may knock more than once
}

// enter reports whether h may go on; leave must follow. If not, h is queued.
func (g *gate) enter(h Handle) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside < g.max {
		g.inside++
		delete(g.waiting, h)
		return true
	}
	if _, ok := g.waiting[h]; !ok {
		if g.waiting == nil {
			g.waiting = make(map[Handle]struct{})
		}
		g.waiting[h] = struct{}{}
		g.queue.push(h)
	}
	return false
}

// leave ends what enter began. It returns the next to be signalled, who may have ended in the meantime, or 0.
func (g *gate) leave() Handle {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	return g.next()
}

// next takes the oldest from the queue that still waits, or returns 0. g.mu is held.
func (g *gate) next() Handle {
	for g.queue.len() > 0 {
		h := g.queue.pop()
		if _, ok := g.waiting[h]; ok {
			delete(g.waiting, h)
			return h
		}
	}
	return 0
}

// forget passes the turn of a session that has ended without using it to the one after it.
func (g *gate) forget() Handle {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside >= g.max {
		return 0
	}
	return g.next()
}

// inProgress returns the number of handshakes.
func (g *gate) inProgress() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}
