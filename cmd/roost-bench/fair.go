package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/cmd/internal/rig"
)

type fairFlags struct {
	dir, binary string
	messages    int
	searchers   int
	load        string
	clients     int
	pause       time.Duration
	duration    time.Duration
}

func fairCommand() *cobra.Command {
	var f fairFlags
	cmd := &cobra.Command{
		Use:   "fair",
		Short: "measure how long others wait while one user searches, stores flags or copies",
		Long: "One user runs SEARCH TEXT, STORE or COPY over a large mailbox from several connections, again and again. Other sessions, of another user,\n" +
			"send NOOP, and LIST, which needs a worker, and measure how long the answers take: without that load, with it, and with it when\n" +
			"workers are not shared out ([limits] time_slice and user_workers out of reach). Needs root and the package dovecot-imapd.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runFair(f) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "var/bench", "where the store is kept between runs")
	cmd.Flags().StringVar(&f.binary, "roost", "bin/roost", "the roost binary")
	cmd.Flags().IntVar(&f.messages, "messages", 10_000, "messages in the mailbox that the load is about")
	cmd.Flags().IntVar(&f.searchers, "searchers", 8, "connections of the load")
	cmd.Flags().StringVar(&f.load, "load", "search", "what they do with all messages: search (TEXT), store (a flag, and take it away again), copy (to a mailbox that is deleted then)")
	cmd.Flags().IntVar(&f.clients, "clients", 4, "connections of the other user")
	cmd.Flags().DurationVar(&f.pause, "pause", 5*time.Millisecond, "between two commands of one of these")
	cmd.Flags().DurationVar(&f.duration, "duration", 5*time.Second, "of each measurement")
	return cmd
}

// fairLoads are the commands that connection n sends again and again.
var fairLoads = map[string]func(n int) []string{
	"search": func(int) []string { return []string{`SEARCH TEXT "nobody has written this"`} },
	"store": func(n int) []string {
		return []string{fmt.Sprintf("STORE 1:* +FLAGS.SILENT (load%d)", n), fmt.Sprintf("STORE 1:* -FLAGS (load%d)", n)}
	},
	"copy": func(n int) []string {
		box := fmt.Sprintf("Copy%d", n)
		return []string{"COPY 1:* " + box, "DELETE " + box, "CREATE " + box}
	},
}

// otherUser is who waits.
const otherUser = "other"

func runFair(f fairFlags) error {
	load, ok := fairLoads[f.load]
	if !ok {
		return fmt.Errorf("--load %s: search, store or copy", f.load)
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	store, err := buildStore(dir, storeSpec{messages: f.messages, bodies: 1})
	if err != nil {
		return err
	}
	fmt.Printf("| load | command | answers | p50 ms | p99 ms | max ms | commands of the load |\n|---|---|---|---|---|---|---|\n")
	for _, c := range []struct {
		name, limits string
		searchers    int
	}{
		{"none", "", 0},
		{fmt.Sprintf("%d × %s of %d messages", f.searchers, load(0)[0], f.messages), "", f.searchers},
		{"the same, workers not shared out", "[limits]\ntime_slice = \"1h\"\nuser_workers = 1000000\n", f.searchers},
	} {
		if err := fairCase(f, store, c.name, c.limits, c.searchers); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// fairCase measures with one configuration and load, on a server of its own.
func fairCase(f fairFlags, store, name, limits string, searchers int) (err error) {
	run, remove, err := rig.Dir("roost-bench-")
	if err != nil {
		return err
	}
	defer remove()
	other := filepath.Join(run, "home", otherUser)
	if err := errors.Join(os.MkdirAll(other, 0o755), os.Chown(other, rig.MailUID, rig.MailUID)); err != nil {
		return err
	}
	if err := rig.CopyTree(filepath.Join(store, benchUser), filepath.Join(run, "home", benchUser)); err != nil {
		return err
	}
	r, err := rig.StartRoost(rig.RoostOptions{Binary: f.binary, Dir: filepath.Join(run, "r"), Home: filepath.Join(run, "home", "%u"),
		Users: []string{benchUser, otherUser}, Extra: limits})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	load, err := startLoad(r.Addr, searchers, fairLoads[f.load])
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

// load is connections that work until they are stopped.
type load struct {
	wg      sync.WaitGroup
	mu      sync.Mutex // guards what follows
	done    int
	stopped bool
	err     error
}

func startLoad(addr string, n int, commands func(n int) []string) (*load, error) {
	l := new(load)
	for i := range n {
		c, err := rig.Login(addr, benchUser)
		if err == nil {
			_, err = c.Drain("SELECT %s", bigBox)
		}
		list := commands(i)
		if err == nil && strings.HasPrefix(list[len(list)-1], "CREATE") {
			_, err = c.Drain("%s", list[len(list)-1])
		}
		if err != nil {
			return nil, errors.Join(err, l.stop())
		}
		l.wg.Add(1)
		go l.run(c, list) // stop waits for it
	}
	return l, nil
}

func (l *load) run(c *rig.Client, commands []string) {
	defer l.wg.Done()
	defer c.Close()
	for n := 0; ; n++ {
		_, err := c.Drain("%s", commands[n%len(commands)])
		l.mu.Lock()
		l.done++
		l.err = errors.Join(l.err, err)
		end := l.stopped || err != nil
		l.mu.Unlock()
		if end {
			return
		}
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// stop lets the commands that run end.
func (l *load) stop() error {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.wg.Wait()
	return l.err
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
