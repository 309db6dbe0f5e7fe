package imap

import (
	"bytes"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

// APPEND (RFC 3501 §6.3.11, MULTIAPPEND RFC 3502 §6.3.11): "APPEND" SP mailbox 1*(SP [flag-list SP] [date-time SP] append-data).
//
//	append_parse.go  its grammar
//	catenate.go      messages that are put together (RFC 4469)
//	replace.go       REPLACE, which takes the same arguments (RFC 8508)
//
// The literals are bodies of the session (session.LiteralSpool): large ones are in a file, not in the command.

// appendAppendLimit appends the STATUS item, which is the same for all mailboxes (RFC 7889 §3).
func (srv *Server) appendAppendLimit(b []byte) []byte {
	b = append(b, "APPENDLIMIT "...)
	if srv.cfg.AppendLimit == 0 {
		return append(b, "NIL"...)
	}
	return imapwire.AppendNumber(b, srv.cfg.AppendLimit)
}

// literalAppend checks what was received of the command, before the literal is sent.
func literalAppend(r *request) (session.LiteralAnswer, error) {
	var raw []byte
	var first backend.MailboxRef // where the first message goes; none: this is a later literal

	p := r.appendParser()
	if len(p.bodies) > 0 {
		p.rest()
	} else {
		r.replaced()
		r.d.SP()
		if r.d.AtAnnouncement() { // of the mailbox's name
			return session.LiteralAccept, nil
		}
		raw = r.d.Mailbox()
		err := r.d.Err()
		if err == nil {
			first, err = r.ref(raw)
		}
		if err != nil {
			return 0, err
		}
		p.all()
	}
	ask := p.asked
	if ask == nil { // this is not the literal that was announced
		r.d.SP()
		r.d.Fail("unexpected literal")
		return 0, r.d.Err()
	}
	if ask.inline {
		return session.LiteralAccept, nil
	}
	// With CATENATE literals are no messages: these are counted when all are there.
	if err := r.refuseSave(len(p.bodies)+1, false); err != nil && !bytes.Contains(bytes.ToUpper(r.d.Since(0)), []byte("CATENATE")) {
		return 0, err
	}
	m := &ask.message
	for _, m := range append(p.messages, *m) {
		if err := r.checkKeywords(m.Keywords); err != nil {
			return 0, err
		}
	}
	if m.utf8 && !r.enabled(enabledUTF8) {
		return 0, no("", "UTF8=ACCEPT is not enabled.")
	}
	if ask.size == 0 && !ask.part {
		return 0, errEmptyMessage
	}
	// With access control lists the right to append is not that to ask.
	if ask.nonSync || first.Name == "" || ask.size < askFrom || r.srv.acl != nil {
		return session.LiteralSpool, nil
	}
	return r.askMailbox(raw, first)
}

// errEmptyMessage is in words of Dovecot; RFC 3502 §6.3.11 lets a client cancel the command so.
var errEmptyMessage = no("", "Can't save a zero byte message.")

// askFrom is the size in octets of messages that are not asked for before it is known that there is a mailbox for them.
const askFrom = 16 << 10

// askMailbox refuses the command's first message if its mailbox does not exist.
func (r *request) askMailbox(raw []byte, ref backend.MailboxRef) (session.LiteralAnswer, error) {
	const items = backend.StatusUIDValidity
	if _, ok := r.srv.boxes.KnownStatus(ref, items); ok {
		return session.LiteralSpool, nil
	}
	if r.ctx == nil {
		return session.LiteralAsk, nil
	}
	all, err := r.srv.boxes.Status(r.ctx, ref.User, ref.Namespace, []string{ref.Name}, items)
	if err == nil && all[0].Err != nil {
		err = all[0].Err
	}
	if err != nil {
		switch backend.KindOf(err) {
		case backend.KindNotFound:
			return 0, noDestination(raw)
		case backend.KindUnavailable, backend.KindNoPermission:
			return 0, err
		}
	}
	return session.LiteralSpool, nil // Append has the last word
}

// noDestination is the answer for a mailbox that does not exist, and that the client may create (RFC 3501 §6.3.11).
func noDestination(raw []byte) error { return no("TRYCREATE", "Mailbox doesn't exist: "+string(raw)) }

func runAppend(r *request) error {
	raw, messages, err := r.appendArguments()
	if err != nil {
		return err
	}
	if err := r.refuseSave(len(messages), false); err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	list, err := r.bodiesOf(messages)
	if err != nil {
		return err
	}
	result, err := r.appendTo(&backend.AppendRequest{Mailbox: ref, Messages: list})
	if err != nil {
		if backend.KindOf(err) == backend.KindNotFound {
			r.wrote(ref, 0) // if somebody has it open, it is not what they think
			return noDestination(raw)
		}
		return err
	}
	r.wrote(ref, backend.ChangeAppended)
	r.added(ref, result.UIDs)
	r.respelled(ref, raw, raw, "")
	r.ok.code = appendUID(result)
	return nil
}

// appendTo is the call. If it is the selected mailbox that the messages come to, its answer tells what sync is about to tell the client, and what
// is \Recent for it.
func (r *request) appendTo(req *backend.AppendRequest) (result *backend.AppendResult, err error) {
	save := func(since []byte) (*backend.Changes, error) {
		req.Since = since
		r.during(func() { result, err = r.srv.writer.Append(r.ctx, req) })
		if err != nil {
			return nil, err
		}
		r.saved = mailbox.Run{First: imap.UID(result.ClaimedFirst), Next: imap.UID(result.ClaimedNext)}
		return result.Changed, nil
	}
	if !r.holdsSelected(req.Mailbox) {
		_, err = save(nil)
		return result, err
	}
	req.Claim = r.mayWrite()
	_, err = r.mbox.Change(r.ctx, save)
	r.fresh = err == nil
	return result, err
}

// holdsSelected reports whether ref is the selected mailbox, of whose changes the client is told, and holds it then. A mailbox that is lost is left to follow.
func (r *request) holdsSelected(ref backend.MailboxRef) bool {
	if r.st.Proto != stateSelected || r.frozen() {
		return false
	}
	if namespace, name := r.srv.boxes.NameOf(r.s.Mailbox()); namespace != ref.Namespace || name != ref.Name {
		return false
	}
	if r.mbox == nil {
		m, err := r.srv.boxes.Wake(r.ctx, r.s.Mailbox())
		if err != nil {
			return false
		}
		r.mbox = m
	}
	return true
}

// appendUID returns the response code APPENDUID (RFC 4315 §3), "" if storage does not tell the UIDs.
func appendUID(a *backend.AppendResult) string {
	if a.UIDValidity == 0 || len(a.UIDs) == 0 {
		return ""
	}
	b := imapwire.AppendNumber([]byte("APPENDUID "), uint64(a.UIDValidity))
	return string(imapwire.AppendNumSet(append(b, ' '), imapwire.RangesOf(a.UIDs)))
}

// appendArguments reads the whole command, behind what is REPLACE's own.
func (r *request) appendArguments() (raw []byte, messages []appended, err error) {
	r.d.SP()
	raw = r.d.Mailbox()
	p := r.appendParser()
	p.all()
	if p.asked != nil || len(p.messages) == 0 || p.next < len(p.bodies) {
		r.d.Fail("expected literal")
	}
	return raw, p.messages, r.end()
}
