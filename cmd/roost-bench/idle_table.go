package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// printIdle prints the report as one table, a line for each figure and server.
func printIdle(w io.Writer, r idleReport) {
	fmt.Fprintf(w, "| figure | server | TLS | |\n|---|---|---|---|\n")
	line := func(figure, server, tls, format string, args ...any) {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", figure, server, tls, fmt.Sprintf(format, args...))
	}
	for _, c := range r.Costs {
		note := fmt.Sprintf("%d sessions: %s", c.Sessions, c.Mix)
		if c.Note != "" {
			note += "; " + c.Note
		}
		line("user-space memory per session ("+note+")", c.Server, c.TLS, "**%s** (%s)", bytesText(c.User), processesText(c.Processes))
		if c.Kernel != 0 {
			line("kernel memory per session, the server's share", c.Server, c.TLS, "%s (growth with all sessions: %s)", bytesText(c.Kernel), bytesText(c.Grown))
			line("memory per session, kernel included", c.Server, c.TLS, "**%s**", bytesText(c.User+c.Kernel))
		}
		if c.Before != 0 {
			line("goroutines before / with all sessions", c.Server, c.TLS, "%d / %d", c.Before, c.After)
		}
		if c.Rest > 0 {
			line(fmt.Sprintf("CPU of all processes at rest, in %.0f s", c.Rest), c.Server, c.TLS, "**%.1f ms** (%.4f %% of a core)", c.RestCPU, c.RestCPU/c.Rest/10)
		}
		line("opened, with SELECT and IDLE, per s", c.Server, c.TLS, "%.0f", c.OpenedPerS)
		line("lost at the end", c.Server, c.TLS, "%d", c.Lost)
	}
	for _, t := range r.Timings {
		text := fmt.Sprintf("p50 **%s** ms, p99 %s ms, p99.9 %s ms; %s per s; %d in %d rounds", spreadText(t.P50), spreadText(t.P99), spreadText(t.P999), spreadText(t.PerSecond), t.N, len(t.P50.Values))
		if strings.HasSuffix(t.How, "sessions") { // one time a round
			text = fmt.Sprintf("**%s** ms, %d rounds", spreadText(t.P50), len(t.P50.Values))
		}
		if c := t.CPU.Median; c > 0 {
			text += fmt.Sprintf("; %s ms CPU of the server each", human(c))
		}
		if t.Late > 5 {
			text += fmt.Sprintf("; the client was up to %.0f ms late", t.Late)
		}
		if t.Failed > 0 {
			text += fmt.Sprintf("; %d FAILED", t.Failed)
		}
		line(t.What+", "+t.How, t.Server, t.TLS, "%s", text)
	}
	for _, o := range r.Outlived {
		text := fmt.Sprintf("**%d lost**; all had answered after **%s** s, the longest pause of a client was %s s", o.Lost, secondsText(o.All), secondsText(o.Pause))
		if o.Command.Max > 0 {
			text += fmt.Sprintf(", the command took %s s", secondsText(o.Command))
		}
		line(fmt.Sprintf("%s with %d sessions (%s)", o.What, o.Sessions, o.Mix), "roost", o.TLS, "%s; %d rounds, %d were told of changes afterwards", text, len(o.All.Values), o.Told)
	}
	if s := r.Simulated; s != nil {
		line(fmt.Sprintf("%s sessions without sockets, %s with something beside their record: records, users, mailboxes", human(float64(s.Sessions)), human(float64(s.Extras))), "roost", fmt.Sprintf("1.3: %s", human(float64(s.TLS))), "**%s** resident, %.0f B a session; GC **%.2f ms** CPU, %.2f ms wall per cycle; goroutines %d / %d; filled in %.1f s",
			bytesText(float64(s.Resident)), s.PerSession, s.GCCPU, s.GCWall, s.Before, s.After, s.FilledIn)
	}
	for _, l := range r.Limits {
		fmt.Fprintf(w, "\nlimit: %s\n", l)
	}
}

// spreadText is the median, with the smallest and the largest of several rounds.
func spreadText(s summary) string {
	if len(s.Values) < 2 {
		return human3(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", human3(s.Median), human3(s.Min), human3(s.Max))
}

// secondsText is spreadText of seconds.
func secondsText(s summary) string {
	if len(s.Values) < 2 {
		return fmt.Sprintf("%.2f", s.Median)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max)
}

// human3 keeps the microseconds of small numbers of ms.
func human3(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.3f", v)
	}
	return human(v)
}

func bytesText(b float64) string {
	switch {
	case b >= 1e9 || b <= -1e9:
		return fmt.Sprintf("%.2f GB", b/1e9)
	case b >= 1e6 || b <= -1e6:
		return fmt.Sprintf("%.2f MB", b/1e6)
	case b >= 1e4 || b <= -1e4:
		return fmt.Sprintf("%.1f KB", b/1e3)
	}
	return fmt.Sprintf("%.0f B", b)
}

// processesText lists the processes, the largest first.
func processesText(m map[string]float64) string {
	var names []string
	for n := range m {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), strings.Compare(a, b))
	})
	var parts []string
	for _, n := range names {
		parts = append(parts, n+" "+bytesText(m[n]))
	}
	return strings.Join(parts, ", ")
}
