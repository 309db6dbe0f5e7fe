package imap

import "github.com/roostmail/roost/core/imapwire"

// notifySupported returns the events that a client may ask for (RFC 5465 §3.1, BADEVENT).
func (srv *Server) notifySupported() string {
	const always = "FlagChange MessageExpunge MessageNew MailboxName SubscriptionChange"
	if srv.metadata == nil {
		return always
	}
	return always + " MailboxMetadataChange ServerMetadataChange"
}

// notifyArgs is a parsed NOTIFY.
type notifyArgs struct {
	none, status bool
	set          notifySet
	items        *fetchArgs // of MessageNew of the selected mailbox

	unsupported bool // an event that there is not
	rule        string
}

// parseNotify reads the arguments (RFC 5465 §8):
//
//	SP ("NONE" / "SET" [SP "STATUS"] SP event-group *(SP event-group))
//
// A set with an event that is not supported is refused as such, whatever follows it.
func (r *request) parseNotify() (*notifyArgs, error) {
	a := &notifyArgs{}
	r.d.SP()
	switch at := r.d.Pos(); r.d.Word() {
	case "NONE":
		a.none = true
	case "SET":
		r.d.SP()
		if r.d.TryWord("STATUS") {
			a.status = true
			r.d.SP()
		}
		a.group(r)
		for r.d.OK() && !a.unsupported && r.d.TrySP() {
			a.group(r)
		}
	default:
		if r.d.OK() {
			r.d.FailAt(at, "expected SET or NONE")
		}
	}
	if a.unsupported {
		return nil, no("BADEVENT ("+r.srv.notifySupported()+")", "Unsupported NOTIFY events.")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if a.rule != "" {
		return nil, bad(a.rule)
	}
	return a, nil
}

// group reads "(" filter SP events ")".
func (a *notifyArgs) group(r *request) {
	d := &r.d
	var g notifyGroup
	d.Byte('(')
	at := d.Pos()
	word := d.Word()
	filter, ok := notifyFilters[word]
	if !ok && d.OK() {
		d.FailAt(at, "unknown mailbox filter "+quote(d.Since(at)))
	}
	g.filter = filter
	d.SP()
	if filter == filterSubtree || filter == filterMailboxes {
		r.mailboxNames(&g)
		d.SP()
	}
	a.events(r, &g)
	if a.unsupported {
		return
	}
	d.Byte(')')
	if g.filter.selected() && a.set.forSelected() != nil {
		a.breaks("Only one of SELECTED and SELECTED-DELAYED can be specified.")
	}
	a.set = append(a.set, g)
}

// mailboxNames reads one-or-more-mailbox (RFC 5465 §8): mailbox / "(" mailbox *(SP mailbox) ")".
func (r *request) mailboxNames(g *notifyGroup) {
	name := func() {
		if name, ok := r.notifyName(r.d.Mailbox()); ok {
			g.names = append(g.names, name)
		}
	}
	if r.d.Peek() != '(' {
		name()
	} else if r.d.List(name) == 0 {
		r.d.Fail("empty list of mailboxes")
	}
}

// notifyName returns a name as listings have it. ok is false for one that no mailbox can have: it is ignored (RFC 5465 §3.1).
func (r *request) notifyName(raw []byte) (name string, ok bool) {
	if !r.d.OK() {
		return "", false
	}
	ns, stored, err := r.srv.names.resolve(raw, r.utf8())
	if err != nil {
		return "", false
	}
	return ns.client(stored)
}

// breaks notes the first rule that is broken.
func (a *notifyArgs) breaks(rule string) {
	if a.rule == "" {
		a.rule = rule
	}
}

// events reads "NONE" / "(" event *(SP event) ")".
func (a *notifyArgs) events(r *request, g *notifyGroup) {
	d := &r.d
	if d.Peek() != '(' {
		if !d.TryWord("NONE") {
			d.Fail("expected a list of events or NONE")
		}
		return
	}
	var new, expunge bool
	n := d.List(func() {
		if a.unsupported {
			d.Fail("unsupported event")
			return
		}
		switch word := d.Word(); word {
		case "MESSAGENEW":
			new = true
			a.attributes(d, g)
		case "MESSAGEEXPUNGE":
			expunge = true
		case "FLAGCHANGE":
			g.events |= eventFlags
		case "MAILBOXNAME":
			g.events |= eventNames
		case "SUBSCRIPTIONCHANGE":
			g.events |= eventSubscriptions
		case "MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE": // required where METADATA is (§5.6, §5.7)
			if a.unsupported = r.srv.metadata == nil; word[0] == 'M' {
				g.events |= eventMetadata
			} else {
				g.events |= eventServerMetadata
			}
		default:
			a.unsupported = d.OK()
		}
	})
	switch {
	case a.unsupported:
	case n == 0:
		d.Fail("empty list of events")
	case new != expunge: // RFC 5465 §5
		a.breaks("MessageNew and MessageExpunge must be specified together.")
	case g.events&eventFlags != 0 && !new:
		a.breaks("FlagChange requires MessageNew and MessageExpunge.")
	case g.filter.selected() && g.events&^eventFlags != 0: // §6.1
		a.breaks("Only message events can be specified for the selected mailbox.")
	}
	if new {
		g.events |= eventMessages
	}
}

// attributes reads the list that may follow MessageNew: [SP "(" fetch-att *(SP fetch-att) ")"].
func (a *notifyArgs) attributes(d *imapwire.Decoder, g *notifyGroup) {
	before := *d
	if !d.TrySP() || d.Peek() != '(' {
		*d = before
		return
	}
	at, items := d.Pos(), &fetchArgs{}
	if d.List(func() { items.item(d, d.Name(), true) }) == 0 {
		d.Fail("FETCH list is empty")
	}
	if !g.filter.selected() { // §8
		a.breaks("FETCH attributes can be specified for the selected mailbox only.")
		return
	}
	g.fetch, a.items = string(d.Since(at)), items
}
