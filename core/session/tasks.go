package session

import (
	"context"
	"sync"
	"time"
)

// tasks finds the worker that runs a session, for those who learn that something happened to it (word: running).
type tasks struct {
	base   context.Context // ends with the engine
	grace  time.Duration   // Config.HangupGrace
	shards [16]taskShard
}

type taskShard struct {
	mu sync.Mutex // guards m, and cancel of the workers in it
	m  map[uint32]*worker
}

func (t *tasks) shard(slot uint32) *taskShard { return &t.shards[slot%uint32(len(t.shards))] }

// add lists w as the worker of the session in slot.
func (t *tasks) add(slot uint32, w *worker) {
	sh := t.shard(slot)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.m == nil {
		sh.m = make(map[uint32]*worker)
	}
	select { // a token of the session that it ran before
	case <-w.wake:
	default:
	}
	sh.m[slot] = w
}

// remove ends add. The next worker may be listed already.
func (t *tasks) remove(slot uint32, w *worker) {
	sh := t.shard(slot)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.m[slot] == w {
		delete(sh.m, slot)
	}
}

// begin makes the context of a call that the worker is about to make.
func (t *tasks) begin(slot uint32, w *worker) context.Context {
	ctx, cancel := context.WithCancelCause(t.base)
	sh := t.shard(slot)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	w.ctx, w.cancel = ctx, cancel
	return ctx
}

// finish ends that context.
func (t *tasks) finish(slot uint32, w *worker) {
	sh := t.shard(slot)
	sh.mu.Lock()
	cancel := w.cancel
	w.ctx, w.cancel = nil, nil
	if w.hangup != nil {
		w.hangup.Stop()
		w.hangup = nil
	}
	sh.mu.Unlock()
	cancel(nil)
}

// cause returns why the context of the call that the worker makes has ended, or nil. The worker asks.
func (w *worker) cause() error {
	if w.ctx == nil {
		return nil
	}
	return context.Cause(w.ctx)
}

// nudgeAll lets every worker that waits look around.
func (t *tasks) nudgeAll() {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, w := range sh.m {
			select {
			case w.wake <- struct{}{}:
			default: // it has a token already
			}
		}
		sh.mu.Unlock()
	}
}

// nudge tells the worker of the session in slot that b is pending. A client that went ends the call's context; one that
// has only closed its sending side may wait for the answer, and is given some time for it.
func (t *tasks) nudge(slot uint32, b bits, reason error) {
	sh := t.shard(slot)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	w := sh.m[slot]
	if w == nil {
		return // it is done, or will look at what is pending before it waits
	}
	switch cancel := w.cancel; {
	case cancel == nil:
	case b&bitKill != 0:
		cancel(reason)
	case b&bitHangup != 0 && w.hangup == nil:
		w.hangup = time.AfterFunc(t.grace, func() { cancel(reason) }) // finish stops it
	}
	select {
	case w.wake <- struct{}{}:
	default: // it has a token already
	}
}
