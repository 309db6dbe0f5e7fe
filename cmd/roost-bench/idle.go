package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/cmd/internal/rig"
)

type idleFlags struct {
	dir, binary string
	sessions    int
	tls         bool
}

func idleCommand() *cobra.Command {
	var f idleFlags
	cmd := &cobra.Command{
		Use:   "idle",
		Short: "open many logged-in sessions in IDLE and print what each one costs",
		Long: "Starts roost on a store that a private Dovecot made, logs in N sessions over loopback, selects a mailbox,\n" +
			"sends IDLE, and prints the growth of user-space memory (PSS of all roost processes) per session and the number\n" +
			"of goroutines in core before and after. Needs root and the package dovecot-imapd.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runIdle(f) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "var/bench", "where the store is kept between runs")
	cmd.Flags().StringVar(&f.binary, "roost", "bin/roost", "the roost binary")
	cmd.Flags().IntVar(&f.sessions, "sessions", 10_000, "sessions; both ends of a connection are descriptors, 20,000 per process is a common limit")
	cmd.Flags().BoolVar(&f.tls, "tls", false, "with TLS")
	return cmd
}

func runIdle(f idleFlags) error {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	home, err := buildStore(dir, storeSpec{messages: 1000, bodies: 10})
	if err != nil {
		return err
	}
	run, remove, err := rig.Dir("roost-bench-")
	if err != nil {
		return err
	}
	defer remove()
	r, err := rig.StartRoost(rig.RoostOptions{Binary: f.binary, Dir: filepath.Join(run, "r"), Home: filepath.Join(filepath.Dir(home), "%u"), Users: []string{benchUser}})
	if err != nil {
		return err
	}
	defer r.Stop()
	return measureIdle(f, r)
}

func measureIdle(f idleFlags, r *rig.Roost) error {
	open := func() (*rig.Client, error) {
		dial, addr := rig.Dial, r.Addr
		if f.tls {
			dial, addr = rig.DialTLS, r.TLSAddr
		}
		c, err := dial(addr)
		if err != nil {
			return nil, err
		}
		if _, err := c.Cmd("LOGIN %s pass", benchUser); err != nil {
			return nil, err
		}
		if _, err := c.Cmd("SELECT %s", bigBox); err != nil {
			return nil, err
		}
		if _, err := c.Start("IDLE"); err != nil {
			return nil, err
		}
		_, err = c.ReadResponse() // "+ idling"
		return c, err
	}
	// One session first, so that the mailbox and the plugins are warm.
	first, err := open()
	if err != nil {
		return err
	}
	defer first.Close()
	before, gBefore, err := restingMemory(r)
	if err != nil {
		return err
	}
	start := time.Now()
	for i := range f.sessions {
		c, err := open()
		if err != nil {
			return fmt.Errorf("session %d: %w", i+1, err)
		}
		defer c.Close()
	}
	took := time.Since(start)
	after, gAfter, err := restingMemory(r)
	if err != nil {
		return err
	}
	fmt.Printf("| sessions in IDLE | TLS | user-space bytes per session | goroutines before | goroutines after | logged in and idling per s |\n|---|---|---|---|---|---|\n")
	fmt.Printf("| %d | %v | %.0f | %d | %d | %.0f |\n", f.sessions, f.tls, (float64(after.PSS)-float64(before.PSS))/float64(f.sessions), gBefore, gAfter, float64(f.sessions)/took.Seconds())
	if gAfter > gBefore+100 {
		return fmt.Errorf("goroutines grow with sessions: %d, before %d", gAfter, gBefore)
	}
	return nil
}

var goroutines = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)

// restingMemory returns the memory of all roost processes and core's goroutines, when
// neither changes any more.
func restingMemory(r *rig.Roost) (rig.Memory, int, error) {
	var last rig.Memory
	for range 30 {
		time.Sleep(time.Second)
		m := rig.MemoryOf(r.PID())
		if d := int64(m.PSS) - int64(last.PSS); d > -100_000 && d < 100_000 {
			break
		}
		last = m
	}
	resp, err := http.Get("http://" + r.Admin + "/metrics")
	if err != nil {
		return last, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return last, 0, err
	}
	m := goroutines.FindSubmatch(b)
	if m == nil {
		return last, 0, fmt.Errorf("no go_goroutines in /metrics")
	}
	n, err := strconv.Atoi(string(m[1]))
	return rig.MemoryOf(r.PID()), n, err
}
