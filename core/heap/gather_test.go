package heap

import (
	"runtime"
	"sync"
	"testing"
)

// waiter and goroutine are of the sizes of the runtime's records of a wait and of a goroutine, and have pointers like these.
type (
	waiter    [14]*byte
	goroutine [60]*byte
)

// TestGather: a burst that leaves such records between garbage does not keep the memory of that.
func TestGather(t *testing.T) {
	if !inChild(t) {
		return
	}
	Settle()
	Free()
	before := inUse()
	burst()
	Free()
	after := inUse()
	t.Logf("%d bytes in use, %d before", after, before)
	if after > before && after-before > 512<<10 {
		t.Errorf("a burst leaves %d bytes", after-before)
	}
}

// burst makes 256 goroutines wait, and as much garbage between any two that their records lie apart.
func burst() {
	var waiters []*waiter
	var goroutines []*goroutine
	gate := make(chan struct{})
	var begun, ended sync.WaitGroup
	for range 256 {
		for range 100 {
			waiters = append(waiters, new(waiter))
			goroutines = append(goroutines, new(goroutine))
		}
		begun.Add(1)
		ended.Go(func() {
			begun.Done()
			<-gate
		})
		begun.Wait()
	}
	close(gate)
	ended.Wait()
	runtime.KeepAlive(waiters)
	runtime.KeepAlive(goroutines)
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
