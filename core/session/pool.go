package session

import (
	"context"
	"sync"
	"time"
)

// task is a session that needs a worker. Its session stays owned from the time it is handed over until
// a worker has run it.
type task struct {
	slot, gen uint32
	b         bits   // what happened, for turn
	x         *extra // the session's extra if it is not in the side table
}

// pool runs tasks on a bounded number of workers, in the order they came.
//
// A slot is the right to run. A worker that waits for a slow client gives its slot away and
// takes the next free one when the client is ready, ahead of new tasks. So the number of goroutines is the
// number of slots plus the number of commands that wait for their client.
type pool struct {
	run   func(*worker, task) // runs a task on the calling goroutine
	make  func() *worker
	slots int

	mu      sync.Mutex // guards what follows
	free    int        // slots that nobody has
	queue   ring[task] // tasks without a slot
	resume  ring[*worker]
	idle    []*worker // goroutines without a slot or task, asleep on their start channel
	waiting int       // workers that gave their slot away
	closed  bool
	wg      sync.WaitGroup // the goroutines
}

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
}

// submit runs t when a slot is free.
func (p *pool) submit(t task) {
	p.mu.Lock()
	if p.free == 0 {
		p.queue.push(t)
		p.mu.Unlock()
		return
	}
	p.free--
	p.launch(t)
	p.mu.Unlock()
}

// launch gives t, and the slot that the caller has taken for it, to an idle goroutine or a new one. p.mu is held.
func (p *pool) launch(t task) {
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		w.start <- t
		return
	}
	w := p.make()
	p.wg.Add(1)
	go p.work(w, t) // ends when the pool is closed, or when there are enough idle ones; close waits for it
}

// work runs t, and then what comes.
func (p *pool) work(w *worker, t task) {
	defer p.wg.Done()
	for {
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

// next returns the task that the worker's slot is for now. If it has none, its slot is free or given away, and it
// is listed as idle; or its start channel is closed because it is not needed.
func (p *pool) next(w *worker) (task, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resume.len() == 0 && p.queue.len() > 0 {
		return p.queue.pop(), true
	}
	p.passSlot()
	if p.closed || len(p.idle) >= p.slots {
		close(w.start)
	} else {
		p.idle = append(p.idle, w)
	}
	return task{}, false
}

// passSlot gives the caller's slot to whoever is next. p.mu is held.
func (p *pool) passSlot() {
	switch {
	case p.resume.len() > 0:
		p.resume.pop().granted <- struct{}{}
	case p.queue.len() > 0:
		p.launch(p.queue.pop())
	default:
		p.free++
	}
}

// yield gives the calling worker's slot away, before it waits.
func (p *pool) yield() {
	p.mu.Lock()
	p.waiting++
	p.passSlot()
	p.mu.Unlock()
}

// regain takes a slot again, and waits for one if need be.
func (p *pool) regain(w *worker) {
	p.mu.Lock()
	p.waiting--
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return
	}
	p.resume.push(w)
	p.mu.Unlock()
	<-w.granted
}

// crowded reports whether tasks wait for a slot.
func (p *pool) crowded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.len() > 0 || p.resume.len() > 0
}

// load returns the workers that run, the workers that wait for a client, and the tasks that wait for a worker.
func (p *pool) load() (running, waiting, queued int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slots - p.free, p.waiting, p.queue.len()
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

// ring is a FIFO queue that keeps its memory.
type ring[T any] struct {
	buf  []T // length is a power of two
	head int
	n    int
}

func (r *ring[T]) len() int { return r.n }

func (r *ring[T]) push(v T) {
	if r.n == len(r.buf) {
		grown := make([]T, max(64, 2*len(r.buf)))
		for i := range r.n {
			grown[i] = r.buf[(r.head+i)&(len(r.buf)-1)]
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = v
	r.n++
}

// pop removes the oldest; there must be one.
func (r *ring[T]) pop() T {
	var zero T
	v := r.buf[r.head]
	r.buf[r.head] = zero
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	return v
}
