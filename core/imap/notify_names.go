package imap

import (
	"strings"

	"github.com/roostmail/roost/core/session"
)

// nameEvent is a change of a name, MailboxName or SubscriptionChange (RFC 5465 §5.4, §5.5), or of annotations (notify_metadata.go).
type nameEvent struct {
	version  uint64
	old, now *listed // nil: there was, there is no such name
	events   notifyEvents
	by       session.Handle // the session that did it and need not be told, 0 = unknown
	oldName  string         // what it was called before RENAME
	entries  []string       // the annotations that have changed, of now or, if that is nil, of the server; nil: none have
	texts    [2][]byte      // the LIST or METADATA response in modified UTF-7 and, with UTF8=ACCEPT, in UTF-8
}

// hint says what a command of this server does to a name.
type hint struct {
	by      session.Handle
	old     string  // what it is called before RENAME; "" if it was, or when that was told
	command *naming // it lasts as long, and until the names are listed
}

// naming is a command that changes names. It is guarded by hubs.mu.
type naming struct{ running bool }

// naming tells the hubs of the session's user that a command of the session is about to change a name: the names may be listed at any time from then on. old is
// the former name, for RENAME. named is to be called when the command has done it, or has failed.
func (r *request) naming(namespace, name, old string) (named func(done bool)) {
	h := r.srv.hubs
	client := func(name string) string {
		for _, ns := range r.srv.names.spaces {
			if s, ok := ns.client(name); ok && ns.Name == namespace {
				return s
			}
		}
		return ""
	}
	x := hint{by: r.s.Handle(), command: &naming{running: true}}
	if old != "" {
		x.old = client(old)
	}
	name = client(name)
	put := func(b *hub) {
		if b.hints == nil {
			b.hints = map[string]hint{}
		}
		if b.hints[name].command != x.command {
			b.hints[name] = x
		}
	}
	hubs := r.hubs()
	h.mu.Lock()
	for _, b := range hubs {
		put(b)
	}
	h.mu.Unlock()
	return func(done bool) {
		hubs := r.hubs()
		h.mu.Lock()
		x.command.running = false
		if !done {
			for _, b := range hubs {
				delete(b.hints, name)
			}
		}
		h.mu.Unlock()
		for _, b := range hubs {
			if done {
				h.announce(b.id, func(b *hub) {
					put(b)
					b.relist, b.failed = true, false
				})
			}
		}
	}
}

func exists(m *listed) bool     { return m != nil && !m.info.NonExistent }
func isMailbox(m *listed) bool  { return exists(m) && !m.info.NoSelect }
func subscribed(m *listed) bool { return m != nil && m.info.Subscribed }

// diff notes what is different in a new listing. It keeps at most max events, 0 = any number.
func (b *hub) diff(l *listing, max int) {
	var made []*nameEvent
	parents := map[string]session.Handle{} // affected, too, by whom
	seen := map[string]bool{}
	for _, m := range l.all {
		seen[m.name] = true
		b.compare(b.names.byName[m.name], m, l, &made, parents)
	}
	for _, m := range b.names.all {
		if !seen[m.name] {
			b.compare(m, nil, l, &made, parents)
		}
	}
	for _, e := range made {
		delete(parents, e.name().name)
	}
	made = append(made, b.affected(parents, l)...)
	if len(made) == 0 {
		return
	}
	b.version++
	for _, e := range made {
		b.attribute(e, l)
	}
	made = append(made, b.again(made, l)...)
	// What has gone comes first, or clients take it for renamed with the mailbox above it.
	gone, there := made[:0:0], made[:0:0]
	for _, e := range made {
		e.version = b.version
		if exists(e.now) {
			there = append(there, e)
		} else {
			gone = append(gone, e)
		}
	}
	b.keep(append(gone, there...), max)
}

// affected returns the events of the parents of names that came or went, in their order, but of those that have gone themselves by a RENAME.
func (b *hub) affected(parents map[string]session.Handle, l *listing) (made []*nameEvent) {
	for _, from := range []*listing{b.names, l} {
		for _, m := range from.all {
			by, ok := parents[m.name]
			if !ok {
				continue
			}
			delete(parents, m.name)
			if _, _, renamed := b.moved(m.name, m.ns.sep, l); !renamed || exists(l.byName[m.name]) {
				made = append(made, &nameEvent{by: by, old: b.names.byName[m.name], now: l.byName[m.name], events: eventNames})
			}
		}
	}
	return made
}

// attribute notes by whom an event is, and what a mailbox was called before, which is told once.
func (b *hub) attribute(e *nameEvent, l *listing) {
	name := e.name().name
	hinted := b.hints[name]
	if e.by == 0 {
		e.by = hinted.by
	}
	came := exists(e.now) && (!exists(e.old) || b.replaced(name, l))
	if came && hinted.old != "" && exists(b.names.byName[hinted.old]) {
		e.oldName, hinted.old = hinted.old, ""
		b.hints[name] = hinted
	}
}

// again returns the events of names that were renamed, or are below such a one, and are there once more: clients take them for gone. INBOX
// always is (RFC 5465 §5.4).
func (b *hub) again(made []*nameEvent, l *listing) (more []*nameEvent) {
	for _, e := range made {
		old := l.byName[e.oldName]
		if e.oldName == "" || !exists(old) || isInbox(old) {
			continue
		}
		for _, m := range l.all {
			if was := b.names.byName[m.name]; exists(m) && exists(was) && (m == old || strings.HasPrefix(m.name, old.name+old.ns.sep)) {
				more = append(more, &nameEvent{by: b.hints[m.name].by, old: was, now: m, events: eventNames})
			}
		}
	}
	return more
}

// keep adds events, and forgets the oldest beyond max.
func (b *hub) keep(made []*nameEvent, max int) {
	b.events = append(b.events, made...)
	if over := len(b.events) - max; max > 0 && over > 0 {
		b.forgot = b.events[over-1].version
		b.events = append([]*nameEvent(nil), b.events[over:]...)
	}
}

// name returns what the event is about.
func (e *nameEvent) name() *listed {
	if e.now != nil {
		return e.now
	}
	return e.old
}

// compare appends the event of one name, if there is one. A mailbox may leave its name to others below it, or get the name of another one.
func (b *hub) compare(old, now *listed, l *listing, made *[]*nameEvent, parents map[string]session.Handle) {
	e := &nameEvent{old: old, now: now}
	name := e.name().name
	left := isMailbox(old) && exists(now) && !isMailbox(now) && now.children // without children it is about to go: storage is in the midst of it
	filled := exists(old) && !isMailbox(old) && isMailbox(now)
	if exists(old) != exists(now) || left || filled || b.replaced(name, l) {
		by, from, renamed := b.moved(name, e.name().ns.sep, l)
		e.by = by
		switch {
		case renamed && !exists(now), renamed && from == "": // the new name tells; children are not told of
		default:
			e.events |= eventNames
			if at := strings.LastIndex(name, e.name().ns.sep); at > 0 && !renamed {
				parents[name[:at]] = by
			}
		}
	}
	if subscribed(old) != subscribed(now) {
		e.events |= eventSubscriptions
	}
	if e.events != 0 {
		*made = append(*made, e)
	}
}

// replaced reports whether what is called name was called otherwise before, and RENAME has left nothing there.
func (b *hub) replaced(name string, l *listing) bool {
	x := b.hints[name]
	return x.old != "" && exists(b.names.byName[x.old]) && !exists(l.byName[x.old]) && exists(l.byName[name])
}

// moved reports whether a name came or went by a RENAME that the clients are told of, and what the renamed mailbox itself was called before. from is "" for
// names that have moved with it. A RENAME may have failed, or have been followed by others, by the time of the listing: what it says counts if
// the old name was there, and the new one is.
func (b *hub) moved(name, sep string, l *listing) (by session.Handle, from string, ok bool) {
	for to, x := range b.hints {
		was := func(rest string) bool { return exists(b.names.byName[x.old+rest]) }
		rest, below := strings.CutPrefix(name, to)
		switch {
		case name == to:
			return x.by, x.old, x.old != "" && was("")
		case x.old == "":
			continue
		case below && strings.HasPrefix(rest, sep) && was(rest):
			return x.by, "", true
		}
		rest, below = strings.CutPrefix(name, x.old)
		if below && (rest == "" || strings.HasPrefix(rest, sep)) && exists(l.byName[to+rest]) {
			return x.by, "", true
		}
	}
	return 0, "", false
}

// text returns the LIST response (RFC 5465 §5.4, §5.5) or the METADATA response, which all sessions get. The caller holds hubs.mu.
func (e *nameEvent) text(utf8 bool) []byte {
	t := &e.texts[0]
	if utf8 {
		t = &e.texts[1]
	}
	if *t == nil {
		*t = e.render(utf8)
	}
	return *t
}

func (e *nameEvent) render(utf8 bool) []byte {
	if e.entries != nil {
		return e.renderMetadata(utf8)
	}
	m := *e.name()
	if !exists(e.now) {
		m.info.NonExistent, m.info.NoSelect, m.special = true, false, ""
		m.info.Subscribed = subscribed(e.now)
	}
	o := listOptions{command: "LIST", extended: true, subscribed: true, children: exists(e.now), utf8: utf8}
	b := o.append(nil, &m)
	if e.oldName != "" && exists(e.now) {
		b = appendOldName(b, e.oldName, utf8)
	}
	return b
}

// concerns reports whether a set asks for the event.
func (e *nameEvent) concerns(set notifySet) bool {
	var want notifyEvents
	if e.events == eventServerMetadata {
		want = set.others()
	}
	for _, m := range []*listed{e.old, e.now} {
		if m != nil {
			want |= set.of(m)
		}
	}
	return want&e.events != 0
}
