package host

import (
	"sync/atomic"
	"time"
)

// latencyBounds are the upper bounds of the latency histogram's buckets.
var latencyBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// latency counts calls by how long they took.
type latency struct {
	counts [len(latencyBounds) + 1]atomic.Uint64 // of each bucket; the last is for all above
	sum    atomic.Int64                          // nanoseconds
}

func (l *latency) observe(d time.Duration) {
	n := 0
	for n < len(latencyBounds) && d > latencyBounds[n] {
		n++
	}
	l.counts[n].Add(1)
	l.sum.Add(int64(d))
}

// Latency is a histogram of how long calls took, with their wait for the plugin.
type Latency struct {
	Count   uint64
	Sum     time.Duration
	Buckets map[float64]uint64 // calls of at most so many seconds
}

func (l *latency) histogram() Latency {
	h := Latency{Sum: time.Duration(l.sum.Load()), Buckets: map[float64]uint64{}}
	for n := range l.counts {
		h.Count += l.counts[n].Load()
		if n < len(latencyBounds) {
			h.Buckets[latencyBounds[n].Seconds()] = h.Count
		}
	}
	return h
}
