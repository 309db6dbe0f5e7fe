package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// op is one operation. It is run by several connections at once.
type op struct {
	name string
	unit string
	// selects is the mailbox that each connection has selected before the clock starts, "" = none.
	selects string
	// anonymous: the connections are made by run itself.
	anonymous bool
	// run does the work of one connection until stop returns true, at least once, and
	// returns how much it did, in units.
	run func(addr string, c *rig.Client, spec storeSpec, stop func() bool) (float64, error)
}

var operations = []op{
	{name: "connect + LOGIN + LOGOUT", unit: "per s", anonymous: true, run: func(addr string, _ *rig.Client, _ storeSpec, stop func() bool) (float64, error) {
		return repeat(stop, func() (float64, error) {
			c, err := rig.Login(addr, benchUser)
			if err != nil {
				return 0, err
			}
			defer c.Close()
			_, err = c.Drain("LOGOUT")
			return 1, err
		})
	}},
	{name: "NOOP", unit: "per s", selects: bigBox, run: drain(1, "NOOP")},
	{name: "SELECT of the big mailbox, new session", unit: "per s", anonymous: true, run: func(addr string, _ *rig.Client, _ storeSpec, stop func() bool) (float64, error) {
		return repeat(stop, func() (float64, error) {
			c, err := rig.Login(addr, benchUser)
			if err != nil {
				return 0, err
			}
			defer c.Close()
			_, err = c.Drain("SELECT %s", bigBox)
			return 1, err
		})
	}},
	{name: "SELECT of the big mailbox, same session", unit: "per s", run: drain(1, "SELECT "+bigBox)},
	{name: "STATUS of the big mailbox", unit: "per s", run: drain(1, "STATUS "+bigBox+" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)")},
	{name: "FETCH FLAGS of the big mailbox", unit: "messages per s", selects: bigBox, run: perMessage("FETCH 1:* (UID FLAGS)")},
	{name: "FETCH ENVELOPE of the big mailbox", unit: "messages per s", selects: bigBox, run: perMessage("FETCH 1:* (UID ENVELOPE)")},
	{name: "FETCH BODYSTRUCTURE of the big mailbox", unit: "messages per s", selects: bigBox, run: perMessage("FETCH 1:* (UID BODYSTRUCTURE)")},
	{name: "search-flag: SEARCH UNSEEN of the big mailbox", unit: "messages per s", selects: bigBox, run: perMessage("SEARCH UNSEEN UNDELETED")},
	{name: "search-header: SEARCH SUBJECT of the big mailbox", unit: "messages per s", selects: bigBox, run: perMessage("SEARCH SUBJECT nowhere FROM nobody")},
	{name: "search-body: SEARCH BODY of the big mailbox", unit: "messages per s", selects: bigBox, run: perMessage("SEARCH BODY nowhere")},
	{name: "sort: SORT by subject of the big mailbox", unit: "messages per s", selects: bigBox, run: perMessage("SORT (SUBJECT) UTF-8 ALL")},
	{name: "sort: SORT by date of the big mailbox", unit: "messages per s", selects: bigBox, run: perMessage("SORT (REVERSE DATE) UTF-8 ALL")},
	{name: "thread: THREAD REFERENCES of the big mailbox", unit: "messages per s", selects: bigBox, run: perMessage("THREAD REFERENCES UTF-8 ALL")},
	{name: "FETCH bodies", unit: "MB/s", selects: bodiesBox, run: func(_ string, c *rig.Client, _ storeSpec, stop func() bool) (float64, error) {
		return repeat(stop, func() (float64, error) {
			n, err := c.Drain("FETCH 1:* (UID BODY.PEEK[])")
			return float64(n) / 1e6, err
		})
	}},
	{name: "FETCH of one 50 KB message", unit: "per s", selects: bodiesBox, run: func(_ string, c *rig.Client, spec storeSpec, stop func() bool) (float64, error) {
		i := 0
		return repeat(stop, func() (float64, error) {
			i++
			_, err := c.Drain("FETCH %d (UID BODY.PEEK[])", 1+i%spec.bodies)
			return 1, err
		})
	}},
	// Those that write are last: the store grows.
	{name: "STORE to one message", unit: "per s", selects: bigBox, run: func(_ string, c *rig.Client, spec storeSpec, stop func() bool) (float64, error) {
		return repeat(stop, func() (float64, error) {
			_, err := c.Drain(`STORE %d %cFLAGS (\Flagged)`, 1+rand.IntN(spec.messages), "+-"[rand.IntN(2)])
			return 1, err
		})
	}},
	{name: "COPY of one message", unit: "per s", selects: bigBox, run: func(_ string, c *rig.Client, spec storeSpec, stop func() bool) (float64, error) {
		return repeat(stop, func() (float64, error) {
			_, err := c.Drain("COPY %d INBOX", 1+rand.IntN(spec.messages))
			return 1, err
		})
	}},
	{name: "APPEND of 4 KB", unit: "per s", run: func(_ string, c *rig.Client, _ storeSpec, stop func() bool) (float64, error) {
		text := "From: a@example.org\r\nSubject: appended\r\n\r\n" + strings.Repeat("Lorem ipsum dolor sit amet, consectetur.\r\n", 96)
		return repeat(stop, func() (float64, error) {
			_, err := c.Drain("APPEND INBOX (\\Seen) {%d+}\r\n%s", len(text), text)
			return 1, err
		})
	}},
}

// drain makes an operation of one command that counts as units.
func drain(units float64, command string) func(string, *rig.Client, storeSpec, func() bool) (float64, error) {
	return func(_ string, c *rig.Client, _ storeSpec, stop func() bool) (float64, error) {
		return repeat(stop, func() (float64, error) {
			_, err := c.Drain("%s", command)
			return units, err
		})
	}
}

// perMessage makes an operation of one command that counts the messages of the big mailbox.
func perMessage(command string) func(string, *rig.Client, storeSpec, func() bool) (float64, error) {
	return func(a string, c *rig.Client, spec storeSpec, stop func() bool) (float64, error) {
		return drain(float64(spec.messages), command)(a, c, spec, stop)
	}
}

// repeat runs f at least once, until stop, and adds up its units.
func repeat(stop func() bool, f func() (float64, error)) (float64, error) {
	var sum float64
	for {
		n, err := f()
		if err != nil {
			return sum, err
		}
		sum += n
		if stop() {
			return sum, nil
		}
	}
}

// server is one side of the comparison.
type server struct {
	name string
	addr string
	pid  int
}

type opsFlags struct {
	dir, binary, jsonFile string
	messages, bodies      int
	rounds                int
	seconds               float64
	only                  string
	conns                 []int
}

func opsCommand() *cobra.Command {
	var f opsFlags
	cmd := &cobra.Command{
		Use:   "ops",
		Short: "compare IMAP operations with a private Dovecot on copies of one store",
		Long: "Starts roost and a private Dovecot on two copies of one store that Dovecot made, and runs each operation\n" +
			"on both in turn, several rounds in one run. Prints the median, the spread, and roost ÷ Dovecot. Needs root\n" +
			"and the package dovecot-imapd.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runOps(f) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "var/bench", "where the store is kept between runs")
	cmd.Flags().StringVar(&f.binary, "roost", "bin/roost", "the roost binary")
	cmd.Flags().StringVar(&f.jsonFile, "json", "", "also write the results to this file")
	cmd.Flags().IntVar(&f.messages, "messages", 100_000, "messages in the big mailbox")
	cmd.Flags().IntVar(&f.bodies, "bodies", 2_000, "messages of 50 KB in the bodies mailbox")
	cmd.Flags().IntVar(&f.rounds, "rounds", 5, "rounds")
	cmd.Flags().Float64Var(&f.seconds, "seconds", 0.6, "time per operation, server and round")
	cmd.Flags().StringVar(&f.only, "only", "", "run only operations whose name contains this")
	cmd.Flags().IntSliceVar(&f.conns, "conns", []int{1, 10}, "numbers of connections")
	return cmd
}

func runOps(f opsFlags) error {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	spec := storeSpec{messages: f.messages, bodies: f.bodies}
	home, err := buildStore(dir, spec)
	if err != nil {
		return err
	}
	run, remove, err := rig.Dir("roost-bench-")
	if err != nil {
		return err
	}
	defer remove()
	roost, dovecot, stop, err := startBoth(run, home, f.binary)
	if err != nil {
		return err
	}
	defer stop()
	results, err := measure(f, spec, roost, dovecot)
	if err != nil {
		return err
	}
	printTable(os.Stdout, results)
	for _, s := range []server{roost, dovecot} {
		fmt.Printf("%s: %.1f MB PSS of all processes at the end\n", s.name, float64(rig.MemoryOf(s.pid).PSS)/1e6)
	}
	if f.jsonFile == "" {
		return nil
	}
	b, err := json.MarshalIndent(results, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(f.jsonFile, append(b, '\n'), 0o644)
}

// startBoth starts both servers on copies of the store at home.
func startBoth(run, home, binary string) (roost, dovecot server, stop func(), err error) {
	for _, name := range []string{"roost", "dovecot"} {
		if err := os.MkdirAll(filepath.Join(run, name), 0o755); err != nil {
			return roost, dovecot, nil, err
		}
		if err := rig.CopyTree(home, filepath.Join(run, name, benchUser)); err != nil {
			return roost, dovecot, nil, err
		}
	}
	d, err := rig.StartDovecot(rig.DovecotOptions{Dir: filepath.Join(run, "d"), Home: filepath.Join(run, "dovecot", "%u")})
	if err != nil {
		return roost, dovecot, nil, err
	}
	r, err := rig.StartRoost(rig.RoostOptions{Binary: binary, Dir: filepath.Join(run, "r"), Home: filepath.Join(run, "roost", "%u"), Users: []string{benchUser}})
	if err != nil {
		return roost, dovecot, nil, errors.Join(err, d.Stop())
	}
	pid, err := d.PID()
	stop = func() {
		if err := errors.Join(r.Stop(), d.Stop()); err != nil {
			fmt.Fprintln(os.Stderr, "roost-bench:", err)
		}
	}
	if err != nil {
		stop()
	}
	return server{"roost", r.Addr, r.PID()}, server{"dovecot", d.Addr, pid}, stop, err
}

// measure runs all operations in rounds, the two servers taking turns in going first.
func measure(f opsFlags, spec storeSpec, roost, dovecot server) ([]result, error) {
	var results []result
	for _, o := range operations {
		if f.only != "" && !strings.Contains(o.name, f.only) {
			continue
		}
		for _, conns := range f.conns {
			values := map[string]*[2]series{"roost": {}, "dovecot": {}}
			for round := range f.rounds {
				order := []server{roost, dovecot}
				if round%2 == 1 {
					order[0], order[1] = order[1], order[0]
				}
				for _, s := range order {
					v, cpu, err := once(o, s, spec, conns, time.Duration(f.seconds*float64(time.Second)))
					if err != nil {
						return nil, fmt.Errorf("%s on %s with %d connections: %w", o.name, s.name, conns, err)
					}
					values[s.name][0] = append(values[s.name][0], v)
					values[s.name][1] = append(values[s.name][1], cpu)
				}
			}
			r := result{Operation: o.name, Unit: o.unit, Connections: conns,
				Roost:   summarize(values["roost"][0], values["roost"][1]),
				Dovecot: summarize(values["dovecot"][0], values["dovecot"][1])}
			r.Ratio = r.Roost.Median / r.Dovecot.Median
			fmt.Fprintf(os.Stderr, "%-42s %2d conns: ratio %.2f\n", o.name, conns, r.Ratio)
			results = append(results, r)
		}
	}
	return results, nil
}

// once runs one operation with conns connections for d and returns units per second and the server's CPU seconds.
func once(o op, s server, spec storeSpec, conns int, d time.Duration) (perSecond, cpu float64, err error) {
	clients := make([]*rig.Client, conns)
	if !o.anonymous {
		for i := range clients {
			if clients[i], err = rig.Login(s.addr, benchUser); err != nil {
				return 0, 0, err
			}
			defer clients[i].Close()
			if o.selects != "" {
				if _, err := clients[i].Drain("SELECT %s", o.selects); err != nil {
					return 0, 0, err
				}
			}
		}
	}
	done := make([]float64, conns)
	errs := make([]error, conns)
	cpu0, start := rig.CPUSeconds(s.pid), time.Now()
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			done[i], errs[i] = o.run(s.addr, c, spec, func() bool { return time.Since(start) >= d })
		}()
	}
	wg.Wait()
	took := time.Since(start).Seconds()
	var sum float64
	for _, v := range done {
		sum += v
	}
	return sum / took, rig.CPUSeconds(s.pid) - cpu0, errors.Join(errs...)
}
