package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/session"
)

// NOTIFY (RFC 5465).
//
//	notify_parse.go     the grammar and its rules
//	notify_set.go       what is kept of it with the session
//	notify_selected.go  what it means for the selected mailbox
//	notify_hub.go       other mailboxes: who is told
//	notify_refresh.go   … and of what
//	notify_names.go     names and subscriptions
//
// A session with NOTIFY sleeps like any other, and is told of changes by Event.
func runNotify(r *request) error {
	if !r.srv.boxes.CanFollow() {
		return bad("Unknown command.")
	}
	a, err := r.parseNotify()
	if err != nil {
		return err
	}
	if a.none {
		r.moveRun()
		r.dropNotify()
		r.st.Aux = notifyOn
		return nil
	}
	raw := string(a.set.append(nil))
	if most := r.srv.cfg.NotifySet; most > 0 && len(raw) > most {
		return r.srv.hubs.refuse(r.s, limitNotifySet)
	}
	if a.items != nil {
		if err := r.srv.offers.refuseItems(a.items); err != nil {
			return err
		}
	}
	modseq := a.items != nil && a.items.has(fetchModSeq)
	if modseq {
		if err := r.needModSeqs(); err != nil {
			return err
		}
	}
	var b *hub
	if a.set.others() != 0 {
		if b, err = r.srv.hubs.join(r.ctx, r.s, raw, a.set); err != nil {
			return err
		}
	}
	r.moveRun()
	r.dropNotify()
	// What has happened until now is told in any case: an implicit NOOP (§3.1).
	r.st.Aux = 0
	if err := r.refresh(); err != nil {
		r.srv.log.DebugContext(r.context(), "mailbox could not be looked at", "user", r.user().Name, "error", err)
	}
	if r.st.Proto == stateLogout {
		if b != nil {
			r.srv.hubs.leave(r.s, raw)
		}
		return errNoReply
	}
	if r.mbox != nil {
		err = r.sync(false)
	}
	if modseq {
		r.enableCondstore()
	}
	r.moveRun() // what sync has claimed
	r.st.Aux = notifyBits(a.set)
	change(r.s, func(x *extra) { x.notify = raw })
	if b != nil {
		r.beginHub(b, a.set, a.status)
	}
	return err
}

// notifyBits returns what the record says about a set, but for notifyOn if it is one of ENABLE METADATA alone.
func notifyBits(set notifySet) uint64 {
	bits := notifyOn
	if set.enabledOnly() {
		bits = 0
	}
	if g := set.forSelected(); g != nil {
		if g.events&eventMessages != 0 {
			bits |= notifyMessages
			if g.filter == filterSelected {
				bits |= notifyNow
			}
		}
		if g.events&eventFlags != 0 {
			bits |= notifyFlags
		}
		if g.fetch != "" {
			bits |= notifyFetch
		}
	}
	if set.others() != 0 {
		bits |= notifyOthers
	}
	return bits
}

// dropNotify forgets the session's set.
func (r *request) dropNotify() { r.srv.dropNotify(r.s) }

func (srv *Server) dropNotify(s *session.Session) {
	if s.Extra() == nil {
		return
	}
	raw := ""
	change(s, func(x *extra) { raw, x.notify = x.notify, "" })
	if raw != "" && s.State().Aux&notifyOthers != 0 {
		srv.hubs.leave(s, raw)
	}
	if st := s.State(); st.Aux&notifyBitsOf != 0 {
		st.Aux &= notifyOn
	}
}

// notifyRaw returns the byte form of the session's set, "" for none.
func (r *request) notifyRaw() string {
	if x, _ := r.s.Extra().(*extra); x != nil {
		return x.notify
	}
	return ""
}

// beginHub starts at the hub's present version. With status, the values of all mailboxes are told; those that may not be read are told of in any
// case (§3.1).
func (r *request) beginHub(b *hub, set notifySet, status bool) {
	h := r.srv.hubs
	var text []byte
	h.mu.Lock()
	r.st.Aux = r.st.Aux&notifyBitsOf | b.version<<notifyShift
	if b.names != nil {
		for _, m := range b.names.all {
			x := b.boxes[boxName{m.ns.Name, m.info.Name}]
			want := set.of(m)
			switch {
			case x == nil || want&(eventMessages|eventFlags) == 0:
			case x.denied:
				text = append(imapwire.AppendQuoted(append(text, `* LIST (\NoAccess) `...), m.ns.sep), ' ')
				text = append(appendName(text, m.name, r.utf8()), "\r\n"...)
			case status && x.known && !r.isSelected(m):
				text = append(text, r.statusText(x, want, want&eventFlags != 0)...)
			}
		}
	}
	h.mu.Unlock()
	r.s.Write(text)
}

// isSelected reports whether a mailbox is the selected one.
func (r *request) isSelected(m *listed) bool {
	if r.st.Proto != stateSelected {
		return false
	}
	namespace, name := r.srv.boxes.NameOf(r.s.Mailbox())
	return namespace == m.ns.Name && name == m.info.Name
}

// statusText returns the STATUS response of a mailbox with what the client wants (§5.1–§5.3). All who want the same get the same text. The caller
// holds hubs.mu.
func (r *request) statusText(x *hubBox, want notifyEvents, modseq bool) []byte {
	items := backend.StatusMessages | backend.StatusUIDNext | backend.StatusUIDValidity
	kind := uint8(0)
	if want&eventFlags != 0 {
		items |= backend.StatusUnseen
		kind |= 1
	}
	if modseq && r.srv.modseqs != nil {
		items |= backend.StatusHighestModSeq
		kind |= 2
	}
	utf8 := r.utf8()
	if utf8 {
		kind |= 4
	}
	if x.texts[kind] == nil {
		if x.texts == nil {
			x.texts = map[uint8][]byte{}
		}
		x.texts[kind] = r.appendStatus(nil, (&listOptions{utf8: utf8}).sent(x.listed), items, &x.value)
	}
	return x.texts[kind]
}

// wantsOthers reports whether the hub of the session's user has something for it.
func (srv *Server) wantsOthers(s *session.Session) bool {
	st := s.State()
	return st.Aux&notifyOthers != 0 && st.Proto != stateLogout && srv.hubs.wanted(st)
}

// notifyOthersNow tells what has happened to other mailboxes than the selected one.
func (r *request) notifyOthersNow() {
	h := r.srv.hubs
	h.mu.Lock()
	b := h.byUser[r.st.User]
	if b == nil {
		h.mu.Unlock()
		return
	}
	doubtful := !b.failed && (b.relist || b.stale)
	h.mu.Unlock()
	if doubtful {
		select {
		case b.turn <- struct{}{}:
			if _, err := h.refresh(r.ctx, r.s, b, false); err != nil {
				r.srv.log.DebugContext(r.context(), "mailboxes could not be looked at", "user", r.user().Name, "error", err)
			}
		default: // who asks signals this session
		}
	}
	h.mu.Lock()
	text, overflow := r.news(b)
	h.mu.Unlock()
	if overflow != "" {
		h.overflows.Add(1)
		r.dropNotify()
		text = []byte("* OK [NOTIFICATIONOVERFLOW] Too much to be notified of (" + overflow + ").\r\n") // §5.8
	}
	r.s.Write(text)
}

// news returns the lines of what has happened since the session's version, to which it moves. overflow names the limit by which
// the session can not be told. The caller holds hubs.mu.
func (r *request) news(b *hub) (text []byte, overflow string) {
	known := r.st.Aux >> notifyShift
	set := b.setOf(r.notifyRaw())
	switch {
	case b.full != "":
		return nil, b.full
	case set.others()&^(eventMessages|eventFlags) != 0 && b.forgot > known && known > 0:
		return nil, limitNotifyUserMailboxes
	}
	for _, e := range b.events {
		if e.version > known && e.by != r.s.Handle() && e.concerns(set) {
			text = append(text, e.text(r.utf8())...)
		}
	}
	condstore := r.enabled(enabledCondstore)
	for at := b.order.Front(); at != nil; at = at.Next() {
		x := at.Value.(*hubBox)
		if max(x.messages, x.unseen, x.modseq) <= known {
			break
		}
		want := set.of(x.listed)
		if x.changed(want, known, condstore) && !r.isSelected(x.listed) {
			text = append(text, r.statusText(x, want, condstore)...)
		}
	}
	r.st.Aux = r.st.Aux&notifyBitsOf | b.version<<notifyShift
	return text, ""
}

// changed reports whether a client that knows a version of the hub is to be told of the mailbox.
func (x *hubBox) changed(want notifyEvents, known uint64, condstore bool) bool {
	return want&eventMessages != 0 && x.messages > known || want&eventFlags != 0 && (x.unseen > known || condstore && x.modseq > known)
}

// overdue returns the line of a mailbox of whose changes the session has not been told because it was selected; nil if it wants none, or if news has one.
func (r *request) overdue(name boxName) []byte {
	h := r.srv.hubs
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.byUser[r.st.User]
	if b == nil || b.boxes[name] == nil {
		return nil
	}
	x, condstore := b.boxes[name], r.enabled(enabledCondstore)
	want := b.setOf(r.notifyRaw()).of(x.listed)
	if want&(eventMessages|eventFlags) == 0 || !x.known || x.denied || x.changed(want, r.st.Aux>>notifyShift, condstore) {
		return nil
	}
	return r.statusText(x, want, condstore)
}

// savedSet returns the set of a session that comes from another process.
func savedSet(s *session.Session) (raw string, set notifySet, err error) {
	if x, _ := s.Extra().(*extra); x != nil {
		raw = x.notify
	}
	set, err = decodeNotifySet(raw)
	return raw, set, err
}

// notifySound reports whether the extra and the record of such a session fit each other.
func (srv *Server) notifySound(s *session.Session) bool {
	raw, set, err := savedSet(s)
	bits := s.State().Aux & notifyBitsOf
	switch {
	case err != nil:
		return false
	case raw == "":
		return bits&^notifyOn == 0
	case set.enabledOnly():
		bits &^= notifyOn
	}
	return bits == notifyBits(set) && srv.boxes.CanFollow() && s.State().User != 0
}

// resumeNotify lists such a session at its user's hub. What has happened meanwhile is not known: all mailboxes are told once more.
func (srv *Server) resumeNotify(s *session.Session) {
	st := s.State()
	if st.Aux&notifyOthers == 0 {
		return
	}
	st.Aux &= notifyBitsOf
	if raw, set, err := savedSet(s); err == nil {
		srv.hubs.resume(s, raw, set)
	}
}

// resume is join without a call of storage: the first poll or change makes it.
func (h *hubs) resume(s *session.Session, raw string, set notifySet) {
	b := h.of(s)
	h.mu.Lock()
	defer h.mu.Unlock()
	b.waiting--
	b.add(s.Handle(), raw, set)
	b.relist = true
	h.sessions.Add(1)
}
