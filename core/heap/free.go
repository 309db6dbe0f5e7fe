package heap

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// mostCollections bounds Free.
const mostCollections = 8

// Free collects garbage and gives the free memory back to the system.
//
// One collection is not enough: what pools hold (sync.Pool) is free after the second only, and each one halves the stacks that goroutines have
// grown in a burst of work and do not need any more.
func Free() {
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

// dropCaches makes the runtime forget what it keeps for each processor but one: records of waits that are over, free
// goroutines, parts of pages; and of that one the records of waits. A burst of work leaves hundreds of them all over the heap, each of
// which keeps 8 KB of it from being given back.
// The world stands still three times, for as long as a collection stops it.
func dropCaches() {
	procs := runtime.GOMAXPROCS(1)
	Gather()
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
