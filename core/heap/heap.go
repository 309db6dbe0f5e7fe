// Package heap keeps the garbage collector from working for little, and what is left of the heap when work is done small.
//
// Go collects when the heap has grown to twice what the last collection left, but not below 4 MB. A process that has 2 MB and
// is asked for a mailbox of 100,000 messages collects in the middle of the answer, and who allocates has to help: that was a third of the time
// that core spent on such an answer.
package heap

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// reserve is never touched, so it takes addresses and no memory. It has no pointers, so it is marked in no time.
var reserve atomic.Pointer[[]byte]

// Reserve makes the collector wait until about twice n bytes more than otherwise are garbage, from the next collection on. It is for the start of
// a process: later the heap may have free memory that was touched before.
func Reserve(n int) {
	b := make([]byte, n)
	reserve.Store(&b)
}

// Release is Reserve's inverse. The more garbage there is among what stays for long, the more of the heap that keeps from being given back: who has
// much of it does without the reserve.
func Release() { reserve.Store(nil) }

// Settle collects what the start of a process has left behind, so that the first collection is over when there is work.
func Settle() {
	Gather()
	runtime.GC()
	runtime.GC()
}

// Prime is Settle for a process that is going to have all kinds of objects. The collector takes a page for each list of spans of a size that there is,
// some two megabytes in all, and has two sets of lists that take turns: it has them all then, and the first clients need not wait for that.
func Prime() {
	bytes, pointers := everySize()
	Settle()
	runtime.KeepAlive(bytes)
	runtime.KeepAlive(pointers)
	debug.FreeOSMemory()
}

// everySize returns objects of all sizes that have lists of spans, of each size more than a span of 8 KB has: full spans have a list of their own.
func everySize() (bytes [][]byte, pointers [][]*byte) {
	const largest, span = 32 << 10, 8 << 10
	for n := 1; n <= largest; n++ {
		n = cap(append([]byte(nil), make([]byte, n)...)) // the size that is taken for n
		for range span/n + 2 {
			bytes = append(bytes, make([]byte, n))
			pointers = append(pointers, make([]*byte, max(n/8, 1)))
		}
	}
	return bytes, pointers
}
