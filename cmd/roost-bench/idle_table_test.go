package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/herd"
)

func TestTimingsHaveMedianAndSpread(t *testing.T) {
	r := rounds{timing: timing{Server: "roost", TLS: "none", What: "NOOP", How: "1 client"}}
	for _, ms := range []int{3, 1, 2} {
		r.add(herd.Latencies{time.Duration(ms) * time.Millisecond}, time.Second/4, 0.002)
	}
	r.add(nil, time.Second, 0) // a round without an answer has no quantile
	got := r.result()
	if got.N != 3 || got.P50.Median != 2 || got.P50.Min != 1 || got.P50.Max != 3 || got.PerSecond.Median != 4 || got.CPU.Median != 2 {
		t.Errorf("%+v", got)
	}
	var b strings.Builder
	printIdle(&b, idleReport{Timings: []timing{got}})
	if want := "| NOOP, 1 client | roost | none | p50 **2.000 (1.000–3.000)** ms, "; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}

func TestTableOfCosts(t *testing.T) {
	c := cost{Server: "roost", TLS: "1.3", Mix: "idle=1", Sessions: 1000}
	before := memory{user: map[string]uint64{"roost": 5_000_000, "gone": 1_000_000}, sum: 6_000_000, kernel: kernelMemory{objects: 1000}}
	after := memory{user: map[string]uint64{"roost": 5_300_000, "storage/mdbox": 20_000_000}, sum: 25_300_000, kernel: kernelMemory{objects: 8_201_000}}
	c.grown(before, after)
	c.Rest, c.RestCPU, c.Kernel = 30, 3, 4000
	var b strings.Builder
	printIdle(&b, idleReport{Costs: []cost{c}, Limits: []string{"raise it"}})
	for _, want := range []string{
		"| user-space memory per session (1000 sessions: idle=1) | roost | 1.3 | **19.3 KB** (storage/mdbox 20.0 KB, roost 300 B, gone -1000 B) |",
		"| kernel memory per session, the server's share | roost | 1.3 | 4000 B (growth with all sessions: 4100 B) |",
		"| memory per session, kernel included | roost | 1.3 | **23.3 KB** |",
		"| CPU of all processes at rest, in 30 s | roost | 1.3 | **3.0 ms** (0.0100 % of a core) |",
		"limit: raise it",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestTableOfTheOutlived(t *testing.T) {
	o := outlived{What: "reload of the binary", Sessions: 1000, TLS: "none+1.3", Mix: "idle=1", Told: 100,
		All: summarize(series{2, 1, 3}, nil), Pause: summarize(series{0.2, 0.1, 0.3}, nil), Command: summarize(series{1, 1, 1.5}, nil)}
	var b strings.Builder
	printIdle(&b, idleReport{Outlived: []outlived{o}})
	want := "| reload of the binary with 1000 sessions (idle=1) | roost | none+1.3 | **0 lost**; all had answered after **2.00 (1.00–3.00)** s, " +
		"the longest pause of a client was 0.20 (0.10–0.30) s, the command took 1.00 (1.00–1.50) s; 3 rounds, 100 were told of changes afterwards |\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}

func TestBrokenRunsFail(t *testing.T) {
	ok := idleReport{Costs: []cost{{Server: "roost", Before: 50, After: 60}}, Timings: []timing{{What: "NOOP"}}}
	if err := ok.broken(); err != nil {
		t.Error(err)
	}
	for name, r := range map[string]idleReport{
		"lost":       {Costs: []cost{{Lost: 1}}},
		"goroutines": {Costs: []cost{{Before: 50, After: 5000}}},
		"ended":      {Outlived: []outlived{{Lost: 1}}},
		"unanswered": {Timings: []timing{{Failed: 1}}},
	} {
		if r.broken() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSimulatedTableIsMeasured(t *testing.T) {
	s, err := fillTable(100_000)
	if err != nil {
		t.Fatal(err)
	}
	if s.TLS != 50_000 || s.Extras != 1000 || s.PerSession < 100 || s.PerSession > 600 || s.GCWall <= 0 || s.After > s.Before+2 {
		t.Errorf("%+v", s)
	}
}

func TestBareConnectionsAreClosedAgain(t *testing.T) {
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before := open()
	if _, err := measureBare(); err != nil {
		t.Fatal(err)
	}
	if after := open(); after != before {
		t.Errorf("%d descriptors are open, before %d", after, before)
	}
}
