package imap

import (
	"fmt"
	"sort"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/roostmail/roost/core/backend"
)

// names maps what clients call a mailbox to what storage calls it, and back.
//
//	client   modified UTF-7 or UTF-8 (utf8.go), namespace prefix, the namespace's separator, INBOX in any case
//	storage  UTF-8, a namespace and a name below its prefix, "/", INBOX in capitals
type names struct {
	spaces []*namespace // longest prefix first
	inbox  *namespace
}

// namespace is a configured namespace (RFC 2342).
type namespace struct {
	backend.Namespace
	sep     string
	special map[string]string // attribute by storage name (RFC 6154 §2)
	auto    map[string]bool   // storage names that are subscribed without being asked
}

// newNames checks the configured namespaces. Empty: one with INBOX in it.
func newNames(configured []backend.Namespace) (names, error) {
	if len(configured) == 0 {
		configured = []backend.Namespace{{Separator: '/', Inbox: true, List: true, Subscriptions: true}}
	}
	var n names
	prefixes := map[string]bool{}
	for _, c := range configured {
		if c.Separator == 0 {
			c.Separator = '/'
		}
		ns := &namespace{Namespace: c, sep: string(c.Separator), special: map[string]string{}, auto: map[string]bool{}}
		for _, m := range c.Mailboxes {
			name := strings.ReplaceAll(m.Name, ns.sep, "/")
			if m.SpecialUse != "" {
				ns.special[name] = m.SpecialUse
			}
			ns.auto[name] = m.Auto == "subscribe"
		}
		switch {
		case prefixes[c.Prefix]:
			return n, fmt.Errorf("two namespaces have the prefix %q", c.Prefix)
		case c.Prefix != "" && !strings.HasSuffix(c.Prefix, ns.sep):
			return n, fmt.Errorf("namespace prefix %q does not end in its separator %q", c.Prefix, ns.sep)
		case c.Inbox && n.inbox != nil:
			return n, fmt.Errorf("two namespaces have inbox = true")
		}
		prefixes[c.Prefix] = true
		if c.Inbox {
			n.inbox = ns
		}
		n.spaces = append(n.spaces, ns)
	}
	if n.inbox == nil {
		return n, fmt.Errorf("no namespace has inbox = true")
	}
	sort.SliceStable(n.spaces, func(i, j int) bool { return len(n.spaces[i].Prefix) > len(n.spaces[j].Prefix) })
	return n, nil
}

// resolve returns the namespace and storage name of a name as sent by a client, who has enabled UTF8=ACCEPT or not.
// The error is a *response: the client may be told so.
func (n *names) resolve(raw []byte, utf8 bool) (*namespace, string, error) {
	name, err := decodeName(raw, utf8)
	if err != nil {
		return nil, "", err
	}
	if strings.EqualFold(name, "INBOX") { // RFC 3501 §5.1
		return n.inbox, "INBOX", nil
	}
	for _, ns := range n.spaces {
		rest, ok := ns.below(name)
		if !ok {
			continue
		}
		if ns.Inbox && ns.Prefix == "" {
			rest = ns.spellInbox(rest)
		}
		if err := ns.check(rest); err != nil {
			return nil, "", err
		}
		return ns, strings.ReplaceAll(rest, ns.sep, "/"), nil
	}
	return nil, "", errNonExistent(raw)
}

// keeper returns the namespace that has the subscriptions of another one: that itself, or if it has none the one with the longest prefix that
// it is below, as in Dovecot (mail-namespace.c, mail_namespace_find_subscribable); nil: nobody has them.
func (n *names) keeper(of *namespace) *namespace {
	if of.Subscriptions {
		return of
	}
	for _, ns := range n.spaces {
		if _, ok := ns.below(of.Prefix); ok && ns.Subscriptions {
			return ns
		}
	}
	return nil
}

// subscription returns where the subscription to a name is kept, and as what.
func (n *names) subscription(ns *namespace, name string) (*namespace, string) {
	keeper := n.keeper(ns)
	if keeper == nil || keeper == ns {
		return ns, name
	}
	client, _ := ns.client(name)
	rest, ok := keeper.below(client)
	if !ok || keeper.check(rest) != nil {
		return ns, name
	}
	return keeper, strings.ReplaceAll(rest, keeper.sep, "/")
}

// subscribedFor returns the namespace of the mailbox that a subscription in keeper is for, and what clients call it; nil: the mailbox is in keeper.
func (n *names) subscribedFor(keeper *namespace, name string) (*namespace, string) {
	if name == "INBOX" && keeper.Prefix == "" {
		if n.inbox != keeper && n.keeper(n.inbox) == keeper {
			return n.inbox, name
		}
		return nil, ""
	}
	client, ok := keeper.client(name)
	if !ok {
		return nil, ""
	}
	for _, ns := range n.spaces { // that with the longest prefix has it
		if rest, ok := ns.below(client); ok {
			if ns == keeper || rest == "" || n.keeper(ns) != keeper {
				return nil, ""
			}
			return ns, client
		}
	}
	return nil, ""
}

// resolveNew is resolve for a name that is to be made. declared: it may end in the hierarchy separator, which is
// not part of it (RFC 3501 §6.3.3). In UTF-8 it must be Net-Unicode (RFC 9051 §5.1); in modified UTF-7 it may be anything, as in Dovecot.
func (n *names) resolveNew(raw []byte, utf8, declared bool) (*namespace, string, error) {
	ns, name, err := n.resolve(raw, utf8)
	if last := len(raw) - 1; err != nil && declared && last > 0 {
		if cut, cutName, cutErr := n.resolve(raw[:last], utf8); cutErr == nil && raw[last] == cut.Separator {
			ns, name, err, raw = cut, cutName, nil, raw[:last]
		}
	}
	if err != nil {
		if responseOf(err).code == "NONEXISTENT" { // in no namespace: neither can it be made
			err = no("CANNOT", "Mailbox name is in no namespace: "+string(raw))
		}
		return nil, "", err
	}
	client, _ := ns.client(name)
	if (utf8 || eightBit(raw)) && !norm.NFC.IsNormalString(client) {
		return nil, "", no("CANNOT", "Mailbox name is not in Unicode Normalization Form C.")
	}
	for _, other := range n.spaces {
		if client+other.sep == other.Prefix && client != "INBOX" {
			return nil, "", no("CANNOT", "Mailbox name is the prefix of a namespace: "+string(raw))
		}
	}
	return ns, name, nil
}

// errNonExistent is the answer for a name that is in no namespace.
func errNonExistent(raw []byte) error {
	return no("NONEXISTENT", "Mailbox doesn't exist: "+string(raw))
}

// below cuts the namespace's prefix off a name. The "INBOX" of a prefix is matched in any case.
func (ns *namespace) below(name string) (string, bool) {
	p := ns.Prefix
	if len(name) < len(p) {
		return "", false
	}
	head := name[:len(p)]
	inbox := len("INBOX" + ns.sep)
	if len(p) >= inbox && strings.EqualFold(p[:inbox], "INBOX"+ns.sep) {
		if !strings.EqualFold(head[:inbox], p[:inbox]) {
			return "", false
		}
		head = p[:inbox] + head[inbox:]
	}
	return name[len(p):], head == p
}

// spellInbox spells the INBOX that a name is below of in capitals: there is one INBOX, and what is below inbox is below INBOX (RFC 3501 §5.1).
func (ns *namespace) spellInbox(name string) string {
	if inbox := "INBOX" + ns.sep; len(name) > len(inbox) && strings.EqualFold(name[:len(inbox)], inbox) {
		return inbox + name[len(inbox):]
	}
	return name
}

// check refuses names that no mailbox can have, in the words of Dovecot.
func (ns *namespace) check(name string) error {
	switch {
	case name == "":
		return no("CANNOT", "Invalid mailbox name: Name is empty.")
	case strings.HasPrefix(name, ns.sep):
		return no("CANNOT", "Invalid mailbox name: Begins with hierarchy separator.")
	case strings.HasSuffix(name, ns.sep):
		return no("CANNOT", "Invalid mailbox name: Ends with hierarchy separator.")
	case strings.Contains(name, ns.sep+ns.sep):
		return no("CANNOT", "Invalid mailbox name: Has adjacent hierarchy separators.")
	case ns.sep != "/" && strings.Contains(name, "/"):
		return no("CANNOT", "Invalid mailbox name: Must not have '/' characters.")
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f {
			return no("CANNOT", "Invalid mailbox name: Has control characters.")
		}
	}
	return nil
}

// client returns the UTF-8 form of what clients call a storage name. ok is false for a name that has none: with the client's separator
// inside a level, or where clients would reach INBOX.
func (ns *namespace) client(name string) (s string, ok bool) {
	if name == "INBOX" && ns.Inbox {
		return name, true
	}
	if ns.sep != "/" {
		if strings.Contains(name, ns.sep) {
			return "", false
		}
		name = strings.ReplaceAll(name, "/", ns.sep)
	}
	if ns.Prefix == "" && (strings.EqualFold(name, "INBOX") || ns.Inbox && ns.spellInbox(name) != name) {
		return "", false
	}
	return ns.Prefix + name, true
}

// ref resolves a name to a storage reference for the session's user.
func (r *request) ref(raw []byte) (backend.MailboxRef, error) {
	ns, name, err := r.srv.names.resolve(raw, r.utf8())
	if err != nil {
		return backend.MailboxRef{}, err
	}
	return backend.MailboxRef{User: r.user(), Namespace: ns.Name, Name: name}, nil
}

// onlyMailbox reads SP mailbox, and the end of the command.
func (r *request) onlyMailbox() ([]byte, error) {
	r.d.SP()
	raw := r.d.Mailbox()
	return raw, r.end()
}

// newRef is ref for a name that is to be made, as in resolveNew.
func (r *request) newRef(raw []byte, declared bool) (backend.MailboxRef, error) {
	ns, name, err := r.srv.names.resolveNew(raw, r.utf8(), declared)
	if err != nil {
		return backend.MailboxRef{}, err
	}
	return backend.MailboxRef{User: r.user(), Namespace: ns.Name, Name: name}, nil
}
