package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/host"
	"github.com/roostmail/roost/core/relay"
)

// relayConfig returns the part of the configuration that says how changes of mailboxes are told.
func relayConfig(n config.Notify, p *host.Plugin) relay.Config {
	return relay.Config{Plugin: p.Notify(), Name: p.Name(), Node: n.Node, Delay: n.Delay, Timeout: n.Timeout, Queue: n.Queue, Batch: n.Batch}
}

// notifyFigure is one number of the relay.
type notifyFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(relay.Stats) uint64
}

func notifyCounter(name, help string, value func(relay.Stats) uint64) notifyFigure {
	return notifyFigure{prometheus.NewDesc("roost_notify_"+name, help, nil, nil), prometheus.CounterValue, value}
}

var notifyFigures = []notifyFigure{
	{prometheus.NewDesc("roost_notify_waiting", "Mailboxes whose changes wait for the notify plugin, bounded by [notify] queue.", nil, nil), prometheus.GaugeValue,
		func(s relay.Stats) uint64 { return uint64(s.Waiting) }},
	notifyCounter("published_total", "Changes that the notify plugin has taken.", func(s relay.Stats) uint64 { return s.Published }),
	notifyCounter("failures_total", "Calls of the notify plugin that failed.", func(s relay.Stats) uint64 { return s.Failures }),
	notifyCounter("refused_total", "Changes that the notify plugin has refused.", func(s relay.Stats) uint64 { return s.Refused }),
	notifyCounter("dropped_total", "Mailboxes whose changes were dropped because of [notify] queue.", func(s relay.Stats) uint64 { return s.Dropped }),
	notifyCounter("heard_total", "Changes that other servers have told.", func(s relay.Stats) uint64 { return s.Heard }),
	notifyCounter("lost_total", "Times that every mailbox was taken for changed, because changes elsewhere were not heard.", func(s relay.Stats) uint64 { return s.Lost }),
	notifyCounter("echoes_total", "Changes that were not told, because another server had told of them.", func(s relay.Stats) uint64 { return s.Echoes }),
}

// notifyCollector takes the figures of the relay; there are none without one.
type notifyCollector struct{ r *relay.Relay }

// Describe implements prometheus.Collector.
func (c notifyCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range notifyFigures {
		to <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c notifyCollector) Collect(to chan<- prometheus.Metric) {
	if c.r == nil {
		return
	}
	st := c.r.Stats()
	for _, f := range notifyFigures {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(f.value(st)))
	}
}
