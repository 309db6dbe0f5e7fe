package session

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// BenchmarkTable fills the real table without sockets (Simulate). It reports the resident memory, and what a garbage collection
// takes with the table in place. `roost-bench idle --simulate N` prints the same for any N.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			debug.FreeOSMemory()
			before := rss(b)
			s, err := Simulate(n, plain{}, func(int) Sleeper { return Sleeper{} })
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
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
		})
	}
}
