package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// annotated tells the hubs of the session's user that a command has changed annotations of a mailbox, or ("") of the server: MailboxMetadataChange and
// ServerMetadataChange (RFC 5465 §5.6, §5.7). What other programs change is not told: storage does not watch annotations.
func (r *request) annotated(ref backend.MailboxRef, changes []backend.MetadataEntry) {
	e := nameEvent{by: r.s.Handle(), events: eventServerMetadata}
	for _, c := range changes {
		e.entries = append(e.entries, c.Name)
	}
	for _, b := range r.hubs() {
		r.srv.hubs.announce(b.id, func(b *hub) {
			own := e
			if ref.Name != "" {
				own.events = eventMetadata
				if own.now = b.listed(ref); own.now == nil {
					return
				}
			}
			b.version++
			own.version = b.version
			b.keep([]*nameEvent{&own}, r.srv.cfg.NotifyUserMailboxes)
		})
	}
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
