package config

import (
	"maps"
	"os"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// NotifyLocal is the name in [notify] plugin that stands for no plugin: changes are found on this machine only.
const NotifyLocal = "local"

// Notify is [notify]. Plugin.Name "" = NotifyLocal.
type Notify struct {
	Plugin
	Node    string        // name of this server among those that share its mail
	Delay   time.Duration // for which the first change of a call waits for others
	Timeout time.Duration // of a call
	Queue   int           // mailboxes whose changes wait
	Batch   int           // changes of a call
}

func readNotify(t *table, r pluginReader) Notify {
	host, _ := os.Hostname() // if there is none, node has to be set
	n := Notify{
		Node:    t.text("node", host),
		Delay:   t.duration("delay", 50*time.Millisecond),
		Timeout: t.duration("timeout", 5*time.Second),
		Queue:   t.integer("queue", 100_000, 1, 1<<24),
		Batch:   t.integer("batch", backend.MaxChanges, 1, backend.MaxChanges),
	}
	switch {
	case len(n.Node) > 255:
		t.fail("node", "must have 255 bytes at most")
	case n.Timeout < time.Millisecond:
		t.fail("timeout", "must be 1ms at least")
	}
	if t.raw["plugin"] == NotifyLocal {
		t.raw = maps.Clone(t.raw)
		delete(t.raw, "plugin")
	}
	n.Plugin = r.read(t, backend.KindNotify, false)
	if n.Name != "" && n.Node == "" {
		t.fail("node", "must be set: this machine has no name")
	}
	return n
}

func (p *printer) notify(n Notify) {
	if n.Name == "" {
		p.set("plugin", quote(NotifyLocal))
	} else {
		p.plugin(n.Plugin)
	}
	p.set("node", quote(n.Node))
	p.set("delay", duration(n.Delay))
	p.set("timeout", duration(n.Timeout))
	p.set("queue", n.Queue)
	p.set("batch", n.Batch)
}
