package server

import (
	"fmt"
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roostmail/roost/core/heap"
	"github.com/roostmail/roost/core/hibernate"
	"github.com/roostmail/roost/core/host"
)

// queuePerWorker is how many tasks wait per worker at [hibernation] queue's default.
const queuePerWorker = 16

// hibernateConfig returns the part of the configuration that says which mailboxes stay warm. policy may be nil.
func (s *Server) hibernateConfig(policy *host.Plugin) hibernate.Config {
	h := s.opts.Config.Hibernation
	c := hibernate.Config{
		Warm:     h.Warm,
		Interval: h.Interval,
		Timeout:  h.Timeout,
		Batch:    h.Batch,
		Memory:   uint64(h.Memory),
		Queue:    uint32(h.Queue),
	}
	if policy != nil {
		c.Policy, c.Name = policy.Hibernation(), policy.Name()
	}
	if c.Memory == 0 {
		c.Memory = hibernate.MemoryLimit("/") / 4 * 3
	}
	if c.Queue == 0 {
		c.Queue = uint32(min(s.engine.Stats().Workers, math.MaxUint32/queuePerWorker) * queuePerWorker)
	}
	return c
}

// A core with few sessions has a reserve of the heap, in bytes, until it has many: then what a burst of logins leaves between its garbage costs more
// than collections in the middle of an answer do.
const (
	heapReserve  = 3 << 20
	manySessions = 1000
)

// sample takes what the governor wants to know, and is the moment to give the reserve of the heap up.
func (s *Server) sample() hibernate.Sample {
	e := s.engine.Stats()
	if e.Sessions >= manySessions {
		heap.Release()
	}
	memory, gcs := hibernate.MemoryInUse()
	tables := max(e.SlabBytes+s.protocol.Mailboxes().Usage().EntryBytes, 0)
	return hibernate.Sample{
		Memory: memory + uint64(tables), GCs: gcs,
		Queued: e.Queued, Running: e.Running, Workers: e.Workers, Sessions: e.Sessions, Logins: s.protocol.Logins(),
	}
}

// hibernationFigure is one number of the governor.
type hibernationFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(hibernate.Stats) float64
}

func hibernationCounter(name, help string, value func(hibernate.Stats) float64) hibernationFigure {
	return hibernationFigure{prometheus.NewDesc("roost_hibernation_"+name, help, nil, nil), prometheus.CounterValue, value}
}

func hibernationGauge(name, help string, value func(hibernate.Stats) float64) hibernationFigure {
	return hibernationFigure{prometheus.NewDesc("roost_hibernation_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

var hibernationFigures = []hibernationFigure{
	hibernationCounter("calls_total", "Calls of the hibernation policy.", func(h hibernate.Stats) float64 { return float64(h.Calls) }),
	hibernationCounter("failures_total", "Calls that failed, were late or were answered wrongly.", func(h hibernate.Stats) float64 { return float64(h.Failures) }),
	hibernationCounter("parked_total", "Mailboxes parked by the policy, by default when it is not in force, or because of [hibernation] memory and queue.", func(h hibernate.Stats) float64 { return float64(h.Parked) }),
	hibernationCounter("kept_total", "Times that the policy kept a mailbox warm.", func(h hibernate.Stats) float64 { return float64(h.Kept) }),
	hibernationCounter("dropped_total", "Mailboxes without sessions that the policy dropped.", func(h hibernate.Stats) float64 { return float64(h.Dropped) }),
	hibernationGauge("default", "1 if the built-in default is in force.", func(h hibernate.Stats) float64 { return flag(h.ByDefault) }),
	hibernationGauge("pressure", "1 if [hibernation] memory or queue is exceeded.", func(h hibernate.Stats) float64 { return flag(h.Pressed) }),
	hibernationGauge("warm_seconds", "How long a mailbox rests before it is decided on.", func(h hibernate.Stats) float64 { return h.Warm.Seconds() }),
	hibernationGauge("memory_bytes", "Memory in use, as compared with [hibernation] memory.", func(h hibernate.Stats) float64 { return float64(h.MemoryUsed) }),
	hibernationGauge("memory_mark_bytes", "[hibernation] memory.", func(h hibernate.Stats) float64 { return float64(h.MemoryMark) }),
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// hibernationCollector takes the figures of the governor.
type hibernationCollector struct{ g *hibernate.Governor }

// Describe implements prometheus.Collector.
func (c hibernationCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range hibernationFigures {
		to <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c hibernationCollector) Collect(to chan<- prometheus.Metric) {
	st := c.g.Stats()
	for _, f := range hibernationFigures {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(st))
	}
}

// hibernationStatus says who decides, for the status page.
func (s *Server) hibernationStatus() string {
	st, name := s.governor.Stats(), s.opts.Config.Hibernation.Name
	switch {
	case name == "":
		return fmt.Sprintf("by default, after %v", st.Warm)
	case st.ByDefault:
		return fmt.Sprintf("%s; failed, by default after %v", name, st.Warm)
	}
	return fmt.Sprintf("%s, after %v", name, st.Warm)
}
