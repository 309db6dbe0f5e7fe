package imap

import "github.com/roostmail/roost/core/backend"

// Elsewhere tells that another server has changed a mailbox: what is known of it here may not be true any more. Sessions that have it
// selected, or are told of it by NOTIFY, look for themselves. Nothing is believed of c but its names and kinds.
func (srv *Server) Elsewhere(c backend.MailboxChange) {
	hubs := srv.hubs.allOf(c.User)
	ids := make([]uint32, len(hubs))
	for i, b := range hubs {
		ids[i] = b.id
	}
	below := c.Kinds.OfNames()
	ref := backend.MailboxRef{User: &backend.User{Name: c.User}, Namespace: c.Namespace, Name: c.Mailbox}
	srv.boxes.Elsewhere(ref, below, ids)
	if c.OldMailbox != "" {
		ref.Name = c.OldMailbox
		srv.boxes.Elsewhere(ref, below, ids)
	}
	if below {
		srv.hubs.relist(ids)
	}
}

// ElsewhereLost tells that other servers may have changed anything.
func (srv *Server) ElsewhereLost() {
	srv.boxes.ElsewhereLost()
	h := srv.hubs
	h.mu.Lock()
	ids := make([]uint32, 0, len(h.byID))
	for id := range h.byID {
		ids = append(ids, id)
	}
	h.mu.Unlock()
	h.relist(ids)
}

// relist makes hubs list their names anew.
func (h *hubs) relist(ids []uint32) {
	for _, id := range ids {
		h.announce(id, func(b *hub) { b.relist, b.failed = true, false })
	}
}
