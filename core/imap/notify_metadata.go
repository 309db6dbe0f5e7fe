package imap

import (
	"context"
	"hash/maphash"
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/session"
)

// Changes of annotations: MailboxMetadataChange and ServerMetadataChange (RFC 5465 §5.6, §5.7), and ENABLE METADATA (RFC 5464 §4.4), which is
// an event group about every mailbox that no NOTIFY can spell.
//
//	SETMETADATA here ─▶ annotating: the command itself says what it changes
//	another program  ─▶ the mailbox is stale, as it is after any change ─▶ lookAtAnnotations: those that are not what they were

// capabilityMetadata is what ENABLE turns on (RFC 5464 §4.4).
const capabilityMetadata = "METADATA"

// metadataGroup is what it asks for.
var metadataGroup = notifyGroup{filter: filterAll, events: eventMetadata | eventServerMetadata}

func isMetadataGroup(g notifyGroup) bool { return g.filter == filterAll }

// enabledOnly reports whether a set is there without NOTIFY.
func (set notifySet) enabledOnly() bool { return len(set) == 1 && isMetadataGroup(set[0]) }

// canFollowMetadata reports whether clients can be told of annotations that change.
func (srv *Server) canFollowMetadata() bool { return srv.metadata != nil && srv.boxes.CanFollow() }

// enableMetadata adds the group to what the session is told already. A later NOTIFY says everything anew, as it does without ENABLE.
func (r *request) enableMetadata() error {
	old, set, err := savedSet(r.s)
	if err != nil || slices.ContainsFunc(set, isMetadataGroup) {
		return err
	}
	set = append(set, metadataGroup)
	raw := string(set.append(nil))
	b, err := r.srv.hubs.join(r.ctx, r.s, raw, set)
	if err != nil {
		return err
	}
	if old != "" && r.st.Aux&notifyOthers != 0 {
		r.notifyOthersNow()
	}
	r.moveRun()
	on := r.st.Aux & notifyOn
	r.dropNotify()
	r.st.Aux = notifyBits(set) | on
	change(r.s, func(x *extra) { x.notify = raw })
	r.beginHub(b, set, false)
	return nil
}

// annotations are those of a mailbox, or of the server, when they were last looked at: the hash of each value, by entry.
type annotations struct {
	known  bool
	hashes map[string]uint64
}

var annotationSeed = maphash.MakeSeed()

// set takes what a command has changed.
func (a *annotations) set(changes []backend.MetadataEntry) {
	for _, c := range changes {
		switch {
		case c.Value == nil:
			delete(a.hashes, c.Name)
		case a.hashes == nil:
			a.hashes = map[string]uint64{c.Name: maphash.Bytes(annotationSeed, c.Value)}
		default:
			a.hashes[c.Name] = maphash.Bytes(annotationSeed, c.Value)
		}
	}
}

// take takes what is there now and returns the entries that were not so before: none, if nothing was known.
func (a *annotations) take(all []backend.MetadataEntry) (changed []string) {
	now := annotations{known: true}
	now.set(all)
	if a.known {
		for name, hash := range now.hashes {
			if before, ok := a.hashes[name]; !ok || before != hash {
				changed = append(changed, name)
			}
		}
		for name := range a.hashes {
			if _, ok := now.hashes[name]; !ok {
				changed = append(changed, name)
			}
		}
		slices.Sort(changed)
	}
	*a = now
	return changed
}

// annotating tells the hubs of the session's user that a command is about to change annotations of a mailbox, or ("") of the server. annotated
// is to be called when it has done it, or has failed.
func (r *request) annotating(ref backend.MailboxRef, changes []backend.MetadataEntry) (annotated func(done bool)) {
	h, hubs := r.srv.hubs, r.hubs()
	h.mu.Lock()
	for _, b := range hubs {
		b.annotating++
		b.annotatings++
	}
	h.mu.Unlock()
	return func(done bool) {
		for _, b := range hubs {
			h.announce(b.id, func(b *hub) {
				b.annotating--
				b.annotatings++
				b.stale = true // what was not looked at meanwhile
				if done {
					b.annotated(ref, changes, r.s.Handle(), h.srv.cfg.NotifyUserMailboxes)
				}
			})
		}
	}
}

// annotated takes what a session's command has changed. The caller holds hubs.mu.
func (b *hub) annotated(ref backend.MailboxRef, changes []backend.MetadataEntry, by session.Handle, max int) {
	e := &nameEvent{by: by, events: eventServerMetadata}
	for _, c := range changes {
		e.entries = append(e.entries, c.Name)
	}
	if ref.Name == "" {
		b.server.set(changes)
	} else {
		if x := b.boxes[boxName{ref.Namespace, ref.Name}]; x != nil {
			x.annotations.set(changes)
		}
		e.events = eventMetadata
		if e.now = b.listed(ref); e.now == nil {
			return
		}
	}
	b.note(e, max)
}

// note adds an event of annotations.
func (b *hub) note(e *nameEvent, max int) {
	b.version++
	e.version = b.version
	b.keep([]*nameEvent{e}, max)
}

// listed returns a mailbox of the last listing, nil if it is not there.
func (b *hub) listed(ref backend.MailboxRef) *listed {
	if b.names != nil {
		for _, m := range b.names.all {
			if m.ns.Name == ref.Namespace && m.info.Name == ref.Name {
				return m
			}
		}
	}
	return nil
}

// wantsServer reports whether any session wants to be told of the server's annotations.
func (b *hub) wantsServer() bool {
	return slices.ContainsFunc(b.sets, func(s *hubSet) bool { return s.set.others()&eventServerMetadata != 0 })
}

// allAnnotations asks for every annotation of a mailbox.
var allAnnotations = backend.MetadataQuery{Entries: []string{"/private", "/shared"}, Depth: backend.DepthInfinity}

// doubtfulAnnotations returns, by namespace, the names of mailboxes that somebody wants to know about, and whose annotations may have
// changed; the empty name is the server. Nothing while a command is changing some. The caller holds hubs.mu.
func (b *hub) doubtfulAnnotations() map[string][]string {
	names := map[string][]string{}
	server := b.wantsServer()
	for n, x := range b.boxes {
		if !x.doubtful || b.annotating > 0 {
			continue
		}
		if b.wants(x.listed)&eventMetadata != 0 {
			names[n.namespace] = append(names[n.namespace], n.name)
		}
		if server && isInbox(x.listed) {
			names[n.namespace] = append(names[n.namespace], "")
		}
	}
	return names
}

func isInbox(m *listed) bool { return m.ns.Inbox && m.info.Name == "INBOX" }

// lookAtAnnotations asks storage for the annotations of mailboxes that have changed. again: a command of this server came in between.
func (h *hubs) lookAtAnnotations(ctx context.Context, u *backend.User, b *hub) (again bool, err error) {
	h.mu.Lock()
	doubtful, before := b.doubtfulAnnotations(), b.annotatings
	h.mu.Unlock()
	for namespace, names := range doubtful {
		got, err := h.srv.metadata.GetMetadata(ctx, u, namespace, names, allAnnotations)
		if err != nil {
			return true, err
		}
		h.mu.Lock()
		if again = b.annotatings != before; !again {
			for i, name := range names {
				b.takeAnnotations(boxName{namespace, name}, &got[i], h.srv.cfg.NotifyUserMailboxes)
			}
		}
		h.mu.Unlock()
		if again {
			return true, nil
		}
	}
	return false, nil
}

// takeAnnotations notes what is different in the annotations of a mailbox, or ("") of the server. The caller holds hubs.mu.
func (b *hub) takeAnnotations(n boxName, got *backend.MailboxMetadata, max int) {
	server := n.name == ""
	if server {
		n.name = "INBOX"
	}
	x := b.boxes[n]
	if x == nil {
		return
	}
	x.doubtful = false
	e, kept := &nameEvent{now: x.listed, events: eventMetadata}, &x.annotations
	if server {
		e, kept = &nameEvent{events: eventServerMetadata}, &b.server
	}
	if got.Err != nil {
		return
	}
	if e.entries = kept.take(got.Entries); e.entries != nil {
		b.note(e, max)
	}
}

// renderMetadata returns the METADATA response without values (RFC 5464 §4.4.2).
func (e *nameEvent) renderMetadata(utf8 bool) []byte {
	b := []byte("* METADATA ")
	if e.now == nil {
		b = append(b, `""`...)
	} else {
		b = appendName(b, e.now.name, utf8)
	}
	for _, name := range e.entries {
		b = imapwire.AppendAString(append(b, ' '), name)
	}
	return append(b, "\r\n"...)
}
