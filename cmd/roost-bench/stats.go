package main

import (
	"fmt"
	"sort"
)

// series holds the measured values of one operation on one server, one per round.
type series []float64

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	t := append(series(nil), s...)
	sort.Float64s(t)
	if len(t)%2 == 1 {
		return t[len(t)/2]
	}
	return (t[len(t)/2-1] + t[len(t)/2]) / 2
}

func (s series) spread() (lo, hi float64) {
	if len(s) == 0 {
		return 0, 0
	}
	lo, hi = s[0], s[0]
	for _, v := range s {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

type summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	CPU    float64 `json:"cpu"` // median; of operations, seconds for a unit
	Peak   uint64  `json:"peak_bytes,omitempty"`
	Values series  `json:"values"`
}

func summarize(v, cpu series) summary {
	lo, hi := v.spread()
	return summary{Median: v.median(), Min: lo, Max: hi, CPU: cpu.median(), Values: v}
}

func human(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2fM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1fk", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
