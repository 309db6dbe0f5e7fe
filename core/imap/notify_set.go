package imap

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/roostmail/roost/core/imapwire"
)

// notifyFilter says which mailboxes an event group of NOTIFY is about (RFC 5465 §6).
type notifyFilter uint8

const (
	filterSelected notifyFilter = iota
	filterDelayed
	filterInboxes
	filterPersonal
	filterSubscribed
	filterSubtree
	filterMailboxes
	filterAll // every mailbox: ENABLE METADATA, not a word of NOTIFY
)

var notifyFilters = map[string]notifyFilter{
	"SELECTED": filterSelected, "SELECTED-DELAYED": filterDelayed, "INBOXES": filterInboxes, "PERSONAL": filterPersonal,
	"SUBSCRIBED": filterSubscribed, "SUBTREE": filterSubtree, "MAILBOXES": filterMailboxes,
}

// selected reports whether it is about the selected mailbox, and nothing else.
func (f notifyFilter) selected() bool { return f <= filterDelayed }

// notifyEvents are what a client wants to be told of (RFC 5465 §5).
type notifyEvents uint8

const (
	eventMessages       notifyEvents = 1 << iota // MessageNew and MessageExpunge: there is none without the other
	eventFlags                                   // FlagChange
	eventNames                                   // MailboxName
	eventSubscriptions                           // SubscriptionChange
	eventMetadata                                // MailboxMetadataChange
	eventServerMetadata                          // ServerMetadataChange
	eventsKnown         = 1<<iota - 1
)

// notifyGroup is an event group.
type notifyGroup struct {
	filter notifyFilter
	events notifyEvents
	names  []string // of SUBTREE and MAILBOXES, as in listed.name
	fetch  string   // the attributes of MessageNew, as sent with their parentheses; "" = none
}

// notifySet is what a NOTIFY SET asks for. Its byte form, in the extra of each session that has one, is for each group
//
//	1 byte           filter
//	1 byte           events
//	uvarint, bytes   fetch
//	uvarint          number of names, and of each: uvarint, bytes
type notifySet []notifyGroup

// append appends the byte form.
func (set notifySet) append(b []byte) []byte {
	for _, g := range set {
		b = append(b, byte(g.filter), byte(g.events))
		b = append(binary.AppendUvarint(b, uint64(len(g.fetch))), g.fetch...)
		b = binary.AppendUvarint(b, uint64(len(g.names)))
		for _, name := range g.names {
			b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
		}
	}
	return b
}

var errNotifySet = errors.New("imap: not a NOTIFY set")

// decodeNotifySet reads what append has written.
func decodeNotifySet(s string) (set notifySet, err error) {
	number := func() (n uint64) {
		n, k := binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
		if k <= 0 || n > uint64(len(s)-k) {
			s, err = "", errNotifySet
			return 0
		}
		s = s[k:]
		return n
	}
	text := func() string {
		n := number()
		t := s[:n]
		s = s[n:]
		return t
	}
	for len(s) > 0 && err == nil {
		if len(s) < 2 || notifyFilter(s[0]) > filterAll || s[1]&^eventsKnown != 0 {
			return nil, errNotifySet
		}
		g := notifyGroup{filter: notifyFilter(s[0]), events: notifyEvents(s[1])}
		s = s[2:]
		g.fetch = text()
		for range number() {
			g.names = append(g.names, text())
		}
		if _, e := g.items(); e != nil {
			err = errNotifySet
		}
		set = append(set, g)
	}
	if err != nil {
		return nil, err
	}
	return set, nil
}

// items returns the attributes of MessageNew, nil for none.
func (g *notifyGroup) items() (*fetchArgs, error) {
	if g.fetch == "" {
		return nil, nil
	}
	d := imapwire.NewDecoder([]byte(" "+g.fetch), imapwire.DefaultLimits)
	return parseFetch(&d, false, false)
}

// forSelected returns the group about the selected mailbox, nil for none.
func (set notifySet) forSelected() *notifyGroup {
	for i := range set {
		if set[i].filter.selected() {
			return &set[i]
		}
	}
	return nil
}

// others returns what is wanted of any mailbox that is not selected.
func (set notifySet) others() (e notifyEvents) {
	for _, g := range set {
		if !g.filter.selected() {
			e |= g.events
		}
	}
	return e
}

// of returns what is wanted of a mailbox that is not selected.
func (set notifySet) of(m *listed) (e notifyEvents) {
	for i := range set {
		if set[i].covers(m) {
			e |= set[i].events
		}
	}
	return e
}

// covers reports whether the group is about a mailbox that is not selected.
func (g *notifyGroup) covers(m *listed) bool {
	switch g.filter {
	case filterAll:
		return true
	case filterInboxes, filterPersonal: // RFC 5465 §6.3: where mail may be delivered is not known here
		return (m.ns.List || m.ns.Inbox) && !m.ns.Public
	case filterSubscribed:
		return m.info.Subscribed
	case filterSubtree:
		for _, name := range g.names {
			if m.name == name || strings.HasPrefix(m.name, name) && strings.HasPrefix(m.name[len(name):], m.ns.sep) {
				return true
			}
		}
	case filterMailboxes:
		for _, name := range g.names {
			if m.name == name {
				return true
			}
		}
	}
	return false
}

// patterns returns LIST patterns for the namespaces that the set is about.
func (set notifySet) patterns() []pattern {
	ps := []pattern{"*"}
	for _, g := range set {
		for _, name := range g.names {
			ps = append(ps, pattern(name))
		}
	}
	return ps
}
