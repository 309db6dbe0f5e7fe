package main

import (
	"fmt"
	"io"
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

// result is one line of the table: an operation at a number of connections.
type result struct {
	Operation   string  `json:"operation"`
	Unit        string  `json:"unit"`
	Connections int     `json:"connections"`
	Roost       summary `json:"roost"`
	Dovecot     summary `json:"dovecot"`
	// Ratio is roost's median ÷ Dovecot's: above 1, roost is faster.
	Ratio float64 `json:"ratio"`
}

type summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	CPU    float64 `json:"cpu_seconds_per_round"` // median
	Values series  `json:"values"`
}

func summarize(v, cpu series) summary {
	lo, hi := v.spread()
	return summary{Median: v.median(), Min: lo, Max: hi, CPU: cpu.median(), Values: v}
}

func printTable(w io.Writer, rs []result) {
	fmt.Fprintf(w, "| operation | conns | unit | roost (min–max) | Dovecot (min–max) | ratio | CPU s roost / Dovecot |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rs {
		fmt.Fprintf(w, "| %s | %d | %s | %s (%s–%s) | %s (%s–%s) | **%.2f** | %.2f / %.2f |\n", r.Operation, r.Connections, r.Unit,
			human(r.Roost.Median), human(r.Roost.Min), human(r.Roost.Max),
			human(r.Dovecot.Median), human(r.Dovecot.Min), human(r.Dovecot.Max), r.Ratio, r.Roost.CPU, r.Dovecot.CPU)
	}
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
