package imap

import (
	"errors"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// follow tells the client, after a command, what happened to the selected mailbox. A mailbox that sleeps is not woken if there is
// nothing to tell, and a failure to wake it is left to a command that needs it.
func (r *request) follow(noExpunge bool) error {
	if r.frozen() && r.own == nil {
		return nil
	}
	if r.mbox == nil && (r.fresh || r.srv.boxes.Told(r.s.Mailbox(), r.st.View)) {
		return nil
	}
	if _, err := r.hold(); err != nil {
		if !errors.Is(err, errNoReply) {
			r.srv.log.DebugContext(r.context(), "mailbox could not be looked at", "user", r.user().Name, "error", err)
			return nil
		}
		return err
	}
	if !r.fresh {
		r.announced()
	}
	return r.sync(noExpunge)
}

// announced fetches a change that is known to be there. Whether there is one
// that nobody has announced is asked by NOOP, CHECK and IDLE only. A failure is left to them, too.
func (r *request) announced() {
	if r.mbox.Stale() {
		if err := r.mbox.Refresh(r.ctx); err != nil {
			r.srv.log.DebugContext(r.context(), "mailbox could not be looked at", "user", r.user().Name, "error", err)
		}
	}
}

// sync tells the client what happened to the selected mailbox, which is held, since it was last
// told, and moves the session to that version.
func (r *request) sync(noExpunge bool) error {
	m := r.mbox
	frozen := r.frozen()
	had := r.claimed(m)
	u, err := m.Catchup(r.st.View, noExpunge)
	if err != nil {
		return r.lost(err)
	}
	r.claimSaved(m, u.From.UIDNext)
	if r.mayWrite() && !frozen && m.HasUnclaimed(u.To) && r.claim(m, u.To, u.From.UIDNext) == nil {
		// The claim is a version of its own. Others may have arrived with it, which nobody has claimed.
		if v, err := m.Catchup(r.st.View, noExpunge); err == nil && v.To.UIDNext == u.To.UIDNext {
			u = v
		}
	}
	if frozen && r.own == nil {
		return nil
	}
	if u.From == u.To && r.own == nil {
		if r.enabled(enabledQresync) {
			r.highest = highest(r.told, u.To.HighestModSeq, u.To.HighestModSeq, false)
		}
		return nil
	}
	if frozen {
		u = r.onlyOwn(u)
	}
	recent := r.recent(u.To)
	t := updateText{u: u, condstore: r.enabled(enabledCondstore), qresync: r.enabled(enabledQresync), mayWrite: r.mayWrite(), recent: recent,
		rights: r.permanentRights(u)}
	t.uid = t.condstore || r.st.Aux&notifyOn != 0 || r.enabled(enabledRev2) // RFC 7162 §3.2.4, RFC 5465 §5.1, RFC 9051 §7.5.2
	t.uidOnly = r.enabled(enabledUIDOnly)
	t.frozen, t.ownFlags = frozen, r.st.Aux&(notifyOn|notifyFlags) == notifyOn
	t.uid = t.uid || r.cmd != nil && r.cmd.name == "UID STORE" // RFC 3501 §6.4.8; also if storage has failed in the midst of it
	if r.own != nil {
		t.own = r.own.story(m, u)
		t.uid = t.uid || r.cmd.uid
	}
	if t.qresync {
		always := len(u.Expunged) > 0 && r.cmd != nil && strings.HasSuffix(r.cmd.name, "EXPUNGE") // RFC 7162 §3.2.7, §3.2.9
		r.highest = highest(max(r.told, t.told()), u.From.HighestModSeq, u.To.HighestModSeq, always)
	}
	if t.ownFlags {
		r.highest = 0 // there are changes that the client does not want to know
	}
	var contexts *contextStep
	if !frozen {
		contexts = r.contextStep(u)
	}
	contexts.expunged()
	if t.shared() {
		r.s.Write(m.Memo(t.key(), t.render))
	} else {
		r.s.Write(t.render())
	}
	if frozen {
		return nil
	}
	if !r.mayWrite() {
		had = u.From.Unclaimed()
	}
	if n := recent.Count(u.To); n != had.Count(u.From) && !r.enabled(enabledRev2) { // RFC 9051 Appendix E
		b := r.s.Buffer()
		*b = appendCount(*b, n, " RECENT\r\n")
		r.s.Commit()
	}
	m.Advance(u.From.Version, u.To.Version)
	r.st.View = u.To.Version
	contexts.changed()
	if r.st.Aux&notifyFetch != 0 && u.Appended() > 0 {
		r.fetchNew(u)
	}
	return nil
}

// appendCount appends a message count or number and its word, with CRLF (RFC 3501 §7.3, §7.4.1).
func appendCount(b []byte, n uint32, word string) []byte {
	b = append(b, "* "...)
	b = imapwire.AppendNumber(b, uint64(n))
	return append(b, word...)
}

// appendFlags appends the FLAGS item of a message of v, or of an older view of
// the same mailbox (RFC 3501 §7.4.2).
func appendFlags(b []byte, v *mailbox.View, m mailbox.Message, recent mailbox.Recent) []byte {
	b = append(b, "FLAGS ("...)
	b = append(b, v.FlagSet(m.Flags).Text(recent.Has(m.UID))...)
	return append(b, ')')
}

// appendModSeq appends the MODSEQ item (RFC 7162 §3.1.6).
func appendModSeq(b []byte, modseq uint64) []byte {
	b = append(b, "MODSEQ ("...)
	b = imapwire.AppendNumber(b, modseq)
	return append(b, ')')
}

// appendFlagsLines appends the FLAGS response and the PERMANENTFLAGS code (RFC 3501 §7.2.6, §7.1).
func appendFlagsLines(b []byte, v *mailbox.View, rights backend.Rights) []byte {
	b = appendFlagNames(append(b, "* FLAGS ("...), v)
	b = append(b, ")\r\n* OK [PERMANENTFLAGS ("...)
	switch rights & flagRights {
	case 0:
		return append(b, ")] Read-only mailbox.\r\n"...)
	case flagRights:
		b = append(appendFlagNames(b, v), ` \*`...)
	default:
		b = appendPermitted(b, v, rights)
	}
	return append(b, ")] Flags permitted.\r\n"...)
}

// appendPermitted appends the flags that somebody with these rights may change (RFC 4314 §5.1.1).
func appendPermitted(b []byte, v *mailbox.View, rights backend.Rights) []byte {
	start := len(b)
	if rights&backend.RightWrite != 0 {
		b = append(b, `\Answered \Flagged \Draft `...)
		b = appendKeywordNames(b, v)
		b = append(b, `\* `...)
	}
	if rights&backend.RightWriteDeleted != 0 {
		b = append(b, `\Deleted `...)
	}
	if rights&backend.RightWriteSeen != 0 {
		b = append(b, `\Seen `...)
	}
	return b[:max(start, len(b)-1)]
}

// appendKeywordNames appends the keywords that messages of a view may have, each with a space behind it.
func appendKeywordNames(b []byte, v *mailbox.View) []byte {
	for _, k := range v.Keywords {
		if mailbox.ValidKeyword(k) {
			b = append(append(b, k...), ' ')
		}
	}
	return b
}

// appendFlagNames appends the flags that messages of a view may have.
func appendFlagNames(b []byte, v *mailbox.View) []byte {
	b = append(b, `\Answered \Flagged \Deleted \Seen \Draft`...)
	for _, k := range v.Keywords {
		if mailbox.ValidKeyword(k) {
			b = append(append(b, ' '), k...)
		}
	}
	return b
}
