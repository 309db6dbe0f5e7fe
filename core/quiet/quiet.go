// Package quiet calls a function once a process has had nothing to do for a while: to give back the memory that its work has
// left behind. Go's own scavenger gives back only what exceeds the goal of the last collection, and collects nothing as long as nothing is allocated.
package quiet

import (
	"sync/atomic"
	"time"
)

// Watch sees when it becomes quiet. While it is, it costs nothing.
type Watch struct {
	after  time.Duration
	do     func()
	active atomic.Bool // there was work since the timer was started
	armed  atomic.Bool // the timer runs
}

// NewWatch returns a Watch that calls do, on a goroutine of its own, when after, or up to twice as long, has passed since the last Touch. There must be a Touch before each call.
func NewWatch(after time.Duration, do func()) *Watch { return &Watch{after: after, do: do} }

// Touch tells that there is work. It is cheap, and safe for concurrent use.
func (w *Watch) Touch() {
	if w.active.Load() {
		return
	}
	w.active.Store(true)
	w.arm()
}

func (w *Watch) arm() {
	if w.armed.CompareAndSwap(false, true) {
		time.AfterFunc(w.after, w.look)
	}
}

// look is called by the timer.
func (w *Watch) look() {
	if w.active.Swap(false) {
		time.AfterFunc(w.after, w.look)
		return
	}
	w.armed.Store(false)
	if w.active.Load() { // since the line above, and armed was still set
		w.arm()
		return
	}
	w.do()
}
