package imap

import (
	"slices"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// announced fetches a change that is known to be there. Whether there is one
// that nobody has announced is asked by NOOP, CHECK and IDLE only. A failure is left to them, too.
func (r *request) announced() {
	if m := r.srv.boxes.Get(r.s.Mailbox()); m != nil && m.Stale() {
		if err := m.Refresh(r.ctx); err != nil {
			r.srv.log.Debug("mailbox could not be looked at", "user", r.user().Name, "error", err)
		}
	}
}

// sync tells the client what happened to the selected mailbox since it was last
// told, and moves the session to that version.
func (r *request) sync(noExpunge bool) error {
	m := r.srv.boxes.Get(r.s.Mailbox())
	u, err := m.Catchup(r.st.View, noExpunge)
	if err != nil {
		return r.lost(err)
	}
	if u.From == u.To {
		return nil
	}
	condstore := r.st.Enabled&enabledCondstore != 0
	key := mailbox.MemoKey{From: u.From.Version, To: u.To.Version}
	if condstore {
		key.Kind = 1
	}
	r.s.Write(m.Memo(key, func() []byte { return renderUpdate(u, condstore) }))
	m.Advance(u.From.Version, u.To.Version)
	r.st.View = u.To.Version
	return nil
}

// renderUpdate returns the untagged responses of an update, in Dovecot's order:
// sequence numbers of FETCH and EXPUNGE are those of u.From, descending in the
// case of EXPUNGE, so that none has to be adjusted (RFC 3501 §7.4.1).
func renderUpdate(u *mailbox.Update, condstore bool) []byte {
	var b []byte
	if u.NewKeywords() {
		b = appendFlagsLines(b, u.To)
	}
	for _, c := range u.Changed {
		if c.FlagsSame && !condstore {
			continue
		}
		b = append(b, "* "...)
		b = imapwire.AppendNumber(b, uint64(c.Seq))
		b = append(b, " FETCH ("...)
		if condstore { // RFC 7162 §3.2
			b = appendModSeq(b, c.ModSeq)
			b = append(b, ' ')
		}
		b = appendFlags(b, u.To, c.Message)
		b = append(b, ")\r\n"...)
	}
	for _, seq := range slices.Backward(u.Expunged) {
		b = appendCount(b, uint32(seq), " EXPUNGE\r\n")
	}
	if u.Appended() > 0 {
		b = appendCount(b, u.To.Len(), " EXISTS\r\n")
	}
	if n := u.To.Recent(); n != u.From.Recent() {
		b = appendCount(b, n, " RECENT\r\n")
	}
	return b
}

// appendCount appends a message count or number and its word, with CRLF (RFC 3501 §7.3, §7.4.1).
func appendCount(b []byte, n uint32, word string) []byte {
	b = append(b, "* "...)
	b = imapwire.AppendNumber(b, uint64(n))
	return append(b, word...)
}

// appendFlags appends the FLAGS item of a message of v, or of an older view of
// the same mailbox (RFC 3501 §7.4.2).
func appendFlags(b []byte, v *mailbox.View, m mailbox.Message) []byte {
	b = append(b, "FLAGS ("...)
	b = append(b, v.FlagSet(m.Flags).Text(v.IsRecent(m.UID))...)
	return append(b, ')')
}

// appendModSeq appends the MODSEQ item (RFC 7162 §3.1.6).
func appendModSeq(b []byte, modseq uint64) []byte {
	b = append(b, "MODSEQ ("...)
	b = imapwire.AppendNumber(b, modseq)
	return append(b, ')')
}

// appendFlagsLines appends the FLAGS response and the PERMANENTFLAGS code (RFC 3501 §7.2.6, §7.1).
func appendFlagsLines(b []byte, v *mailbox.View) []byte {
	b = append(b, `* FLAGS (\Answered \Flagged \Deleted \Seen \Draft`...)
	for _, k := range v.Keywords {
		if mailbox.ValidKeyword(k) {
			b = append(append(b, ' '), k...)
		}
	}
	return append(b, ")\r\n* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n"...)
}
