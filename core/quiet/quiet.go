// Package quiet calls a function once a process has had nothing to do for a while: to give back the memory that its work has
// left behind. Go's own scavenger gives back only what exceeds the goal of the last collection, and collects nothing as long as nothing is allocated.
package quiet

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
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

// mostCollections bounds FreeMemory.
const mostCollections = 8

// FreeMemory collects garbage and gives the free memory back to the system.
//
// One collection is not enough: what pools hold (sync.Pool) is free after the second only, and each one halves the stacks that goroutines have
// grown in a burst of work and do not need any more.
func FreeMemory() {
	for last, n := uint64(math.MaxUint64), 0; n < mostCollections; n++ {
		runtime.GC()
		now := stackBytes()
		if n > 0 && now >= last {
			break
		}
		last = now
	}
	dropCaches()
	debug.FreeOSMemory()
}

// dropCaches makes the runtime forget what it keeps for each processor but one: records of goroutines that have waited, free
// goroutines, parts of pages. A burst of work leaves hundreds of them all over the heap, each of which keeps 8 KB of it from being given back.
// The world stands still three times, for as long as a collection stops it.
func dropCaches() {
	procs := runtime.GOMAXPROCS(1)
	runtime.SetDefaultGOMAXPROCS() // unlike GOMAXPROCS it leaves the runtime free to follow the system's limits
	if runtime.GOMAXPROCS(0) != procs {
		runtime.GOMAXPROCS(procs)
	}
}

// stackBytes returns what the stacks of goroutines have, with those that are kept for new ones.
func stackBytes() uint64 {
	m := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(m)
	return m[0].Value.Uint64()
}

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
