package plugintest

import (
	"context"
	"slices"
	"sync"
	"time"
)

// markTime is how long a speed mark takes.
const markTime = 400 * time.Millisecond

// speedometer is a T that speed marks are written to. That of "go test" is none: speeds are printed, never asserted.
type speedometer interface {
	speed(name string, value float64, unit string)
}

func (t *running) speed(name string, value float64, unit string) {
	t.r.speed(t.name+"/"+name, value, unit)
}

// mark measures calls of f by a number of callers at once: how many are answered per second, and how long they take. An error fails the case.
// Where nobody reads the marks, f is called once.
func mark(t T, name string, callers int, f func(context.Context) error) {
	t.Helper()
	s, ok := t.(speedometer)
	if err := f(t.Context()); err != nil || !ok {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	times := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range callers {
		wg.Go(func() {
			for time.Since(start) < markTime {
				begin := time.Now()
				if err := f(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				times[i] = append(times[i], time.Since(begin))
			}
		})
	}
	wg.Wait()
	total := time.Since(start)
	all := slices.Concat(times...)
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	if callers > 1 {
		name += " by many"
	}
	s.speed(name, float64(len(all))/total.Seconds(), "calls/s")
	s.speed(name+" p50", float64(all[len(all)/2].Microseconds())/1000, "ms")
	s.speed(name+" p99", float64(all[len(all)*99/100].Microseconds())/1000, "ms")
}

// markBytes measures how many megabytes per second f moves; f returns how many bytes it has moved.
func markBytes(t T, name string, f func(context.Context) (int, error)) {
	t.Helper()
	s, ok := t.(speedometer)
	start, moved := time.Now(), 0
	for {
		n, err := f(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		moved += n
		if !ok || time.Since(start) >= markTime {
			break
		}
	}
	if ok {
		s.speed(name, float64(moved)/1e6/time.Since(start).Seconds(), "MB/s")
	}
}
