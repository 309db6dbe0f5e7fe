package session

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// BenchmarkTable fills the real table without sockets: every session has a mailbox of its own and a deadline. It
// reports the resident memory, and what a garbage collection takes with the table in place.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			debug.FreeOSMemory()
			before := rss(b)
			s, err := newRecords(n)
			if err != nil {
				b.Fatal(err)
			}
			defer s.close()
			l := testLists(b, s)
			w := &wheel{slab: s, wake: func() {}}
			for i := range n {
				slot, r, err := s.take()
				if err != nil || slot == 0 {
					b.Fatal(slot, err)
				}
				r.word.create()
				l.move(slot, r, uint32(i+1))
				w.set(slot, r, uint32(1+i%1800))
				r.word.release()
			}
			debug.FreeOSMemory()
			grown := rss(b) - before
			start, gcs := time.Now(), 0
			for b.Loop() {
				runtime.GC()
				gcs++
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000/float64(gcs), "ms/GC")
			b.ReportMetric(float64(grown)/float64(n), "rss-B/session")
			b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
			runtime.KeepAlive(l)
			runtime.KeepAlive(w)
		})
	}
}
