package session

import (
	"sync"
	"sync/atomic"
)

// wheelSlots is the size of a timer wheel; a deadline further away than so many seconds (68 minutes) stays in its
// place when the wheel comes by before its time.
const wheelSlots = 4096

// wheel holds the deadlines of the sessions of one loop, in whole seconds of the engine's clock, as lists that run
// through the records. Setting a deadline later than the one that is set needs no call: the owner looks at its
// own deadlines when it is told that the time has come, and sets the wheel again.
type wheel struct {
	slab  *records
	wake  func()       // called when the wheel was empty: its loop may wait without a time limit
	count atomic.Int64 // sessions in the wheel

	mu    sync.Mutex // guards heads, now and the records' wheel fields
	now   uint32     // the last second that was looked at
	heads [wheelSlots]uint32
}

// set puts the session at second at, instead of where it was. Its owner calls it.
func (w *wheel) set(slot uint32, r *record, at uint32) {
	w.mu.Lock()
	if !w.unlink(slot, r) && w.count.Add(1) == 1 {
		defer w.wake()
	}
	at = max(at, w.now+1)
	r.wheelAt.Store(at)
	head := &w.heads[at%wheelSlots]
	r.wheelPrev, r.wheelNext = 0, *head
	if *head != 0 {
		w.slab.at(*head).wheelPrev = slot
	}
	*head = slot
	w.mu.Unlock()
}

// remove takes the session out, if it is in. Its owner calls it.
func (w *wheel) remove(slot uint32, r *record) {
	if r.wheelAt.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unlink(slot, r) {
		w.count.Add(-1)
	}
}

// unlink takes the session out of its list and reports whether it was in one. w.mu is held.
func (w *wheel) unlink(slot uint32, r *record) bool {
	at := r.wheelAt.Load()
	if at == 0 {
		return false
	}
	if r.wheelNext != 0 {
		w.slab.at(r.wheelNext).wheelPrev = r.wheelPrev
	}
	if r.wheelPrev != 0 {
		w.slab.at(r.wheelPrev).wheelNext = r.wheelNext
	} else {
		w.heads[at%wheelSlots] = r.wheelNext
	}
	r.wheelNext, r.wheelPrev = 0, 0
	r.wheelAt.Store(0)
	return true
}

// advance moves the wheel to second now, takes out what has become due and appends it to due.
func (w *wheel) advance(now uint32, due []Handle) []Handle {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count.Load() == 0 {
		w.now = max(w.now, now)
		return due
	}
	from := w.now + 1
	if now >= wheelSlots && from < now-wheelSlots+1 {
		from = now - wheelSlots + 1 // every list once is enough
	}
	for t := from; t <= now; t++ {
		for slot := w.heads[t%wheelSlots]; slot != 0; {
			r := w.slab.at(slot)
			next := r.wheelNext
			if r.wheelAt.Load() <= now {
				w.unlink(slot, r)
				w.count.Add(-1)
				// The session has not ended: its owner would have called remove first.
				due = append(due, makeHandle(slot, r.word.generation()))
			}
			slot = next
		}
	}
	w.now = max(w.now, now)
	return due
}
