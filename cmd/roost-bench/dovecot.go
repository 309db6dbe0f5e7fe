package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/roostmail/roost/cmd/internal/herd"
	"github.com/roostmail/roost/cmd/internal/rig"
)

// setup is how a Dovecot is set up.
type setup struct {
	hibernate bool // imap_hibernate_timeout = 1s
	reused    bool // processes are reused (performance mode); else as Dovecot comes
}

func (s setup) String() string {
	name := "Dovecot"
	if s.hibernate {
		name += ", hibernating"
	}
	if s.reused {
		return name + ", performance login"
	}
	return name + ", stock login"
}

// config overrides what rig sets. A hibernated session takes two descriptors of its one imap-hibernate process.
func (s setup) config() string {
	var b strings.Builder
	if s.hibernate {
		b.WriteString("imap_hibernate_timeout = 1s\n")
	}
	if !s.reused {
		b.WriteString("service imap-login {\n  service_count = 1\n  process_min_avail = 0\n  client_limit = 1\n  process_limit = 20000\n}\n")
	}
	// Reused imap processes are for the rate of logins; a process that keeps no session would be counted as memory of one.
	count := 1
	if s.reused && !s.hibernate {
		count = 0
	}
	fmt.Fprintf(&b, "service imap {\n  service_count = %d\n  process_limit = 20000\n  unix_listener imap-master {\n    user = $default_internal_user\n  }\n}\n", count)
	return b.String()
}

// startDovecot starts a Dovecot whose users are behind those of roost.
func (run *idleRun) startDovecot(s setup) (*rig.Dovecot, target, func() error, error) {
	dir, remove, err := rig.Dir("roost-bench-")
	if err != nil {
		return nil, target{}, nil, err
	}
	d, err := rig.StartDovecot(rig.DovecotOptions{Dir: dir, Passwd: run.store.passwd, Extra: s.config()})
	if err != nil {
		remove()
		return nil, target{}, nil, err
	}
	pid, err := d.PID()
	stop := func() error { defer remove(); return d.Stop() }
	if err != nil {
		return nil, target{}, nil, errors.Join(err, stop())
	}
	return d, target{name: s.String(), addr: d.Addr, tlsAddr: d.TLSAddr, pid: pid, first: run.store.users - run.f.dovecot}, stop, nil
}

// idling returns the options for n sessions in IDLE, each of another user.
func idling(s target, version string, n int) herd.Options {
	o := herd.Options{Addr: s.addr, TLSAddr: s.tlsAddr, TLS: version, Users: userNames, First: s.first, N: n, Clients: 8, Network: 100}
	o.Mix[herd.Idle] = 1
	return o
}

// imapProcesses counts the imap processes of a Dovecot.
func imapProcesses(pid int) int {
	n := 0
	for _, p := range rig.Tree(pid) {
		if b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(p), "comm")); err == nil && strings.TrimSpace(string(b)) == "imap" {
			n++
		}
	}
	return n
}

// hibernated waits until no session has an imap process, and returns how many still do: one is as large as 70 hibernated sessions.
func hibernated(pid int) int {
	end := time.Now().Add(herd.Patience)
	for {
		n := imapProcesses(pid)
		if n == 0 || time.Now().After(end) {
			return n
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// hibernating starts a Dovecot with hibernated sessions in plaintext.
func (run *idleRun) hibernating() (side, func() error, error) {
	s := setup{hibernate: true, reused: true}
	_, server, stop, err := run.startDovecot(s)
	if err != nil {
		return side{}, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return side{}, nil, errors.Join(err, stop())
	}
	fleet, err := herd.StartFleet(1, self, "herd")
	if err != nil {
		return side{}, nil, errors.Join(err, stop())
	}
	end := func() error { return errors.Join(fleet.Stop(), stop()) }
	progress("%s: opening %d sessions", server.name, run.f.dovecot)
	if _, err := fleet.Open(idling(server, "none", run.f.dovecot)); err != nil {
		return side{}, nil, errors.Join(err, end())
	}
	if n := hibernated(server.pid); n > run.f.dovecot/10+2 {
		return side{}, nil, errors.Join(fmt.Errorf("%s: %d sessions of %d are not hibernated", server.name, n, run.f.dovecot), end())
	}
	return side{server, fleet, "none"}, end, nil
}

// dovecotCosts measures Dovecot's memory, hibernated and not, in plaintext and with TLS.
func (run *idleRun) dovecotCosts() error {
	awake := min(run.f.dovecot, 150)
	for _, c := range []struct {
		setup
		tls string
		n   int
	}{
		{setup{hibernate: true, reused: true}, "none", run.f.dovecot},
		{setup{hibernate: true, reused: true}, "1.3", run.f.dovecot},
		{setup{hibernate: true}, "1.3", awake},
		{setup{}, "none", awake},
		{setup{}, "1.3", awake},
	} {
		if err := run.dovecotCost(c.setup, c.tls, c.n); err != nil {
			return fmt.Errorf("%s, TLS %s: %w", c.setup, c.tls, err)
		}
	}
	return nil
}

func (run *idleRun) dovecotCost(s setup, version string, n int) (err error) {
	_, server, stop, err := run.startDovecot(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	o := idling(server, version, n)
	first := o
	first.N = min(n, 20)
	if _, err := run.fleet.Open(first); err != nil {
		return err
	}
	if err := run.fleet.Close(); err != nil {
		return err
	}
	if left := hibernated(server.pid); left > 0 {
		return fmt.Errorf("%d processes of closed sessions do not end", left)
	}
	before, err := atRest(server.pid, run.f.settle)
	if err != nil {
		return err
	}
	progress("%s, TLS %s: opening %d sessions", s, version, n)
	opened, err := run.fleet.Open(o)
	if err != nil {
		return err
	}
	c := cost{Server: s.String(), TLS: version, Mix: o.Mix.String(), Users: "own", Sessions: n, OpenedPerS: float64(n) / opened.Took.Seconds()}
	if s.hibernate {
		if left := hibernated(server.pid); left > 0 {
			c.Note = fmt.Sprintf("%d not hibernated", left)
		}
	}
	after, err := atRest(server.pid, run.f.settle)
	if err != nil {
		return err
	}
	c.grown(before, after)
	c.Grown = 0 // processes and inotify instances are not the same at both ends
	progress("%s, TLS %s: %.0f B a session", s, version, c.User)
	return run.checkAndClose(&c)
}
