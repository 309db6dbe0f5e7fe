package config

import (
	"math"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// Hibernation is [hibernation]. Plugin.Name "" = core's own policy.
type Hibernation struct {
	Plugin
	Warm     time.Duration // how long a mailbox stays warm where the plugin does not say: options.warm or its default, else [limits] mailbox_warm
	Interval time.Duration // between two looks
	Timeout  time.Duration // of a call
	Batch    int           // mailboxes of a call
	Memory   int           // bytes beyond which mailboxes are parked at once; 0 = three quarters of what there is
	Queue    int           // likewise, commands that wait for a worker; 0 = 16 per worker
}

// maxBatch is pluginrpc.MaxCandidates.
const maxBatch = 50_000

func readHibernation(t *table, r pluginReader, l Limits) Hibernation {
	h := Hibernation{
		Interval: t.duration("interval", time.Second),
		Timeout:  t.duration("timeout", 500*time.Millisecond),
		Batch:    t.integer("batch", 4096, 1, maxBatch),
		Memory:   int(t.size("memory", 0, 0, math.MaxInt)),
		Queue:    t.integer("queue", 0, 0, math.MaxInt32),
		Warm:     l.MailboxWarm,
	}
	if h.Interval < 100*time.Millisecond {
		t.fail("interval", "must be 100ms at least")
	}
	if h.Timeout < time.Millisecond {
		t.fail("timeout", "must be 1ms at least")
	}
	h.Plugin = r.read(t, backend.KindHibernation, false)
	if warm, err := backend.ParseDuration(h.warm()); err == nil { // else it is something else to that plugin
		h.Warm = warm
	}
	return h
}

// warm returns options.warm or its default, "" if the plugin has no such option.
func (h Hibernation) warm() string {
	if text, ok := h.Options["warm"].(string); ok {
		return text
	}
	for _, o := range h.schema {
		if o.Name == "warm" {
			return strings.Trim(o.Default, `"`)
		}
	}
	return ""
}

func (p *printer) hibernation(h Hibernation) {
	if h.Name != "" {
		p.plugin(h.Plugin)
	}
	p.set("interval", duration(h.Interval))
	p.set("timeout", duration(h.Timeout))
	p.set("batch", h.Batch)
	p.set("memory", h.Memory)
	p.set("queue", h.Queue)
}
