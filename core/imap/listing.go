package imap

import (
	"cmp"
	"sort"
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
}

// listing is all names of a user, INBOX first, then sorted by name.
type listing struct {
	all    []*listed
	byName map[string]*listed
}

// listed asks storage for the names of all namespaces that the patterns may match.
func (r *request) listed(patterns []pattern) (*listing, error) {
	l := &listing{byName: map[string]*listed{}}
	for _, ns := range r.srv.names.spaces {
		if !ns.mayMatch(patterns) {
			continue
		}
		var infos []backend.MailboxInfo
		var err error
		if r.during(func() { infos, err = r.srv.storage.ListMailboxes(r.ctx, r.user(), ns.Name) }); err != nil {
			return nil, err
		}
		for _, info := range infos {
			if name, ok := ns.client(info.Name); ok {
				l.add(ns, name, info)
			}
		}
		if ns.Inbox { // it always exists (RFC 3501 §5.1)
			l.add(ns, "INBOX", backend.MailboxInfo{Name: "INBOX"})
			l.byName["INBOX"].info.NoSelect = false
		}
		l.addParents(ns)
	}
	sort.Slice(l.all, func(i, j int) bool {
		a, b := l.all[i].name, l.all[j].name
		if (a == "INBOX") != (b == "INBOX") {
			return a == "INBOX"
		}
		return a < b
	})
	return l, nil
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
	m := &listed{ns: ns, name: name, info: info, special: cmp.Or(listedUses(info.SpecialUse), ns.special[info.Name])}
	m.info.Subscribed = info.Subscribed || ns.auto[info.Name] && !info.NonExistent
	l.all = append(l.all, m)
	l.byName[name] = m
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
	var out []*listed
	hit := map[*listed]bool{}
	for _, m := range l.all {
		for _, p := range patterns {
			if p.match(m.name, m.ns.Separator) {
				hit[m] = true
				break
			}
		}
	}
	if o.recursive {
		l.markChildInfo(hit, o)
	}
	for _, m := range l.all {
		if hit[m] && (o.selects(m) || m.childInfo) {
			out = append(out, m)
		}
	}
	return out
}

// markChildInfo marks the matching names above selected ones that do not match
// themselves (RFC 5258 §3.5): those that do are in the answer anyway.
func (l *listing) markChildInfo(hit map[*listed]bool, o *listOptions) {
	for _, m := range l.all {
		if hit[m] || !o.selects(m) {
			continue
		}
		for at := strings.LastIndex(m.name, m.ns.sep); at > 0; at = strings.LastIndex(m.name[:at], m.ns.sep) {
			if p := l.byName[m.name[:at]]; p != nil && hit[p] {
				p.childInfo = true
			}
		}
	}
}
