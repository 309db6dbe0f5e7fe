package main

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/roostmail/roost/cmd/internal/herd"
	"github.com/roostmail/roost/cmd/internal/rig"
)

// outlived is what became of sessions that core did not outlive, in several rounds. Times are in s.
type outlived struct {
	What     string  `json:"what"`
	Sessions int     `json:"sessions"`
	TLS      string  `json:"tls"`
	Mix      string  `json:"mix"`
	Lost     int     `json:"lost"` // that ended, or answered something else than they should: each was asked after each round
	Error    string  `json:"error,omitempty"`
	Told     int     `json:"told"`           // that were also to be told of a new and of an expunged message
	Command  summary `json:"command_s"`      // how long "roost reload --binary" took
	Pause    summary `json:"pause_s"`        // how long one client, that sends NOOP all the time or as core is killed, waited for an answer at worst
	All      summary `json:"all_answered_s"` // from the start of the command, or the kill, until each session had answered
}

// outliveTLS is how the sessions are protected: those with TLS 1.2 can not be moved.
const outliveTLS = "none+1.3"

// toldOf is how many sessions are told of changes after each way to end core.
const toldOf = 100

// outlive ends core in both ways, each again and again, beneath the same sessions.
func (run *idleRun) outlive() (err error) {
	r, server, stop, err := run.startRoost()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	o := run.options(server, outliveTLS)
	o.N = run.f.outlive
	progress("reload and kill: opening %d sessions", o.N)
	if _, err := run.fleet.Open(o); err != nil {
		return err
	}
	looker, err := rig.Login(server.addr, fmt.Sprintf(userNames, 0))
	if err != nil {
		return err
	}
	defer looker.Close()
	lost := 0 // of all ways so far
	for _, way := range []struct {
		what string
		end  func(*rig.Roost, *rig.Client) (command, pause time.Duration, err error)
	}{{"reload of the binary", run.reloadBinary}, {"kill -9 of core", killCore}} {
		a := outlived{What: way.what, Sessions: o.N, TLS: o.TLS, Mix: run.mix.String()}
		var commands, pauses, all series
		before := lost
		for range run.f.rounds {
			if err := asleepAndHeld(r, o.N-lost+1); err != nil {
				return err
			}
			start := time.Now()
			command, pause, err := way.end(r, looker)
			if err != nil {
				return fmt.Errorf("%s: %w", way.what, err)
			}
			took := time.Since(start)
			checked, err := run.fleet.Check()
			if err != nil {
				return err
			}
			took += checked.Took
			lost, a.Error = checked.Lost, checked.Error
			commands, pauses, all = append(commands, command.Seconds()), append(pauses, pause.Seconds()), append(all, took.Seconds())
			progress("%s: %d lost, a pause of %v, all answered after %v", way.what, lost-before, pause.Round(time.Millisecond), took.Round(time.Millisecond))
		}
		told, err := run.fleet.Tell(toldOf)
		if err != nil {
			return err
		}
		lost += told.Wrong
		if a.Error == "" {
			a.Error = told.Error
		}
		a.Lost, a.Told = lost-before, told.Asked
		a.Command, a.Pause, a.All = summarize(commands, nil), summarize(pauses, nil), summarize(all, nil)
		run.report.Outlived = append(run.report.Outlived, a)
	}
	return run.fleet.Close()
}

// asleepAndHeld waits until all sessions sleep, as long as before every measurement, and the keeper has them.
func asleepAndHeld(r *rig.Roost, sessions int) error {
	time.Sleep(asleepFor)
	for end := time.Now().Add(herd.Patience); ; time.Sleep(100 * time.Millisecond) {
		held, err := r.Metric("roost_keeper_descriptors")
		if err != nil || int(held) == sessions {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the keeper has %.0f sessions of %d", held, sessions)
		}
	}
}

// reloadBinary has core replaced by a new one of the same program, while c sends NOOP.
func (run *idleRun) reloadBinary(r *rig.Roost, c *rig.Client) (command, pause time.Duration, err error) {
	done := make(chan error, 1)
	start := time.Now()
	go func() { // ends with the command
		out, err := exec.Command(run.f.binary, "reload", "--binary", "--config", r.Config).CombinedOutput()
		command = time.Since(start)
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			return command, pause, err
		default:
		}
		sent := time.Now()
		if _, err := c.Cmd("NOOP"); err != nil {
			return 0, 0, errors.Join(fmt.Errorf("a session that is in use: %w", err), <-done)
		}
		pause = max(pause, time.Since(sent))
	}
}

// killCore kills core, and has c, which sleeps, ask at once.
func killCore(r *rig.Roost, c *rig.Client) (_, pause time.Duration, err error) {
	cores := r.CorePIDs()
	if len(cores) != 1 {
		return 0, 0, fmt.Errorf("there are %d cores", len(cores))
	}
	start := time.Now()
	if err := syscall.Kill(cores[0], syscall.SIGKILL); err != nil {
		return 0, 0, err
	}
	_, err = c.Cmd("NOOP")
	return 0, time.Since(start), err
}
