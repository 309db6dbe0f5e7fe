package quiet_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/core/quiet"
)

func TestWatchIsCalledOncePerRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		w := quiet.NewWatch(10*time.Second, func() { calls.Add(1) })
		for round := range int32(3) {
			for range 50 {
				w.Touch()
				time.Sleep(time.Second)
			}
			synctest.Wait()
			if n := calls.Load(); n != round {
				t.Fatalf("%d calls while there was work, want %d", n, round)
			}
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if n := calls.Load(); n != round+1 {
				t.Fatalf("%d calls after 20 s of rest, want %d", n, round+1)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := calls.Load(); n != round+1 {
				t.Fatalf("%d calls in one rest, want %d", n, round+1)
			}
		}
	})
}

func TestNoTouchIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		w := quiet.NewWatch(time.Millisecond, func() { calls.Add(1) })
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 500 {
					w.Touch()
					time.Sleep(time.Duration(i%7) * time.Millisecond / 2)
				}
			})
		}
		wg.Wait()
		before := calls.Load()
		w.Touch()
		time.Sleep(time.Second)
		synctest.Wait()
		if calls.Load() == before {
			t.Error("no call after the last Touch")
		}
	})
}
