package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// task is a session that needs a worker. Its session stays owned from the time it is handed over until
// a worker has run it.
type task struct {
	slot, gen uint32
	b         bits   // what happened, for turn
	x         *extra // the session's extra if it is not in the side table
	payer     uint64 // whose share of the workers it takes (payerOf)
}

// pool runs tasks on a bounded number of workers.
//
// A slot is the right to run. A worker that waits for a slow client, or for what another worker does, gives its slot away, and so
// does one whose time slice is used up while others wait (breathe). So the number of goroutines is the number of slots, plus the
// number of commands that wait for their client or for one another, plus at most maxPaused.
//
// Who gets a free slot: payers that wait take turns, whatever the number of things that each of them waits for
// (payer.go), and none has more than share slots at once, nor all sessions together that have not logged in more than payers.guestShare.
type pool struct {
	run   func(*worker, task) // runs a task on the calling goroutine
	make  func() *worker
	clock func() time.Time
	slots int
	share int           // of one payer, at most
	slice time.Duration // after which breathe gives a slot away

	wanted atomic.Int64 // tasks and workers that wait for a slot; changed with mu held

	mu      sync.Mutex // guards what follows
	free    int        // slots that nobody has
	payers  payers
	queued  int       // tasks without a slot
	paused  int       // workers that gave their slot away because their slice was used up
	idle    []*worker // goroutines without a slot or task, asleep on their start channel
	waiting int       // workers that gave their slot away to wait for a client or for another worker, until they ask for one again
	closed  bool
	wg      sync.WaitGroup // the goroutines
}

// maxPaused is how many workers for each slot may be in the middle of a command without a slot because of their time
// slices. When there are so many, commands keep their slots until others have ended.
const maxPaused = 64

// worker is a goroutine of the pool with the buffers it lends to the session it runs.
type worker struct {
	s       Session
	scratch []byte          // the session's read buffer
	wake    chan struct{}   // capacity 1: something happened to the session that it runs
	ctx     context.Context // of the call in progress, nil: none; changed with the task shard's lock held
	cancel  context.CancelCauseFunc
	hangup  *time.Timer   // ends ctx some time after the client has closed its sending side; guarded like cancel
	granted chan struct{} // capacity 1: it has a slot again
	start   chan task     // capacity 1: the next task, with a slot; closed: end
	payer   *payer        // of the task that it runs; changed with the pool's lock held
	since   time.Time     // when it got its slot
}

// submit runs t when a slot is free and its payer's share allows it.
func (p *pool) submit(t task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	y := p.payers.hold(t.payer)
	if p.free > 0 && p.payers.may(y, p.share) {
		p.free--
		p.payers.enter(y, waiter{task: t}.class())
		p.launch(y, t)
		return
	}
	p.queued++
	p.wanted.Add(1)
	p.payers.queue(y, waiter{task: t}, p.share)
}

// launch gives t, and the slot that the caller has taken for it, to an idle goroutine or a new one. p.mu is held.
func (p *pool) launch(y *payer, t task) {
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		w.payer = y
		w.start <- t
		return
	}
	w := p.make()
	w.payer = y
	p.wg.Add(1)
	go p.work(w, t) // ends when the pool is closed, or when there are enough idle ones; close waits for it
}

// work runs t, and then what comes.
func (p *pool) work(w *worker, t task) {
	defer p.wg.Done()
	for {
		w.since = p.clock()
		p.run(w, t)
		next, ok := p.next(w)
		if !ok {
			if next, ok = <-w.start; !ok {
				return
			}
		}
		t = next
	}
}

// next ends the worker's task and returns the one that its slot is for now. If there is none, its slot is free or given
// away, and it is listed as idle; or its start channel is closed because it is not needed.
func (p *pool) next(w *worker) (task, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.payers.leave(w.payer, p.share)
	p.payers.drop(w.payer)
	w.payer = nil
	y, next, ok := p.pick()
	switch {
	case ok && next.w == nil:
		w.payer = y
		return next.task, true
	case ok:
		next.w.granted <- struct{}{}
	default:
		p.free++
	}
	if p.closed || len(p.idle) >= p.slots {
		close(w.start)
	} else {
		p.idle = append(p.idle, w)
	}
	return task{}, false
}

// pick takes who is next out of the queue, and counts it in. p.mu is held; the caller has a slot for it.
func (p *pool) pick() (*payer, waiter, bool) {
	y, next, ok := p.payers.next(p.share)
	if !ok {
		return nil, waiter{}, false
	}
	p.wanted.Add(-1)
	if next.w == nil {
		p.queued--
	}
	return y, next, true
}

// passSlot gives the calling worker's slot to whoever is next. p.mu is held.
func (p *pool) passSlot(w *worker) {
	p.payers.leave(w.payer, p.share)
	y, next, ok := p.pick()
	switch {
	case !ok:
		p.free++
	case next.w != nil:
		next.w.granted <- struct{}{}
	default:
		p.launch(y, next.task)
	}
}

// yield gives the calling worker's slot away, before it waits for its client or for another worker.
func (p *pool) yield(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting++
	p.passSlot(w)
}

// regain takes a slot again, and waits for one if need be.
func (p *pool) regain(w *worker) {
	p.mu.Lock()
	p.waiting--
	if p.free > 0 && p.payers.may(w.payer, p.share) {
		p.free--
		p.payers.enter(w.payer, waiter{resumes: true}.class())
		p.mu.Unlock()
	} else {
		p.wanted.Add(1)
		p.payers.queue(w.payer, waiter{w: w, resumes: true}, p.share)
		p.mu.Unlock()
		<-w.granted
	}
	w.since = p.clock()
}

// breathe gives the calling worker's slot away if its time slice is used up and others wait, and returns when it has
// one again. It costs next to nothing when nobody waits.
func (p *pool) breathe(w *worker) {
	if p.wanted.Load() == 0 || p.clock().Sub(w.since) < p.slice {
		return
	}
	p.mu.Lock()
	if p.paused >= maxPaused*p.slots {
		p.mu.Unlock()
		return
	}
	p.paused++
	p.wanted.Add(1)
	p.payers.queue(w.payer, waiter{w: w}, p.share)
	p.passSlot(w) // perhaps to itself
	p.mu.Unlock()
	<-w.granted
	p.mu.Lock()
	p.paused--
	p.mu.Unlock()
	w.since = p.clock()
}

// crowded reports whether a slot is waited for.
func (p *pool) crowded() bool { return p.wanted.Load() > 0 }

// poolLoad is what the pool is doing.
type poolLoad struct {
	running int // workers with a slot
	waiting int // workers that wait for a client or for another worker
	paused  int // workers that wait for the next time slice
	queued  int // tasks that wait for a worker
}

func (p *pool) load() poolLoad {
	p.mu.Lock()
	defer p.mu.Unlock()
	return poolLoad{running: p.slots - p.free, waiting: p.waiting, paused: p.paused, queued: p.queued}
}

// close ends the goroutines once there are no tasks, and returns when they have ended. No more tasks may be submitted.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, w := range p.idle {
		close(w.start)
	}
	p.idle = nil
	p.mu.Unlock()
	p.wg.Wait()
}
