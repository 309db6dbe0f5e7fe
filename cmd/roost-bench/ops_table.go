package main

import (
	"fmt"
	"io"
)

// printTable prints the results of roost and Dovecot as a table in Markdown, and what roost with its plugins in core is compared with them.
func printTable(w io.Writer, rs []result, inproc bool) {
	more, line := "", ""
	if inproc {
		more, line = " to inproc |", "---|"
	}
	fmt.Fprintf(w, "| operation | conns | unit | roost (min–max) | Dovecot (min–max) | ratio |%s CPU µs roost / Dovecot | peak MB |\n|---|---|---|---|---|---|%s---|---|\n", more, line)
	for _, r := range rs {
		a, b := r.Servers[nameRoost], r.Servers[nameDovecot]
		more := ""
		if inproc {
			more = fmt.Sprintf(" %.2f |", r.Boundary)
		}
		fmt.Fprintf(w, "| %s | %d | %s | %s (%s–%s) | %s (%s–%s) | **%.2f** |%s %s / %s | %.0f / %.0f |\n", r.Operation, r.Connections, r.Unit,
			human(a.Median), human(a.Min), human(a.Max), human(b.Median), human(b.Min), human(b.Max), r.Ratio, more,
			human(a.CPU*1e6), human(b.CPU*1e6), float64(a.Peak)/1e6, float64(b.Peak)/1e6)
	}
}
