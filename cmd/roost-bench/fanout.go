package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/roostmail/roost/cmd/internal/herd"
	"github.com/roostmail/roost/cmd/internal/rig"
)

// fanOut changes a flag in a mailbox in which all sessions idle, and measures how long it takes until the last has been told, from
// before the STORE is sent.
func (run *idleRun) fanOut() (err error) {
	_, server, stop, err := run.startRoost()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	user := fmt.Sprintf(userNames, 0)
	c, err := rig.Login(server.addr, user)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Cmd("SELECT INBOX"); err != nil {
		return err
	}
	// The store is kept between runs: a flag that is set already would be no change.
	if _, err := c.Cmd(`STORE 1 -FLAGS (\Flagged)`); err != nil {
		return err
	}
	var idle herd.Mix
	idle[herd.Idle] = 1
	progress("fan-out: opening %d sessions of one mailbox", run.f.fanOut)
	if _, err := run.fleet.Open(herd.Options{Addr: server.addr, Users: user, N: run.f.fanOut, Mix: idle}); err != nil {
		return err
	}
	r := rounds{timing: timing{Server: "roost", TLS: "none", What: "one change to all sessions of a mailbox", How: fmt.Sprintf("%d sessions", run.f.fanOut)}}
	for round := range run.f.rounds {
		if err := run.fleet.Listen(); err != nil {
			return err
		}
		cpu, start := rig.CPUSeconds(server.pid), herd.Now()
		if _, err := c.Cmd(`STORE 1 %cFLAGS (\Flagged)`, "+-"[round%2]); err != nil {
			return err
		}
		heard, err := run.fleet.Await()
		if err != nil {
			return err
		}
		r.Failed += heard.Missing
		if heard.Missing > 0 {
			r.Error = fmt.Sprintf("%d of %d were not told within %v", heard.Missing, run.f.fanOut, herd.Patience)
		}
		if heard.Sessions == 0 {
			continue
		}
		took := heard.Last - start
		r.add(herd.Latencies{took}, took, rig.CPUSeconds(server.pid)-cpu)
		progress("fan-out: %v, the first after %v", took.Round(time.Millisecond), (heard.First - start).Round(time.Microsecond))
	}
	run.report.Timings = append(run.report.Timings, r.result())
	return run.fleet.Close()
}
