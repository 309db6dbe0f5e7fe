package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/roostmail/roost/cmd/internal/herd"
	"github.com/roostmail/roost/cmd/internal/rig"
)

// timing is what was measured of one operation of one server, in several rounds. Times are in ms.
type timing struct {
	Server    string  `json:"server"`
	TLS       string  `json:"tls"`
	What      string  `json:"what"`
	How       string  `json:"how"` // "1 client", "1000 per s"
	N         int     `json:"n"`   // all rounds
	P50       summary `json:"p50_ms"`
	P99       summary `json:"p99_ms"`
	P999      summary `json:"p999_ms"`
	PerSecond summary `json:"per_second"`
	CPU       summary `json:"server_cpu_ms_per_operation"`
	Late      float64 `json:"client_late_ms,omitempty"` // by how much the client was behind its schedule at worst
	Failed    int     `json:"failed"`
	Error     string  `json:"error,omitempty"`
}

// rounds collects the values of a timing.
type rounds struct {
	timing
	p50, p99, p999, perSecond, cpu series
}

func (r *rounds) add(l herd.Latencies, took time.Duration, cpu float64) {
	ms := func(q float64) float64 { return float64(l.Quantile(q).Microseconds()) / 1000 }
	r.N += len(l)
	if len(l) == 0 {
		return
	}
	r.p50, r.p99, r.p999 = append(r.p50, ms(0.5)), append(r.p99, ms(0.99)), append(r.p999, ms(0.999))
	r.perSecond = append(r.perSecond, float64(len(l))/took.Seconds())
	r.cpu = append(r.cpu, cpu*1000/float64(len(l)))
}

func (r *rounds) result() timing {
	t := r.timing
	t.P50, t.P99, t.P999 = summarize(r.p50, nil), summarize(r.p99, nil), summarize(r.p999, nil)
	t.PerSecond, t.CPU = summarize(r.perSecond, nil), summarize(r.cpu, nil)
	return t
}

// waking is one way to wake sessions.
type waking struct {
	what string
	how  string
	herd.Waking
}

// wakings lists what is measured. What needs its view comes first in each round, when all sessions have slept longest.
func (run *idleRun) wakings() []waking {
	const d = time.Second
	rate := fmt.Sprintf("%.0f per s", run.f.wakes)
	list := []waking{
		{"FETCH 1 (FLAGS), selected", "1 client", herd.Waking{Command: herd.Fetch, Clients: 1, For: d}},
		{"DONE, FETCH 1 (FLAGS)", "1 client", herd.Waking{Command: herd.DoneFetch, Clients: 1, For: d}},
		{"FETCH 1 (FLAGS), selected", "10 clients", herd.Waking{Command: herd.Fetch, Clients: 10, For: d}},
		{"DONE, FETCH 1 (FLAGS)", "10 clients", herd.Waking{Command: herd.DoneFetch, Clients: 10, For: d}},
		{"NOOP", rate, herd.Waking{Command: herd.Noop, Rate: run.f.wakes, For: d}},
		{"DONE, IDLE", rate, herd.Waking{Command: herd.DoneIdle, Rate: run.f.wakes, For: d}},
	}
	var some []waking
	for _, w := range list {
		if run.has(w.Command) {
			some = append(some, w)
		}
	}
	return some
}

// has reports whether the mix has sessions that c wakes.
func (run *idleRun) has(c herd.Command) bool {
	switch c {
	case herd.Noop:
		return run.mix[herd.Unauthenticated]+run.mix[herd.Authenticated]+run.mix[herd.Selected] > 0
	case herd.Fetch:
		return run.mix[herd.Selected] > 0
	}
	return run.mix[herd.Idle] > 0
}

// asleepFor is how long all sessions are left alone before each round: longer than [limits] mailbox_warm. Within a round each
// way of waking goes on with the sessions that have slept longest (herd.Wake).
const asleepFor = 8 * time.Second

// wakes wakes the sessions of a server in all ways. In plaintext Dovecot's, if there is to be one, take turns with them.
func (run *idleRun) wakes(server target, version string) (err error) {
	var both []side
	both = append(both, side{server, run.fleet, version})
	if run.f.dovecot > 0 && version == "none" {
		d, end, err := run.hibernating()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, end()) }()
		both = append(both, d)
	}
	ways := run.wakings()
	all := make([]rounds, 0, len(both)*len(ways))
	index := map[[2]int]int{}
	for s, b := range both {
		for w, way := range ways {
			if !b.can(way.Command) {
				continue
			}
			index[[2]int{s, w}] = len(all)
			all = append(all, rounds{timing: timing{Server: b.name, TLS: b.tls, What: way.what, How: way.how}})
		}
	}
	for round := range run.f.rounds {
		progress("TLS %s: waking, round %d of %d", version, round+1, run.f.rounds)
		time.Sleep(asleepFor)
		for w, way := range ways {
			for k := range both {
				s := (k + round) % len(both)
				at, ok := index[[2]int{s, w}]
				if !ok {
					continue
				}
				if err := both[s].wake(way, &all[at]); err != nil {
					return err
				}
			}
		}
	}
	for i := range all {
		run.report.Timings = append(run.report.Timings, all[i].result())
	}
	return nil
}

// side is a server with its sessions.
type side struct {
	target
	fleet *herd.Fleet
	tls   string
}

// can reports whether the side has sessions for c: those of Dovecot are all in IDLE.
func (s side) can(c herd.Command) bool {
	return s.name == "roost" || c == herd.DoneFetch || c == herd.DoneIdle
}

func (s side) wake(w waking, r *rounds) error {
	cpu := rig.CPUSeconds(s.pid)
	woken, err := s.fleet.Wake(w.Waking)
	if err != nil {
		return err
	}
	r.add(woken.Latencies, woken.Took, rig.CPUSeconds(s.pid)-cpu)
	r.Late = max(r.Late, float64(woken.Late.Microseconds())/1000)
	r.Failed = max(r.Failed, woken.Lost) + woken.Left
	if r.Error == "" {
		r.Error = woken.Error
	}
	return nil
}
