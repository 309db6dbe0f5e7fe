package host

import (
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// counters counts calls.
type counters struct {
	calls, repeated, restarts, reloads atomic.Uint64
	inFlight                           atomic.Int64
	unhealthy                          atomic.Bool
	latency                            latency
	errors                             [backend.KindCancelled + 1]atomic.Uint64
}

func (c *counters) begin() {
	c.calls.Add(1)
	c.inFlight.Add(1)
}

// end counts the end of a call that took so long.
func (c *counters) end(err error, took time.Duration) {
	c.inFlight.Add(-1)
	c.latency.observe(took)
	if err == nil {
		return
	}
	kind := backend.KindOf(err)
	if int(kind) >= len(c.errors) {
		kind = backend.KindInternal
	}
	c.errors[kind].Add(1)
}

// Stats is what a plugin has done since Start.
type Stats struct {
	State     State
	Version   string // of the plugin
	Up        bool   // there is an instance to call
	Healthy   bool   // and its last Health call succeeded
	PID       int    // 0 = in-process, or down
	Started   time.Time
	Restarts  uint64 // processes that took the place of dead ones
	Reloads   uint64 // and of living ones, by order of an operator
	Draining  []Draining
	Calls     uint64 // by core; a repeated call counts once
	Repeated  uint64 // calls that were repeated because the process died
	InFlight  int64  // calls that run, or wait for an instance
	Errors    map[backend.ErrorKind]uint64
	Latency   Latency
	Memory    int64         // resident bytes of the process
	CPU       time.Duration // that the process has used
	LastError error         // why the last instance ended or did not start, nil if that never happened
}

// Draining is a process that was replaced, and has calls to finish.
type Draining struct {
	PID      int // 0 = in-process
	Version  string
	InFlight int
}

// Stats returns the current values.
func (p *Plugin) Stats() Stats {
	s := Stats{
		Restarts: p.stats.restarts.Load(),
		Reloads:  p.stats.reloads.Load(),
		Calls:    p.stats.calls.Load(),
		Repeated: p.stats.repeated.Load(),
		InFlight: p.stats.inFlight.Load(),
		Errors:   map[backend.ErrorKind]uint64{},
		Latency:  p.stats.latency.histogram(),
	}
	p.mu.Lock()
	if i := p.current; i != nil && !i.gone() {
		s.Up, s.Healthy, s.PID, s.Started = true, !p.stats.unhealthy.Load(), i.pid(), i.started
	}
	s.State, s.Version, s.LastError = p.state, p.info.Version, p.lastError
	for _, i := range p.retiring {
		s.Draining = append(s.Draining, Draining{PID: i.pid(), Version: i.info.Version, InFlight: i.calls})
	}
	p.mu.Unlock()
	s.Memory, s.CPU = usage(s.PID)
	for kind := range p.stats.errors {
		if n := p.stats.errors[kind].Load(); n > 0 {
			s.Errors[backend.ErrorKind(kind)] = n
		}
	}
	return s
}
