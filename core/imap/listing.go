package imap

import (
	"cmp"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// listed is one name of a listing.
type listed struct {
	ns        *namespace
	name      string // UTF-8, as clients call it
	info      backend.MailboxInfo
	special   string // RFC 6154 attribute, "" = none
	children  bool   // there are existing names below
	childInfo bool   // RECURSIVEMATCH: names below are selected
	hit       bool   // a pattern matches
}

// listing is all names of a user, INBOX first, then sorted by name.
type listing struct {
	all    []*listed
	byName map[string]*listed
	room   []listed // for those that are added next
}

// listed asks storage for the names of all namespaces that the patterns may match.
func (r *request) listed(patterns []pattern) (*listing, error) {
	l, names := &listing{}, &r.srv.names
	var keepers []*namespace // of the subscriptions of others that match
	for _, ns := range names.spaces {
		matches, keeper := ns.mayMatch(patterns), names.keeper(ns)
		keeps := slices.Contains(keepers, ns)
		if !matches && !keeps {
			continue
		}
		if keeper != nil && keeper != ns {
			keepers = append(keepers, keeper)
		}
		var infos []backend.MailboxInfo
		var err error
		if r.during(func() { infos, err = r.srv.storage.ListMailboxes(r.ctx, r.user(), ns.Name) }); err != nil {
			return nil, err
		}
		l.expect(len(infos))
		subscribed := false // INBOX, in other letters
		for _, info := range infos {
			if keeps && info.Subscribed {
				if other, name := names.subscribedFor(ns, info.Name); other != nil {
					l.subscribe(other, name, patterns)
					continue
				}
			}
			if !matches {
				continue
			}
			if keeper != nil && keeper != ns {
				if info.Subscribed = false; info.NonExistent {
					continue
				}
			}
			if name, ok := ns.client(info.Name); ok {
				l.add(ns, name, info)
			} else if strings.EqualFold(info.Name, "INBOX") {
				subscribed = subscribed || info.Subscribed
			}
		}
		if ns.Inbox && matches { // it always exists (RFC 3501 §5.1)
			l.add(ns, "INBOX", backend.MailboxInfo{Name: "INBOX"})
			inbox := l.byName["INBOX"]
			inbox.info.NoSelect, inbox.info.Subscribed = false, inbox.info.Subscribed || subscribed
		}
		l.addParents(ns)
	}
	slices.SortFunc(l.all, func(a, b *listed) int {
		if (a.name == "INBOX") != (b.name == "INBOX") {
			if a.name == "INBOX" {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return l, nil
}

// expect makes room for n names more, and some parents.
func (l *listing) expect(n int) {
	l.all = slices.Grow(l.all, n+8)
	l.room = make([]listed, 0, n+8)
	if l.byName == nil {
		l.byName = make(map[string]*listed, n+8)
	}
}

// mayMatch reports whether names of the namespace can match. One with list =
// false is shown only to those who name it.
func (ns *namespace) mayMatch(patterns []pattern) bool {
	for _, p := range patterns {
		head := p.prefix()
		if _, named := ns.below(head); named && (ns.Prefix != "" || ns.List) {
			return true
		}
		if ns.List && (strings.HasPrefix(ns.Prefix, head) || ns.Inbox) {
			return true
		}
	}
	return false
}

// add adds a name, unless a namespace with a longer prefix has it already.
func (l *listing) add(ns *namespace, name string, info backend.MailboxInfo) {
	if l.byName[name] != nil {
		return
	}
	if len(l.room) == cap(l.room) {
		l.room = make([]listed, 0, 8)
	}
	l.room = append(l.room, listed{ns: ns, name: name, info: info, special: cmp.Or(listedUses(info.SpecialUse), ns.special[info.Name])})
	m := &l.room[len(l.room)-1]
	m.info.Subscribed = info.Subscribed || ns.auto[info.Name] && !info.NonExistent
	l.all = append(l.all, m)
	l.byName[name] = m
}

// subscribe notes that a name is subscribed to, of which another namespace than its own says so.
func (l *listing) subscribe(ns *namespace, name string, patterns []pattern) {
	if m := l.byName[name]; m != nil {
		m.info.Subscribed = true
	} else if ns.mayMatch(patterns) {
		l.add(ns, name, backend.MailboxInfo{NonExistent: true, Subscribed: true})
		l.addParents(ns)
	}
}

// addParents adds the names above those of a namespace that are not there, and notes who has children.
func (l *listing) addParents(ns *namespace) {
	for i := 0; i < len(l.all); i++ { // l.all grows meanwhile
		m := l.all[i]
		at := strings.LastIndex(m.name, ns.sep)
		if m.ns != ns || at <= 0 {
			continue
		}
		parent := m.name[:at]
		if l.byName[parent] == nil {
			exists := !m.info.NonExistent
			l.add(ns, parent, backend.MailboxInfo{NoSelect: exists, NonExistent: !exists})
		}
		p := l.byName[parent]
		if !m.info.NonExistent {
			p.children = true
			if p.info.NonExistent && p.info.Name == "" {
				p.info.NonExistent, p.info.NoSelect = false, true
			}
		}
	}
}

// match returns the names that a LIST or LSUB shows, in order.
func (l *listing) match(patterns []pattern, o *listOptions) []*listed {
	out := make([]*listed, 0, len(l.all))
	for _, m := range l.all {
		for _, p := range patterns {
			if p.match(m.name, m.ns.Separator) {
				m.hit = true
				break
			}
		}
	}
	if o.recursive {
		l.markChildInfo(o)
	}
	for _, m := range l.all {
		if m.hit && (o.selects(m) || m.childInfo) {
			out = append(out, m)
		}
	}
	return out
}

// markChildInfo marks the matching names above selected ones that do not match
// themselves (RFC 5258 §3.5): those that do are in the answer anyway.
func (l *listing) markChildInfo(o *listOptions) {
	for _, m := range l.all {
		if m.hit || !o.selects(m) {
			continue
		}
		for at := strings.LastIndex(m.name, m.ns.sep); at > 0; at = strings.LastIndex(m.name[:at], m.ns.sep) {
			if p := l.byName[m.name[:at]]; p != nil && p.hit {
				p.childInfo = true
			}
		}
	}
}
