// Package heap keeps the garbage collector from working for little.
//
// Go collects when the heap has grown to twice what the last collection left, but not below 4 MB. A process that has 2 MB and
// is asked for a mailbox of 100,000 messages collects in the middle of the answer, and who allocates has to help: that was a third of the time
// that core spent on such an answer.
package heap

import (
	"runtime"
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

// Settle collects what the start of a process has left behind, and does what every first collection has to do: the collector takes a page for each list of
// spans of a size that there is, a megabyte in all, and has two sets of lists that take turns. So the first clients need not wait for that.
func Settle() {
	runtime.GC()
	runtime.GC()
}
