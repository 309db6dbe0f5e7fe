package server

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/roostmail/roost/core/admin"
	"github.com/roostmail/roost/core/host"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

// figure is one number of the engine or of the mailboxes.
type figure struct {
	name, help string
	counter    bool
	value      func(session.Stats, mailbox.Stats) float64
}

var figures = []figure{
	{"sessions", "Sessions that are connected.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Sessions) }},
	{"sessions_tls", "Sessions that are protected by TLS.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.TLS) }},
	{"sessions_tls_records", "Of these, with TLS 1.3 that sleeps in a slot of 208 bytes.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.TLSRecords) }},
	{"sessions_tls_held", "Of these, with the state of crypto/tls: TLS 1.2, [tls] sleep = \"hold\", or a handshake.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.TLSHeld) }},
	{"commands_running", "Commands and events that a worker runs.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Running) }},
	{"commands_waiting", "Commands that wait for a client, without a worker.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Waiting) }},
	{"commands_paused", "Commands that wait for their next time slice.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Paused) }},
	{"commands_queued", "Sessions that wait for a worker.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Queued) }},
	{"tls_handshakes", "TLS handshakes in progress.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Handshakes) }},
	{"session_extras", "Sleeping sessions with something beside their record.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Extras) }},
	{"session_extra_bytes", "Bytes of these.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.ExtraBytes) }},
	{"spools", "Commands with messages in spool files.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Spools) }},
	{"spool_bytes", "Bytes of these messages, announced.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.SpoolBytes) }},
	{"session_slab_bytes", "Bytes mapped for session records and TLS slots.", false, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.SlabBytes) }},
	{"sessions_accepted_total", "Connections that became sessions.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Accepted) }},
	{"commands_quick_total", "Commands answered from the session's record.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Quick) }},
	{"commands_run_total", "Commands run by a worker.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.Run) }},
	{"tls_handshakes_failed_total", "TLS handshakes that failed.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.HandshakesFailed) }},
	{"refused_sessions_total", "Connections refused by [limits] max_sessions.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.RefusedSessions) }},
	{"refused_files_total", "Connections refused for lack of descriptors.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.RefusedFiles) }},
	{"refused_input_total", "Lines, literals, commands and messages beyond their limits.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.RefusedInput) }},
	{"refused_spool_total", "Messages for which there was no room, by [limits] spool or spool_files.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.RefusedSpool) }},
	{"failed_spool_total", "Messages that could not be written to [limits] spool_dir.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.FailedSpool) }},
	{"dropped_output_total", "Sessions ended by [limits] output.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.DroppedOutput) }},
	{"dropped_slow_total", "Sessions ended by [limits] slow_client_timeout.", true, func(e session.Stats, _ mailbox.Stats) float64 { return float64(e.DroppedSlow) }},
	{"mailboxes", "Mailboxes that sessions have selected, or had a moment ago.", false, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.Mailboxes) }},
	{"mailboxes_open", "Mailboxes of these that have their views; the others sleep.", false, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.Open) }},
	{"mailbox_view_bytes", "Bytes of the views and journals of open mailboxes, bounded by [limits] view_cache.", false, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.ViewBytes) }},
	{"mailbox_entry_bytes", "Bytes mapped for the entries of mailboxes and users.", false, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.EntryBytes) }},
	{"mailboxes_parked_total", "Mailboxes that fell asleep.", true, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.Parked) }},
	{"mailboxes_woken_total", "Mailboxes that were woken.", true, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.Woken) }},
	{"mailboxes_evicted_total", "Mailboxes that fell asleep because of [limits] view_cache.", true, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.Evicted) }},
	{"mailboxes_watched", "Mailboxes of these whose changes the kernel tells.", false, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.Watched) }},
	{"statuses_remembered", "Mailboxes whose STATUS values are remembered.", false, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.Statuses) }},
	{"mailbox_messages", "Messages of the open mailboxes.", false, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.Messages) }},
	{"mailbox_journal_bytes", "Bytes of the journals of open mailboxes.", false, func(_ session.Stats, m mailbox.Stats) float64 { return float64(m.JournalBytes) }},
}

// collector takes all figures of a server at once when they are asked for.
type collector struct {
	s     *Server
	descs []*prometheus.Desc
}

func (s *Server) registerMetrics() {
	c := &collector{s: s}
	for _, f := range figures {
		c.descs = append(c.descs, prometheus.NewDesc("roost_"+f.name, f.help, nil, nil))
	}
	s.registry.MustRegister(c, pluginCollector{s.host}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	e, m := c.s.engine.Stats(), c.s.protocol.Mailboxes().Stats()
	for i, f := range figures {
		kind := prometheus.GaugeValue
		if f.counter {
			kind = prometheus.CounterValue
		}
		to <- prometheus.MustNewConstMetric(c.descs[i], kind, f.value(e, m))
	}
}

var (
	descPluginUp       = prometheus.NewDesc("roost_plugin_up", "1 if the plugin can be called.", []string{"plugin"}, nil)
	descPluginRestarts = prometheus.NewDesc("roost_plugin_restarts_total", "Processes that took the place of dead ones.", []string{"plugin"}, nil)
	descPluginCalls    = prometheus.NewDesc("roost_plugin_calls_total", "Calls by core.", []string{"plugin"}, nil)
	descPluginInFlight = prometheus.NewDesc("roost_plugin_calls_in_flight", "Calls that run or wait for the plugin.", []string{"plugin"}, nil)
	descPluginErrors   = prometheus.NewDesc("roost_plugin_errors_total", "Calls that failed, by kind of error.", []string{"plugin", "kind"}, nil)
)

// pluginCollector takes the figures of the plugins.
type pluginCollector struct{ h *host.Host }

// Describe implements prometheus.Collector.
func (c pluginCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descPluginUp, descPluginRestarts, descPluginCalls, descPluginInFlight, descPluginErrors} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c pluginCollector) Collect(to chan<- prometheus.Metric) {
	for _, p := range c.h.Plugins() {
		st, up := p.Stats(), 0.0
		if st.Up {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(descPluginUp, prometheus.GaugeValue, up, p.Name())
		to <- prometheus.MustNewConstMetric(descPluginRestarts, prometheus.CounterValue, float64(st.Restarts), p.Name())
		to <- prometheus.MustNewConstMetric(descPluginCalls, prometheus.CounterValue, float64(st.Calls), p.Name())
		to <- prometheus.MustNewConstMetric(descPluginInFlight, prometheus.GaugeValue, float64(st.InFlight), p.Name())
		for kind, n := range st.Errors {
			to <- prometheus.MustNewConstMetric(descPluginErrors, prometheus.CounterValue, float64(n), p.Name(), kind.String())
		}
	}
}

// components tells which plugins can be called.
func (s *Server) components() []admin.Component {
	var list []admin.Component
	for _, p := range s.host.Plugins() {
		st := p.Stats()
		c := admin.Component{Name: "plugin " + p.Name(), OK: st.Up && st.Healthy}
		switch {
		case st.Up && st.PID != 0:
			c.Detail = fmt.Sprintf("pid %d, %d restarts, %d calls", st.PID, st.Restarts, st.Calls)
		case st.Up:
			c.Detail = fmt.Sprintf("in process, %d calls", st.Calls)
		case st.LastError != nil:
			c.Detail = st.LastError.Error()
		default:
			c.Detail = "not running"
		}
		if st.Up && !st.Healthy {
			c.Detail += ", not healthy"
		}
		list = append(list, c)
	}
	return list
}

// status returns the figures of the status page.
func (s *Server) status() []admin.Section {
	e, m := s.engine.Stats(), s.protocol.Mailboxes().Stats()
	server := admin.Section{Title: "roost " + s.opts.Version, Rows: []admin.Row{
		{Name: "up", Value: time.Since(s.started).Round(time.Second).String()},
		{Name: "imap", Value: fmt.Sprint(s.imapAddrs)},
		{Name: "imaps", Value: fmt.Sprint(s.imapsAddrs)},
		{Name: "auth", Value: s.opts.Config.Auth.Name},
		{Name: "storage", Value: s.opts.Config.Storage.Name},
	}}
	numbers := admin.Section{Title: "Figures"}
	for _, f := range figures {
		numbers.Rows = append(numbers.Rows, admin.Row{Name: f.name, Value: strconv.FormatFloat(f.value(e, m), 'f', -1, 64)})
	}
	return []admin.Section{server, numbers}
}
