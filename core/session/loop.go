package session

import (
	"sync"
	"time"

	"github.com/roostmail/roost/core/conn"
)

// acceptsPerTurn is how many connections a loop takes before it looks after its sessions again.
const acceptsPerTurn = 64

// loopScratch is the size of a loop's read buffer.
const loopScratch = 64 << 10

// loop is one goroutine with a poller: it watches the descriptors of the slots that are its own (by
// remainder), runs what needs no worker, and turns the timer wheel of its slots.
type loop struct {
	e      *Engine
	poller *conn.Poller
	wheel  wheel
	s      Session // the session whose turn it is
	due    []Handle
	ticked uint32        // the second up to which the wheel was turned
	done   chan struct{} // closed when the goroutine has ended

	mu        sync.Mutex // guards what follows; requests of other goroutines
	requests  []func()   // run by the loop's goroutine
	stopped   bool
	listeners map[int]*listener // by number; the loop's goroutine only
}

func newLoop(e *Engine) (*loop, error) {
	p, err := conn.NewPoller()
	if err != nil {
		return nil, err
	}
	l := &loop{e: e, poller: p, done: make(chan struct{}), listeners: make(map[int]*listener)}
	l.wheel.slab, l.wheel.wake = e.slab, p.Wake
	l.s.scratch = make([]byte, loopScratch)
	return l, nil
}

// begin starts the loop's goroutine, which end stops.
func (l *loop) begin() { go l.run() }

// end stops the goroutine and closes the poller.
func (l *loop) end() {
	l.do(func() { l.stopped = true })
	<-l.done
	l.poller.Close()
}

// do runs f on the loop's goroutine.
func (l *loop) do(f func()) {
	l.mu.Lock()
	l.requests = append(l.requests, f)
	l.mu.Unlock()
	l.poller.Wake()
}

// listen makes the loop accept from ls, which has number n.
func (l *loop) listen(n int, ls *listener) {
	l.do(func() {
		if err := l.poller.AddListener(ls.conn.FD(), listenerKey(n)); err != nil {
			l.e.log.Error("cannot accept connections", "listener", ls.Addr, "error", err)
			return
		}
		l.listeners[n] = ls
	})
}

// unlisten makes the loop accept no more, and returns when it is so.
func (l *loop) unlisten() {
	done := make(chan struct{})
	l.do(func() {
		for n, ls := range l.listeners {
			_ = l.poller.Remove(ls.conn.FD()) // the descriptor is closed next in any case
			delete(l.listeners, n)
		}
		close(done)
	})
	select {
	case <-done:
	case <-l.done: // it has ended before
	}
}

// A listener's key has slot 0, which no session has.
func listenerKey(n int) conn.Key { return conn.Key(uint64(n) << 32) }

func (l *loop) run() {
	defer close(l.done)
	for !l.stopped {
		events, err := l.poller.Wait(l.patience())
		if err != nil { // only a programming error can cause it
			l.e.log.Error("event loop", "error", err)
			return
		}
		for _, ev := range events {
			if h := Handle(ev.Key); h.slot() != 0 {
				l.event(h, ev.Ready)
			} else {
				l.accept(int(h.gen()))
			}
		}
		l.tick()
		l.serve()
	}
}

// patience returns how long the poller may wait: to the next second if the wheel has entries.
func (l *loop) patience() time.Duration {
	if l.wheel.count.Load() == 0 {
		return -1
	}
	into := l.e.clock().Sub(l.e.start) % time.Second
	return time.Second - into
}

// serve runs the requests of other goroutines.
func (l *loop) serve() {
	l.mu.Lock()
	reqs := l.requests
	l.requests = nil
	l.mu.Unlock()
	for _, f := range reqs {
		f()
	}
}

// event passes on what the poller reported about a session.
func (l *loop) event(h Handle, ready conn.Ready) {
	var b bits
	if ready&conn.ReadyRead != 0 {
		b |= bitRead
	}
	if ready&conn.ReadyWrite != 0 {
		b |= bitWrite
	}
	if ready&conn.ReadyHangup != 0 {
		b |= bitHangup
	}
	if ready&conn.ReadyGone != 0 {
		b |= bitKill
	}
	l.signal(h, b)
}

// signal tells a session that b happened, and runs it if it slept.
func (l *loop) signal(h Handle, b bits) {
	r := l.e.slab.at(h.slot())
	if r == nil {
		return
	}
	switch out, all := r.word.signal(h.gen(), b); out {
	case signalOwned:
		l.s.attach(l.e, h.slot(), h.gen(), nil)
		l.e.drive(&l.s, all)
	case signalNudge:
		l.e.tasks.nudge(h.slot(), b, l.e.killReason())
	}
}

// tick tells the sessions whose time has come.
func (l *loop) tick() {
	now := l.e.seconds()
	if now == l.ticked {
		return
	}
	l.ticked = now
	l.due = l.wheel.advance(now, l.due[:0])
	for _, h := range l.due {
		l.signal(h, bitTimer)
	}
}
