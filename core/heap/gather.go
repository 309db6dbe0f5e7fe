package heap

import "sync"

// Go's runtime keeps for each processor up to 64 records of goroutines that have ended, and up to 128 of waits that are over. Those of goroutines it never frees.
const (
	oldWaits = 128 // as many as there may be
	newWaits = 135 // A few more than fill a processor's list again: when that overflows, half of it goes, the part that came last.
)

// Gather makes the records that the runtime keeps of goroutines and of waits lie close to each other. A burst of work makes them wherever there is room
// between its garbage, and each one keeps 8 KB of the heap from being given back afterwards. So there are some before it comes, and afterwards
// others take the place of those of waits. With one processor at work it is thorough. It is of use only as long as the runtime is as it is said to be here, and harms nothing
// if it is not.
func Gather() {
	release := wait(oldWaits) // with the records that there are
	wait(newWaits)()          // with new ones, which fill the list
	release()                 // the old ones overflow
}

// wait makes n goroutines wait until the function that it returns is called, which returns when they have ended.
func wait(n int) (release func()) {
	gate := make(chan struct{})
	var begun, ended sync.WaitGroup
	begun.Add(n)
	for range n {
		ended.Go(func() {
			begun.Done()
			<-gate
		})
	}
	begun.Wait()
	return func() {
		close(gate)
		ended.Wait()
	}
}
