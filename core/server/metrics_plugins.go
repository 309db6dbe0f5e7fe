package server

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roostmail/roost/core/admin"
	"github.com/roostmail/roost/core/host"
)

// pluginFigure is one number of a plugin.
type pluginFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(host.Stats) float64
}

func pluginGauge(name, help string, value func(host.Stats) float64) pluginFigure {
	return pluginFigure{prometheus.NewDesc("roost_plugin_"+name, help, []string{"plugin"}, nil), prometheus.GaugeValue, value}
}

func pluginCounter(name, help string, value func(host.Stats) float64) pluginFigure {
	f := pluginGauge(name, help, value)
	f.kind = prometheus.CounterValue
	return f
}

var pluginFigures = []pluginFigure{
	pluginGauge("up", "1 if the plugin can be called.", func(s host.Stats) float64 { return flag(s.Up) }),
	pluginGauge("healthy", "1 if it can be called and has said so of itself.", func(s host.Stats) float64 { return flag(s.Healthy) }),
	pluginCounter("restarts_total", "Processes that took the place of dead ones.", func(s host.Stats) float64 { return float64(s.Restarts) }),
	pluginCounter("reloads_total", "Processes that took the place of living ones (roost plugin reload).", func(s host.Stats) float64 { return float64(s.Reloads) }),
	pluginCounter("calls_total", "Calls by core.", func(s host.Stats) float64 { return float64(s.Calls) }),
	pluginCounter("calls_repeated_total", "Calls that were repeated because the process died.", func(s host.Stats) float64 { return float64(s.Repeated) }),
	pluginGauge("calls_in_flight", "Calls that run or wait for the plugin.", func(s host.Stats) float64 { return float64(s.InFlight) }),
	pluginGauge("draining", "Processes that were replaced and finish their calls.", func(s host.Stats) float64 { return float64(len(s.Draining)) }),
	pluginGauge("resident_memory_bytes", "Resident memory of its process.", func(s host.Stats) float64 { return float64(s.Memory) }),
	pluginCounter("cpu_seconds_total", "CPU time that its process has used; begins anew with each process.", func(s host.Stats) float64 { return s.CPU.Seconds() }),
}

var (
	descPluginState   = prometheus.NewDesc("roost_plugin_state", "1 for the state that the plugin is in.", []string{"plugin", "state"}, nil)
	descPluginErrors  = prometheus.NewDesc("roost_plugin_errors_total", "Calls that failed, by kind of error.", []string{"plugin", "kind"}, nil)
	descPluginLatency = prometheus.NewDesc("roost_plugin_call_seconds", "How long calls took, with the wait for a plugin that is down; a FETCH as long as the client takes.", []string{"plugin"}, nil)
)

// pluginCollector takes the figures of the plugins.
type pluginCollector struct{ h *host.Host }

// Describe implements prometheus.Collector.
func (c pluginCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range pluginFigures {
		to <- f.desc
	}
	to <- descPluginState
	to <- descPluginErrors
	to <- descPluginLatency
}

// Collect implements prometheus.Collector.
func (c pluginCollector) Collect(to chan<- prometheus.Metric) {
	for _, p := range c.h.Plugins() {
		st := p.Stats()
		for _, f := range pluginFigures {
			to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(st), p.Name())
		}
		for _, state := range host.States() {
			to <- prometheus.MustNewConstMetric(descPluginState, prometheus.GaugeValue, flag(state == st.State.String()), p.Name(), state)
		}
		for kind, n := range st.Errors {
			to <- prometheus.MustNewConstMetric(descPluginErrors, prometheus.CounterValue, float64(n), p.Name(), kind.String())
		}
		to <- prometheus.MustNewConstHistogram(descPluginLatency, st.Latency.Count, st.Latency.Sum.Seconds(), st.Latency.Buckets, p.Name())
	}
}

// components tells which plugins can be called. One that an operator has disabled is not up either: what needs it fails.
func (s *Server) components() []admin.Component {
	var list []admin.Component
	for _, p := range s.host.Plugins() {
		st := p.Stats()
		c := admin.Component{Name: "plugin " + p.Name(), OK: st.Up && st.Healthy, State: st.State.String()}
		switch {
		case st.Up && st.PID != 0:
			c.Detail = fmt.Sprintf("version %s, pid %d, up %v, %d restarts, %d calls, %d in flight, %d MiB, %.1f s CPU", st.Version, st.PID,
				time.Since(st.Started).Round(time.Second), st.Restarts, st.Calls, st.InFlight, st.Memory>>20, st.CPU.Seconds())
		case st.Up:
			c.Detail = fmt.Sprintf("in process, %d calls", st.Calls)
		case st.LastError != nil:
			c.Detail = st.State.String() + ": " + st.LastError.Error()
		default:
			c.Detail = st.State.String()
		}
		if st.State == host.StateFailed {
			c.Detail += "; when the cause is removed: roost plugin reload " + p.Name()
		}
		if st.Up && !st.Healthy {
			c.State = "not healthy"
			c.Detail += ", not healthy"
		}
		list = append(list, c)
	}
	return list
}
