package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/roostmail/roost/cmd/internal/herd"
	"github.com/roostmail/roost/cmd/internal/rig"
)

// cost is what the sleeping sessions of one server cost. Bytes are per session: growth ÷ sessions.
type cost struct {
	Server     string             `json:"server"`
	TLS        string             `json:"tls"`
	Mix        string             `json:"mix"`
	Users      string             `json:"users"`
	Sessions   int                `json:"sessions"`
	OpenedPerS float64            `json:"opened_per_second"`
	User       float64            `json:"user_bytes_per_session"` // PSS of all processes
	Processes  map[string]float64 `json:"user_bytes_per_session_of_process"`
	Kernel     float64            `json:"kernel_bytes_per_session,omitempty"`        // bareConnection, and inotify's
	Grown      float64            `json:"kernel_growth_bytes_per_session,omitempty"` // kernelMemory.serverShare with all sessions: whatever else happens on the machine is in there too
	Before     int                `json:"goroutines_before,omitempty"`
	After      int                `json:"goroutines_after,omitempty"`
	Rest       float64            `json:"rest_seconds,omitempty"`
	RestCPU    float64            `json:"cpu_at_rest_ms,omitempty"` // of all processes, in Rest
	Lost       int                `json:"lost"`
	LostError  string             `json:"lost_error,omitempty"`
	BytesIn    int64              `json:"bytes_received"`
	BytesOut   int64              `json:"bytes_sent"`
	Note       string             `json:"note,omitempty"`
}

// memory is the memory of a server at rest.
type memory struct {
	user   map[string]uint64 // PSS by name of process
	sum    uint64
	kernel kernelMemory
}

func readMemory(pid int) (memory, error) {
	m := memory{user: map[string]uint64{}}
	for _, p := range rig.Processes(pid) {
		m.user[p.Name] += p.Memory.PSS
		m.sum += p.Memory.PSS
	}
	var err error
	m.kernel, err = readKernel()
	return m, err
}

// calmSeconds is how long memory does not change before it is measured: roost's processes give back what the last commands have left
// when they have had nothing to do for 12 to 24 seconds (core/quiet).
const calmSeconds = 26

// atRest returns the memory of a server when it has not changed by more than a thousandth in calmSeconds, or after patience.
func atRest(pid int, patience time.Duration) (memory, error) {
	end := time.Now().Add(patience)
	last, calm := uint64(0), 0
	for time.Now().Before(end) && calm < calmSeconds {
		time.Sleep(time.Second)
		now := rig.MemoryOf(pid).PSS
		if d := int64(now) - int64(last); d < int64(now/1000) && -d < int64(now/1000) {
			calm++
		} else {
			calm = 0
		}
		last = now
	}
	return readMemory(pid)
}

// grown fills in what the memory per session is.
func (c *cost) grown(before, after memory) {
	n := float64(c.Sessions)
	c.User = (float64(after.sum) - float64(before.sum)) / n
	c.Processes = map[string]float64{}
	for name, pss := range before.user {
		c.Processes[name] -= float64(pss) / n
	}
	for name, pss := range after.user {
		c.Processes[name] += float64(pss) / n
	}
	c.Grown = after.kernel.serverShare(before.kernel, c.Sessions)
}

// roostCase measures roost with sessions of one TLS version; in plaintext its wakes beside Dovecot's.
func (run *idleRun) roostCase(version string) (err error) {
	r, server, stop, err := run.startRoost()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	o := run.options(server, version)
	c := cost{Server: "roost", TLS: version, Mix: run.mix.String(), Users: run.f.users, Sessions: o.N}
	// Sessions first that end again, so that what is made once is not counted as theirs.
	if err := run.warmUp(o); err != nil {
		return err
	}
	if c.Before, err = goroutines(r); err != nil { // the first look at the metrics makes things that stay
		return err
	}
	before, err := atRest(server.pid, run.f.settle)
	if err != nil {
		return err
	}
	progress("roost, TLS %s: opening %d sessions", version, o.N)
	opened, err := run.fleet.Open(o)
	if err != nil {
		return err
	}
	c.OpenedPerS = float64(opened.Sessions) / opened.Took.Seconds()
	after, err := atRest(server.pid, run.f.settle)
	if err != nil {
		return err
	}
	c.grown(before, after)
	bare, err := bareConnection()
	if err != nil {
		return err
	}
	c.Kernel = bare + float64(after.kernel.watches-before.kernel.watches)/float64(c.Sessions)
	if c.After, err = goroutines(r); err != nil {
		return err
	}
	progress("roost, TLS %s: %.0f B a session, kernel %.0f B, opened %.0f/s", version, c.User, c.Kernel, c.OpenedPerS)
	if run.f.rest > 0 {
		c.Rest, c.RestCPU = rest(server.pid, run.f.rest)
	}
	if run.f.wakes > 0 {
		if err := run.wakes(server, version); err != nil {
			return err
		}
	}
	return run.checkAndClose(&c)
}

// warmUp opens some of the sessions and closes them again.
func (run *idleRun) warmUp(o herd.Options) error {
	o.N = min(o.N, 200)
	if _, err := run.fleet.Open(o); err != nil {
		return err
	}
	return run.fleet.Close()
}

// checkAndClose looks for lost sessions, closes them all, and adds c to the report.
func (run *idleRun) checkAndClose(c *cost) error {
	checked, err := run.fleet.Check()
	if err != nil {
		return err
	}
	c.Lost, c.LostError, c.BytesIn, c.BytesOut = checked.Lost, checked.Error, checked.In, checked.Out
	run.report.Costs = append(run.report.Costs, *c)
	return run.fleet.Close()
}

// rest returns how long, in ms, a server's processes run in d.
func rest(pid int, d time.Duration) (seconds, ms float64) {
	start, cpu := time.Now(), rig.RunTime(pid)
	time.Sleep(d)
	cpu = rig.RunTime(pid) - cpu
	return time.Since(start).Seconds(), float64(cpu.Microseconds()) / 1000
}

func goroutines(r *rig.Roost) (int, error) {
	n, err := r.Metric("go_goroutines")
	return int(n), err
}

// broken returns an error if the run shows what must not be.
func (r idleReport) broken() error {
	var errs []error
	for _, c := range r.Costs {
		if c.Lost > 0 {
			errs = append(errs, fmt.Errorf("%s, TLS %s: %d sessions of %d are lost: %s", c.Server, c.TLS, c.Lost, c.Sessions, c.LostError))
		}
		if c.After > c.Before+100 {
			errs = append(errs, fmt.Errorf("goroutines grow with sessions: %d, before %d", c.After, c.Before))
		}
	}
	for _, t := range r.Timings {
		if t.Failed > 0 {
			errs = append(errs, fmt.Errorf("%s, %s: %d sessions got no answer: %s", t.Server, t.What, t.Failed, t.Error))
		}
	}
	for _, o := range r.Outlived {
		if o.Lost > 0 {
			errs = append(errs, fmt.Errorf("%s: %d sessions of %d are lost: %s", o.What, o.Lost, o.Sessions, o.Error))
		}
	}
	return errors.Join(errs...)
}
