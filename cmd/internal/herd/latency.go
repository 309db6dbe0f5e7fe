package herd

import (
	"slices"
	"time"
)

// Latencies are measured times, in any order.
type Latencies []time.Duration

// Quantile returns the smallest measured time that is not exceeded by the share q (0 to 1) of all: the nearest rank, so
// that a quantile is a time that was measured. Of none it is 0.
func (l Latencies) Quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	s := slices.Clone(l)
	slices.Sort(s)
	rank := int(q*float64(len(s)) + 0.999999999)
	return s[min(max(rank, 1), len(s))-1]
}

// Summary is what is published of Latencies.
type Summary struct {
	N                   int
	P50, P99, P999, Max time.Duration
}

// Summary returns the usual quantiles.
func (l Latencies) Summary() Summary {
	return Summary{len(l), l.Quantile(0.5), l.Quantile(0.99), l.Quantile(0.999), l.Quantile(1)}
}
