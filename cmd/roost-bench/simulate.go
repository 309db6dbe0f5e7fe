package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/session"
)

// simulated is what core keeps of sleeping sessions, without sockets: the records of sessions, each of another user with another mailbox.
type simulated struct {
	Sessions   int     `json:"sessions"`
	TLS        int     `json:"tls_sessions"`   // of these, protected by TLS 1.3
	Extras     int     `json:"extras"`         // of these, with something beside their record
	Resident   int64   `json:"resident_bytes"` // growth of the process's RSS
	PerSession float64 `json:"resident_bytes_per_session"`
	GCCPU      float64 `json:"gc_cpu_ms_per_cycle"`
	GCWall     float64 `json:"gc_wall_ms_per_cycle"`
	Before     int     `json:"goroutines_before"`
	After      int     `json:"goroutines_after"`
	FilledIn   float64 `json:"filled_in_seconds"`
}

// simulateCommand is a process of its own, so that nothing but the table is measured.
func simulateCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "simulate N",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return fmt.Errorf("simulate: %q is not a number of sessions", args[0])
			}
			s, err := fillTable(n)
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(s)
		},
	}
}

// runSimulate runs simulateCommand.
func runSimulate(n int) (simulated, error) {
	var s simulated
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	cmd := exec.Command(self, "simulate", strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("simulate: %w", err)
	}
	return s, json.Unmarshal(out, &s)
}

const simulateCycles = 10

// sleeper is what the simulated sessions are. Half of them are protected by TLS 1.3. Of 1,000, 4 have a saved result of SEARCH of 60 messages, 4 have NOTIFY for their
// mailbox, and 2 a command that was received in part.
func sleeper(i int) session.Sleeper {
	s := session.Sleeper{TLS: i%2 == 0}
	switch i % 1000 {
	case 0, 251, 500, 751:
		s.Extra = imap.SimulatedResult(20)
	case 100, 351, 600, 851:
		s.Extra = imap.SimulatedNotify()
	case 200, 701:
		s.Input = []byte("a7 UID SEARCH RETURN (MIN COUNT) SINCE 1-Feb-2026 OR FROM {31}\r\nsomebody@a-company.ex")
	}
	return s
}

func fillTable(n int) (simulated, error) {
	s := simulated{Sessions: n, Before: runtime.NumGoroutine()}
	debug.FreeOSMemory()
	before, err := resident()
	if err != nil {
		return s, err
	}
	start := time.Now()
	table, err := session.Simulate(n, new(imap.Server), sleeper)
	if err != nil {
		return s, err
	}
	defer table.Close()
	s.TLS, s.Extras = table.TLS(), table.Extras()
	closeMailboxes, err := simulateMailboxes(n)
	if err != nil {
		return s, err
	}
	defer closeMailboxes()
	s.FilledIn = time.Since(start).Seconds()
	debug.FreeOSMemory()
	after, err := resident()
	if err != nil {
		return s, err
	}
	s.Resident = after - before
	s.PerSession = float64(s.Resident) / float64(n)
	cpu, start := gcCPU(), time.Now()
	for range simulateCycles {
		runtime.GC()
	}
	s.GCWall = time.Since(start).Seconds() * 1000 / simulateCycles
	s.GCCPU = (gcCPU() - cpu) * 1000 / simulateCycles
	s.After = runtime.NumGoroutine()
	return s, nil
}

// gcCPU returns the CPU seconds that garbage collections have taken so far.
func gcCPU() float64 {
	m := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(m)
	return m[0].Value.Float64()
}

// resident returns the process's resident memory, in bytes.
func resident() (int64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if rest, ok := strings.CutPrefix(sc.Text(), "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in /proc/self/status")
}
