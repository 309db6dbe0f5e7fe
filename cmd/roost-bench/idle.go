package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/cmd/internal/herd"
	"github.com/roostmail/roost/cmd/internal/rig"
)

type idleFlags struct {
	dir, binary, jsonFile string
	sessions, clients     int
	users, mix            string
	tls                   []string
	settle, rest          time.Duration
	wakes                 float64
	rounds                int
	fanOut                int
	loginRate             time.Duration
	simulate              int
	outlive               int
	dovecot               int
	hold                  bool
	addr, tlsAddr, names  string
}

func idleCommand() *cobra.Command {
	var f idleFlags
	cmd := &cobra.Command{
		Use:   "idle",
		Short: "open many sessions in every state that sleeps and print what each one costs",
		Long: `Starts roost, opens N real sessions over loopback, lets them sleep, and prints one table: memory of all roost
processes and of the kernel per session, logins per second, how long sessions take to wake, how long a change
takes to reach all sessions of a mailbox, how many are lost when the binary is reloaded or core killed, and the processor's time at rest. With --dovecot the same of a private
Dovecot 2.3 with imap_hibernate_timeout=1s, in the same run. Says first which settings of the system do not
suffice, and for how many sessions they do.

What each figure is, and the command for it: docs/bench.md. Needs root, and the package dovecot-imapd for --dovecot.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if f.hold {
				return runHold(f)
			}
			return runIdle(f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", "var/bench", "where the users' mailboxes are kept between runs")
	fl.StringVar(&f.binary, "roost", "bin/roost", "the roost binary")
	fl.StringVar(&f.jsonFile, "json", "", "also write the results to this file")
	fl.IntVar(&f.sessions, "sessions", 0, "sessions (default: as many as the system allows)")
	fl.IntVar(&f.clients, "clients", 2, "client processes over which the sessions are spread")
	fl.StringVar(&f.users, "users", "own", "own: every session is another user's and has that user's mailbox selected; one: all are one user's")
	fl.StringVar(&f.mix, "mix", "selected,idle", "states of the sessions with weights, such as selected=3,idle: unauthenticated, authenticated, selected, idle, command and literal (half received), unsent (output that the client does not take), compressed (selected, with COMPRESS)")
	fl.StringSliceVar(&f.tls, "tls", []string{"none", "1.3"}, "one run for each of: none, 1.3, 1.2, mix (a third each)")
	fl.DurationVar(&f.settle, "settle", time.Minute, "how long to wait at most until memory does not change any more")
	fl.DurationVar(&f.rest, "rest", 30*time.Second, "how long to measure the processor's time at rest; 0 = not")
	fl.Float64Var(&f.wakes, "wakes", 1000, "sessions to wake per second, for the latency of what is answered asleep; 0 = no wakes at all")
	fl.IntVar(&f.rounds, "rounds", 5, "rounds of all timings; median and spread are of these")
	fl.IntVar(&f.fanOut, "fan-out", 15_000, "sessions in IDLE in the one mailbox that is changed; 0 = not")
	fl.DurationVar(&f.loginRate, "login-rate", 3*time.Second, "how long to log in, in each round; 0 = not")
	fl.IntVar(&f.simulate, "simulate", 10_000_000, "sessions to fill the table with, without sockets; 0 = not")
	fl.IntVar(&f.outlive, "outlive", 15_000, "sessions, half of them with TLS 1.3, that a reload of the binary and a kill -9 of core are to leave alone; 0 = not")
	fl.IntVar(&f.dovecot, "dovecot", 0, "sessions of a private Dovecot beside it; 0 = not")
	fl.Lookup("dovecot").NoOptDefVal = "1000"
	fl.BoolVar(&f.hold, "hold", false, "only open the sessions and hold them: each line on standard input checks that all are alive, its end closes them")
	fl.StringVar(&f.addr, "addr", "", "hold sessions of a server that runs at this address, instead of starting roost")
	fl.StringVar(&f.tlsAddr, "tls-addr", "", "the same, with implicit TLS")
	fl.StringVar(&f.names, "user-names", userNames, "user names there, whose password is pass; a verb takes the number of the session")
	return cmd
}

// idleReport is what the run found out.
type idleReport struct {
	Limits    []string   `json:"limits"`
	Costs     []cost     `json:"costs"`
	Timings   []timing   `json:"timings"`
	Outlived  []outlived `json:"outlived"`
	Simulated *simulated `json:"simulated,omitempty"`
}

// idleRun is one run of the command.
type idleRun struct {
	f      idleFlags
	mix    herd.Mix
	store  userStore
	fleet  *herd.Fleet
	report idleReport
}

func runIdle(f idleFlags) error {
	run, end, err := startIdle(f)
	if err != nil {
		return err
	}
	err = run.measure()
	if err := errors.Join(err, end()); err != nil {
		return err
	}
	printIdle(os.Stdout, run.report)
	if f.jsonFile != "" {
		b, err := json.MarshalIndent(run.report, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.jsonFile, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	return run.report.broken()
}

// startIdle checks flags and limits, and makes the store and the client processes, which end ends.
func startIdle(f idleFlags) (run *idleRun, end func() error, err error) {
	run = &idleRun{f: f}
	if run.mix, err = herd.ParseMix(f.mix); err != nil {
		return nil, nil, err
	}
	for _, v := range f.tls {
		if !slices.Contains([]string{"none", "1.2", "1.3", "mix"}, v) {
			return nil, nil, fmt.Errorf("--tls %s: none, 1.2, 1.3 or mix", v)
		}
	}
	if f.users != "own" && f.users != "one" {
		return nil, nil, fmt.Errorf("--users %s: own or one", f.users)
	}
	if f.clients < 1 || f.rounds < 1 || f.sessions < 0 || f.fanOut < 0 || f.outlive < 0 || f.dovecot < 0 || f.simulate < 0 {
		return nil, nil, errors.New("--clients and --rounds must be 1 at least, and no number negative")
	}
	if run.f.dir, err = filepath.Abs(f.dir); err != nil {
		return nil, nil, err
	}
	sys, err := readSystem()
	if err != nil {
		return nil, nil, err
	}
	limits := sys.limits(f.clients, f.users == "own")
	n, low := most(limits)
	if f.sessions == 0 {
		run.f.sessions = n
		fmt.Fprintf(os.Stderr, "%d sessions, as %s allows: %s\n", n, low.name, low.advice)
	}
	run.report.Limits = complain(limits, run.f.sessions)
	for _, line := range run.report.Limits {
		fmt.Fprintln(os.Stderr, "limit:", line)
	}
	if run.f.sessions > n || run.f.sessions == 0 {
		return nil, nil, fmt.Errorf("%d sessions are asked for, %d are possible", run.f.sessions, n)
	}
	run.f.fanOut, run.f.outlive = min(f.fanOut, n), min(f.outlive, n-1) // outliving has a session more, that looks on
	users := max(run.f.sessions, run.f.outlive) + f.dovecot
	if f.users == "one" {
		users = 1 + f.dovecot
	}
	if f.addr == "" {
		if run.store, err = buildUsers(run.f.dir, f.binary, users); err != nil {
			return nil, nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	if run.fleet, err = herd.StartFleet(f.clients, self, "herd"); err != nil {
		return nil, nil, err
	}
	return run, run.fleet.Stop, nil
}

// measure runs all parts that the flags ask for.
func (run *idleRun) measure() error {
	for _, v := range run.f.tls {
		if err := run.roostCase(v); err != nil {
			return fmt.Errorf("roost, TLS %s: %w", v, err)
		}
	}
	if run.f.dovecot > 0 {
		if err := run.dovecotCosts(); err != nil {
			return err
		}
	}
	if run.f.loginRate > 0 {
		if err := run.logins(); err != nil {
			return fmt.Errorf("login rate: %w", err)
		}
	}
	if run.f.fanOut > 0 {
		if err := run.fanOut(); err != nil {
			return fmt.Errorf("fan-out: %w", err)
		}
	}
	if run.f.outlive > 0 {
		if err := run.outlive(); err != nil {
			return fmt.Errorf("reload and kill: %w", err)
		}
	}
	if run.f.simulate > 0 {
		s, err := runSimulate(run.f.simulate)
		if err != nil {
			return err
		}
		run.report.Simulated = &s
	}
	return nil
}

// options returns how the sessions of a server are opened.
func (run *idleRun) options(s target, version string) herd.Options {
	o := herd.Options{Addr: s.addr, TLSAddr: s.tlsAddr, TLS: version, Users: userNames, First: s.first, N: run.f.sessions, Mix: run.mix}
	if run.f.users == "one" {
		o.Users = fmt.Sprintf(userNames, 0)
	}
	return o
}

// target is a server under test.
type target struct {
	name    string
	addr    string
	tlsAddr string
	pid     int
	first   int // number of the first user whose mailbox only this server has in use
}

// startRoost starts roost for the store.
func (run *idleRun) startRoost() (*rig.Roost, target, func() error, error) {
	dir, remove, err := rig.Dir("roost-bench-")
	if err != nil {
		return nil, target{}, nil, err
	}
	r, err := rig.StartRoost(rig.RoostOptions{Binary: run.f.binary, Dir: dir, Passwd: run.store.passwd})
	if err != nil {
		remove()
		return nil, target{}, nil, err
	}
	stop := func() error { defer remove(); return r.Stop() }
	return r, target{name: "roost", addr: r.Addr, tlsAddr: r.TLSAddr, pid: r.PID()}, stop, nil
}

// progress tells what is being done.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format("15:04:05"), strings.TrimSpace(fmt.Sprintf(format, args...)))
}
