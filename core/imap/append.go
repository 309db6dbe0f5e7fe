package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/session"
)

// APPEND (RFC 3501 §6.3.11, MULTIAPPEND RFC 3502 §6.3.11): "APPEND" SP mailbox 1*(SP [flag-list SP] [date-time SP] data), where data is a
// literal, or "UTF8" SP "(" literal8 ")" (RFC 6855 §4).
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
	var first backend.MailboxRef // where the first message goes; none: this is a later one

	if err := r.refuseSave(len(r.s.Bodies())+1, false); err != nil {
		return 0, err
	}
	if bodies := r.s.Bodies(); len(bodies) > 0 { // all before the last one was checked when that was announced
		last := bodies[len(bodies)-1]
		r.d.Skip(last.At + last.Kept - r.d.Pos())
		r.d.TryByte(')') // of UTF8; appendArguments knows whether it belongs here
	} else {
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
	}
	m, nonSync, utf8 := r.appendMessage()
	if err := r.end(); err != nil { // also if this is not the literal that was announced
		return 0, err
	}
	if err := r.checkKeywords(m.Keywords); err != nil {
		return 0, err
	}
	if utf8 && !r.enabled(enabledUTF8) {
		return 0, no("", "UTF8=ACCEPT is not enabled.")
	}
	if m.Size == 0 { // in words of Dovecot; RFC 3502 §6.3.11 lets a client cancel the command so
		return 0, no("", "Can't save a zero byte message.")
	}
	// With access control lists the right to append is not that to ask.
	if nonSync || first.Name == "" || m.Size < askFrom || r.srv.acl != nil {
		return session.LiteralSpool, nil
	}
	return r.askMailbox(raw, first)
}

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
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	var result *backend.AppendResult
	r.during(func() {
		result, err = r.srv.writer.Append(r.ctx, &backend.AppendRequest{Mailbox: ref, Messages: messages})
	})
	if err != nil {
		if backend.KindOf(err) == backend.KindNotFound {
			r.srv.boxes.Wrote(ref) // if somebody has it open, it is not what they think
			return noDestination(raw)
		}
		return err
	}
	r.srv.boxes.Wrote(ref)
	r.added(ref, result.UIDs)
	r.ok.code = appendUID(result)
	return nil
}

// appendUID returns the response code APPENDUID (RFC 4315 §3), "" if storage does not tell the UIDs.
func appendUID(a *backend.AppendResult) string {
	if a.UIDValidity == 0 || len(a.UIDs) == 0 {
		return ""
	}
	b := imapwire.AppendNumber([]byte("APPENDUID "), uint64(a.UIDValidity))
	return string(imapwire.AppendNumSet(append(b, ' '), imapwire.RangesOf(a.UIDs)))
}

// appendArguments reads the whole command.
func (r *request) appendArguments() (raw []byte, messages []backend.AppendMessage, err error) {
	r.d.SP()
	raw = r.d.Mailbox()
	bodies := r.s.Bodies()
	for i, body := range bodies {
		m, _, utf8 := r.appendMessage()
		if r.d.OK() && r.d.Pos() != body.At { // not what literalAppend has seen
			r.d.Fail("unexpected literal")
		}
		r.d.Skip(body.Kept)
		if utf8 {
			r.d.Byte(')')
		}
		m.Body = r.s.OpenBody(i)
		messages = append(messages, m)
	}
	if len(bodies) == 0 {
		r.appendMessage()
		r.d.Fail("expected literal")
	}
	return raw, messages, r.end()
}

// appendMessage reads SP [flag-list SP] [date-time SP], and the announcement of the literal with what is before it. utf8: a ")" follows the literal.
func (r *request) appendMessage() (m backend.AppendMessage, nonSync, utf8 bool) {
	r.d.SP()
	if r.d.Peek() == '(' {
		m.Flags, m.Keywords = r.storedFlags()
		r.d.SP()
	}
	if r.d.Peek() == '"' {
		if m.InternalDate = r.d.DateTime().Unix(); m.InternalDate == 0 {
			m.InternalDate = 1 // 0 stands for now
		}
		r.d.SP()
	}
	if utf8 = r.d.TryWord("UTF8"); utf8 {
		r.d.SP()
		r.d.Byte('(')
		r.d.Byte('~')
	}
	m.Size, nonSync = r.d.Announcement()
	return m, nonSync, utf8
}
