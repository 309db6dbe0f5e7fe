package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/cmd/internal/rig"
)

type fairFlags struct {
	dir, binary string
	messages    int
	searchers   int
	clients     int
	pause       time.Duration
	duration    time.Duration
}

func fairCommand() *cobra.Command {
	var f fairFlags
	cmd := &cobra.Command{
		Use:   "fair",
		Short: "measure how long others wait while one user searches",
		Long: "One user runs SEARCH TEXT over a large mailbox from several connections, again and again. Other sessions, of another user,\n" +
			"send NOOP, and LIST, which needs a worker, and measure how long the answers take: without that load, with it, and with it when\n" +
			"workers are not shared out ([limits] time_slice and user_workers out of reach). Needs root and the package dovecot-imapd.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runFair(f) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "var/bench", "where the store is kept between runs")
	cmd.Flags().StringVar(&f.binary, "roost", "bin/roost", "the roost binary")
	cmd.Flags().IntVar(&f.messages, "messages", 10_000, "messages in the mailbox that is searched")
	cmd.Flags().IntVar(&f.searchers, "searchers", 8, "connections that search")
	cmd.Flags().IntVar(&f.clients, "clients", 4, "connections of the other user")
	cmd.Flags().DurationVar(&f.pause, "pause", 5*time.Millisecond, "between two commands of one of these")
	cmd.Flags().DurationVar(&f.duration, "duration", 5*time.Second, "of each measurement")
	return cmd
}

// otherUser is who waits.
const otherUser = "other"

func runFair(f fairFlags) error {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	home, err := buildStore(dir, storeSpec{messages: f.messages, bodies: 1})
	if err != nil {
		return err
	}
	fmt.Printf("| load | command | answers | p50 ms | p99 ms | max ms | searches |\n|---|---|---|---|---|---|---|\n")
	for _, c := range []struct {
		name, limits string
		searchers    int
	}{
		{"none", "", 0},
		{fmt.Sprintf("%d × SEARCH TEXT of %d messages", f.searchers, f.messages), "", f.searchers},
		{"the same, workers not shared out", "[limits]\ntime_slice = \"1h\"\nuser_workers = 1000000\n", f.searchers},
	} {
		if err := fairCase(f, home, c.name, c.limits, c.searchers); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// fairCase measures with one configuration and load, on a server of its own.
func fairCase(f fairFlags, home, name, limits string, searchers int) (err error) {
	run, remove, err := rig.Dir("roost-bench-")
	if err != nil {
		return err
	}
	defer remove()
	other := filepath.Join(run, "home", otherUser)
	if err := errors.Join(os.MkdirAll(other, 0o755), os.Chown(other, rig.MailUID, rig.MailUID)); err != nil {
		return err
	}
	if err := rig.CopyTree(home, filepath.Join(run, "home", benchUser)); err != nil {
		return err
	}
	r, err := rig.StartRoost(rig.RoostOptions{Binary: f.binary, Dir: filepath.Join(run, "r"), Home: filepath.Join(run, "home", "%u"),
		Users: []string{benchUser, otherUser}, Extra: limits})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	load, err := startSearches(r.Addr, searchers)
	if err != nil {
		return err
	}
	for _, command := range []string{"NOOP", `LIST "" %`} {
		took, err := askOften(r.Addr, command, f)
		if err != nil {
			return errors.Join(err, load.stop())
		}
		slices.Sort(took)
		at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
		fmt.Printf("| %s | %s | %d | %.2f | %.2f | %.2f | %d |\n", name, command, len(took), at(0.5), at(0.99), at(1), load.count())
	}
	return load.stop()
}

// searches are connections that search until they are stopped.
type searches struct {
	wg      sync.WaitGroup
	mu      sync.Mutex // guards what follows
	done    int
	stopped bool
	err     error
}

func startSearches(addr string, n int) (*searches, error) {
	s := new(searches)
	for range n {
		c, err := rig.Login(addr, benchUser)
		if err == nil {
			_, err = c.Drain("SELECT %s", bigBox)
		}
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		s.wg.Add(1)
		go s.run(c) // stop waits for it
	}
	return s, nil
}

func (s *searches) run(c *rig.Client) {
	defer s.wg.Done()
	defer c.Close()
	for {
		_, err := c.Drain("SEARCH TEXT %q", "nobody has written this")
		s.mu.Lock()
		s.done++
		s.err = errors.Join(s.err, err)
		end := s.stopped || err != nil
		s.mu.Unlock()
		if end {
			return
		}
	}
}

func (s *searches) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// stop lets the searches that run end.
func (s *searches) stop() error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.wg.Wait()
	return s.err
}

// askOften sends a command from all clients, and returns how long each answer took.
func askOften(addr, command string, f fairFlags) ([]time.Duration, error) {
	var wg sync.WaitGroup
	took, errs := make([][]time.Duration, f.clients), make([]error, f.clients)
	for i := range f.clients {
		c, err := rig.Login(addr, otherUser)
		if err == nil {
			_, err = c.Drain("SELECT INBOX")
		}
		if err != nil {
			wg.Wait()
			return nil, err
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer c.Close()
			for end := time.Now().Add(f.duration); time.Now().Before(end) && errs[i] == nil; time.Sleep(f.pause) {
				start := time.Now()
				_, errs[i] = c.Drain("%s", command)
				took[i] = append(took[i], time.Since(start))
			}
		}()
	}
	wg.Wait()
	return slices.Concat(took...), errors.Join(errs...)
}
