package server

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/roostmail/roost/core/admin"
	"github.com/roostmail/roost/core/authcache"
	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

// stats are all figures of a server.
type stats struct {
	engine    session.Stats
	protocol  imap.Stats
	mailboxes mailbox.Stats
	refused   map[string]uint64
	cache     authcache.Stats
}

func (s *Server) stats() stats {
	return stats{s.engine.Stats(), s.protocol.Stats(), s.protocol.Mailboxes().Stats(), s.protocol.Refused(), s.cacheStats()}
}

// figure is one number of these.
type figure struct {
	name, help string
	counter    bool
	value      func(stats) float64
}

var figures = []figure{
	{"sessions", "Sessions that are connected.", false, func(f stats) float64 { return float64(f.engine.Sessions) }},
	{"sessions_unauthenticated", "Of these, sessions that have not logged in.", false, func(f stats) float64 { return float64(f.engine.Strangers) }},
	{"sessions_tls", "Sessions that are protected by TLS.", false, func(f stats) float64 { return float64(f.engine.TLS) }},
	{"sessions_tls_records", "Of these, with TLS 1.3 that sleeps in a slot of 208 bytes.", false, func(f stats) float64 { return float64(f.engine.TLSRecords) }},
	{"sessions_tls_held", "Of these, with the state of crypto/tls: TLS 1.2, [tls] sleep = \"hold\", or a handshake.", false, func(f stats) float64 { return float64(f.engine.TLSHeld) }},
	{"commands_running", "Commands and events that a worker runs.", false, func(f stats) float64 { return float64(f.engine.Running) }},
	{"commands_waiting", "Commands that wait for a client, or for what another command finds, without a worker.", false, func(f stats) float64 { return float64(f.engine.Waiting) }},
	{"commands_paused", "Commands that wait for their next time slice.", false, func(f stats) float64 { return float64(f.engine.Paused) }},
	{"commands_queued", "Sessions that wait for a worker.", false, func(f stats) float64 { return float64(f.engine.Queued) }},
	{"tls_handshakes", "TLS handshakes in progress.", false, func(f stats) float64 { return float64(f.engine.Handshakes) }},
	{"session_extras", "Sleeping sessions with something beside their record.", false, func(f stats) float64 { return float64(f.engine.Extras) }},
	{"session_extra_bytes", "Bytes of these.", false, func(f stats) float64 { return float64(f.engine.ExtraBytes) }},
	{"spool_memory_bytes", "Bytes taken for messages that clients send, bounded by [limits] spool_memory.", false, func(f stats) float64 { return float64(f.engine.SpoolMemory) }},
	{"spools", "Commands with messages in spool files.", false, func(f stats) float64 { return float64(f.engine.Spools) }},
	{"spool_bytes", "Bytes of these messages, announced.", false, func(f stats) float64 { return float64(f.engine.SpoolBytes) }},
	{"sessions_compressed", "Sessions that are compressed (COMPRESS), bounded by [limits] compressed_sessions.", false, func(f stats) float64 { return float64(f.engine.Compressed) }},
	{"session_compression_bytes", "Bytes that are kept of their compressed streams.", false, func(f stats) float64 { return float64(f.engine.FlowBytes) }},
	{"session_slab_bytes", "Bytes mapped for session records and TLS slots.", false, func(f stats) float64 { return float64(f.engine.SlabBytes) }},
	{"keeper_descriptors", "Sessions whose descriptor the keeper has too: they outlive core.", false, func(f stats) float64 { return float64(f.engine.Held) }},
	{"sessions_restored_total", "Sessions that go on from the core before.", true, func(f stats) float64 { return float64(f.engine.Restored) }},
	{"sessions_accepted_total", "Connections that became sessions.", true, func(f stats) float64 { return float64(f.engine.Accepted) }},
	{"commands_quick_total", "Commands answered from the session's record.", true, func(f stats) float64 { return float64(f.engine.Quick) }},
	{"commands_run_total", "Commands run by a worker.", true, func(f stats) float64 { return float64(f.engine.Run) }},
	{"worker_jobs_total", "Commands, literals, events and timeouts that a worker dealt with.", true, func(f stats) float64 { return float64(f.engine.Jobs) }},
	{"tls_handshakes_failed_total", "TLS handshakes that failed.", true, func(f stats) float64 { return float64(f.engine.HandshakesFailed) }},
	{"refused_sessions_total", "Connections refused by [limits] max_sessions.", true, func(f stats) float64 { return float64(f.engine.RefusedSessions) }},
	{"refused_address_sessions_total", "Connections refused by [limits] address_sessions.", true, func(f stats) float64 { return float64(f.engine.RefusedAddress) }},
	{"refused_unauthenticated_address_sessions_total", "Connections refused by [limits] unauthenticated_address_sessions.", true, func(f stats) float64 { return float64(f.engine.RefusedStrangers) }},
	{"dropped_unauthenticated_total", "Sessions ended by [limits] unauthenticated_sessions.", true, func(f stats) float64 { return float64(f.engine.EvictedStrangers) }},
	{"refused_user_sessions_total", "Logins refused by [limits] user_sessions.", true, func(f stats) float64 { return float64(f.protocol.RefusedUserSessions) }},
	{"refused_user_address_sessions_total", "Logins refused by [limits] user_address_sessions.", true, func(f stats) float64 { return float64(f.protocol.RefusedUserAddress) }},
	{"refused_login_rate_total", "Logins refused by [limits] login_rate.", true, func(f stats) float64 { return float64(f.protocol.RefusedLoginRate) }},
	{"dropped_bad_commands_total", "Sessions ended by [limits] bad_commands.", true, func(f stats) float64 { return float64(f.protocol.DroppedBad) }},
	{"dropped_login_timeout_total", "Sessions ended by [imap] login_timeout.", true, func(f stats) float64 { return float64(f.protocol.DroppedLate) }},
	{"saved_results_bytes", "Bytes of the saved results of SEARCH of all sessions.", false, func(f stats) float64 { return float64(f.protocol.SavedBytes) }},
	{"notify_sessions", "Sessions that NOTIFY tells of mailboxes that they have not selected.", false, func(f stats) float64 { return float64(f.protocol.NotifySessions) }},
	{"notify_mailboxes", "Mailboxes that are watched for these, bounded by [limits] notify_mailboxes.", false, func(f stats) float64 { return float64(f.protocol.NotifyMailboxes) }},
	{"notify_overflows_total", "Sessions whose NOTIFY was ended by [limits] notify_user_mailboxes or notify_mailboxes.", true, func(f stats) float64 { return float64(f.protocol.NotifyOverflows) }},
	{"refused_notify_total", "NOTIFY commands refused by [limits] notify_set, notify_user_mailboxes or notify_mailboxes.", true, func(f stats) float64 { return float64(f.protocol.RefusedNotify) }},
	{"refused_contexts_total", "Searches that are not kept up to date because of [limits] contexts or context_bytes.", true, func(f stats) float64 { return float64(f.protocol.RefusedContexts) }},
	{"refused_saved_result_total", "Results of SEARCH that were not saved because of [limits] saved_result.", true, func(f stats) float64 { return float64(f.protocol.RefusedSaved) }},
	refusedBy("nesting", "Commands refused"), refusedBy("list_items", "Commands refused"), refusedBy("keyword_length", "Commands refused"),
	refusedBy("metadata_value", "Commands refused"), refusedBy("sort_memory", "Commands refused"), refusedBy("search_mailboxes", "Commands refused"),
	refusedBy("mailbox_journal", "Sessions ended"),
	{"refused_files_total", "Connections refused for lack of descriptors.", true, func(f stats) float64 { return float64(f.engine.RefusedFiles) }},
	{"refused_input_total", "Lines, literals, commands and messages beyond their limits.", true, func(f stats) float64 { return float64(f.engine.RefusedInput) }},
	{"refused_spool_total", "Messages for which there was no room, by [limits] spool or spool_files.", true, func(f stats) float64 { return float64(f.engine.RefusedSpool) }},
	{"failed_spool_total", "Messages that could not be written to [limits] spool_dir.", true, func(f stats) float64 { return float64(f.engine.FailedSpool) }},
	{"refused_compress_total", "COMPRESS commands refused by [limits] compressed_sessions.", true, func(f stats) float64 { return float64(f.engine.RefusedCompress) }},
	{"dropped_compressed_total", "Sessions ended by compressed input that is invalid.", true, func(f stats) float64 { return float64(f.engine.BadStreams) }},
	{"dropped_output_total", "Sessions ended by [limits] output.", true, func(f stats) float64 { return float64(f.engine.DroppedOutput) }},
	{"dropped_slow_total", "Sessions ended by [limits] slow_client_timeout.", true, func(f stats) float64 { return float64(f.engine.DroppedSlow) }},
	{"auth_cache_entries", "Attempts to log in that are remembered.", false, func(f stats) float64 { return float64(f.cache.Entries) }},
	{"auth_cache_bytes", "Bytes of these, bounded by [auth] cache_size.", false, func(f stats) float64 { return float64(f.cache.Bytes) }},
	{"auth_cache_hits_total", "Right passwords that were taken without asking the plugin.", true, func(f stats) float64 { return float64(f.cache.Hits) }},
	{"auth_cache_negative_hits_total", "Wrong passwords that were refused without asking the plugin.", true, func(f stats) float64 { return float64(f.cache.NegativeHits) }},
	{"auth_cache_misses_total", "Passwords that the plugin was asked about though there is a cache.", true, func(f stats) float64 { return float64(f.cache.Misses) }},
	{"auth_cache_stale_total", "Passwords that were taken because the plugin could not be asked (fail = \"cached\").", true, func(f stats) float64 { return float64(f.cache.Stale) }},
	{"mailboxes", "Mailboxes that sessions have selected, or had a moment ago.", false, func(f stats) float64 { return float64(f.mailboxes.Mailboxes) }},
	{"mailboxes_open", "Mailboxes of these that have their views; the others sleep.", false, func(f stats) float64 { return float64(f.mailboxes.Open) }},
	{"mailbox_view_bytes", "Bytes of the views and journals of open mailboxes, bounded by [limits] view_cache.", false, func(f stats) float64 { return float64(f.mailboxes.ViewBytes) }},
	{"mailbox_entry_bytes", "Bytes mapped for the entries of mailboxes and users.", false, func(f stats) float64 { return float64(f.mailboxes.EntryBytes) }},
	{"mailboxes_parked_total", "Mailboxes that fell asleep.", true, func(f stats) float64 { return float64(f.mailboxes.Parked) }},
	{"mailboxes_woken_total", "Mailboxes that were woken.", true, func(f stats) float64 { return float64(f.mailboxes.Woken) }},
	{"mailboxes_evicted_total", "Mailboxes that fell asleep because of [limits] view_cache.", true, func(f stats) float64 { return float64(f.mailboxes.Evicted) }},
	{"mailboxes_watched", "Mailboxes of these whose changes the kernel tells.", false, func(f stats) float64 { return float64(f.mailboxes.Watched) }},
	{"statuses_remembered", "Mailboxes whose STATUS values are remembered.", false, func(f stats) float64 { return float64(f.mailboxes.Statuses) }},
	{"mailbox_messages", "Messages of the open mailboxes.", false, func(f stats) float64 { return float64(f.mailboxes.Messages) }},
	{"mailbox_journal_bytes", "Bytes of the journals of open mailboxes.", false, func(f stats) float64 { return float64(f.mailboxes.JournalBytes) }},
}

// refusedBy is the count of what a setting has refused (imap.Server.Refused).
func refusedBy(setting, what string) figure {
	return figure{"refused_" + setting + "_total", what + " because of [limits] " + setting + ".", true, func(f stats) float64 { return float64(f.refused[setting]) }}
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
	s.registry.MustRegister(c, lostCollector{s.engine}, hibernationCollector{s.governor}, notifyCollector{s.relay}, pluginCollector{s.host}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	now := c.s.stats()
	for i, f := range figures {
		kind := prometheus.GaugeValue
		if f.counter {
			kind = prometheus.CounterValue
		}
		to <- prometheus.MustNewConstMetric(c.descs[i], kind, f.value(now))
	}
}

var descLost = prometheus.NewDesc("roost_sessions_lost_total", "Sessions of the core before that could not go on.", []string{"reason"}, nil)

// lostCollector takes the figures of sessions that did not outlive the core before.
type lostCollector struct{ e *session.Engine }

// Describe implements prometheus.Collector.
func (c lostCollector) Describe(to chan<- *prometheus.Desc) { to <- descLost }

// Collect implements prometheus.Collector.
func (c lostCollector) Collect(to chan<- prometheus.Metric) {
	st := c.e.Stats()
	for _, l := range session.Losses() {
		to <- prometheus.MustNewConstMetric(descLost, prometheus.CounterValue, float64(st.Lost[l]), l.String())
	}
}

// status returns the figures of the status page.
func (s *Server) status() []admin.Section {
	now := s.stats()
	server := admin.Section{Title: "roost " + s.opts.Version, Rows: []admin.Row{
		{Name: "up", Value: time.Since(s.started).Round(time.Second).String()},
		{Name: "imap", Value: fmt.Sprint(s.imapAddrs)},
		{Name: "imaps", Value: fmt.Sprint(s.imapsAddrs)},
		{Name: "auth", Value: s.opts.Config.Auth.Name},
		{Name: "storage", Value: s.opts.Config.Storage.Name},
		{Name: "hibernation", Value: s.hibernationStatus()},
	}}
	numbers := admin.Section{Title: "Figures"}
	for _, f := range figures {
		numbers.Rows = append(numbers.Rows, admin.Row{Name: f.name, Value: strconv.FormatFloat(f.value(now), 'f', -1, 64)})
	}
	return []admin.Section{server, numbers}
}
