// Package heap keeps the garbage collector from working for little.
//
// Go collects when the heap has grown to twice what the last collection left, but not below 4 MB. A process that has 2 MB of its own
// and is asked for a mailbox of 100,000 messages collects in the middle of the answer, and who allocates has to help: that was half of the time
// of such an answer from both sides.
package heap

// reserve is never touched, so it takes addresses and no memory. It has no pointers, so it is marked in no time.
var reserve []byte

// Reserve makes the collector wait until about twice n bytes more than otherwise are garbage, from the next collection on. It is for
// processes that work in bursts, once in their life; what they have too much of at rest package quiet gives back.
func Reserve(n int) { reserve = make([]byte, n) }

// Working is the reserve of a process that answers commands.
const Working = 8 << 20
