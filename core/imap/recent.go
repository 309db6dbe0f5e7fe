package imap

import (
	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

// owner names a session among those that have claimed \Recent messages of a mailbox.
func owner(s *session.Session) uint64 { return uint64(s.Handle()) }

// recent returns what is \Recent for the session (RFC 3501 §2.3.2), of a view of its mailbox: what it has claimed, or, if
// it may not change the mailbox, what nobody has claimed. IMAP4rev2 has no \Recent (RFC 9051 Appendix E).
func (r *request) recent(v *mailbox.View) mailbox.Recent {
	if r.enabled(enabledRev2) {
		return mailbox.Recent{}
	}
	if !r.mayWrite() {
		return v.Unclaimed()
	}
	return r.claimed(r.mbox)
}

// claimed returns what the session has claimed of its mailbox.
func (r *request) claimed(m *mailbox.Mailbox) mailbox.Recent {
	if r.st.Flags&flagRecent == 0 {
		return mailbox.Recent{}
	}
	return m.Claimed(owner(r.s))
}

// claim makes what is \Recent for nobody yet, of a view that the session is about to be told of, the session's, if it may change the
// mailbox. What the session knows already, below from, stays as it is. A failure
// is no reason to fail a command: the messages are \Recent for nobody then.
func (r *request) claim(m *mailbox.Mailbox, v *mailbox.View, from imap.UID) error {
	if !r.mayWrite() || !m.HasUnclaimed(v) {
		return nil
	}
	claimed, err := m.Claim(r.ctx, r.srv.writer, owner(r.s), from)
	if err != nil {
		r.srv.log.DebugContext(r.context(), "recent messages could not be claimed", "user", r.user().Name, "error", err)
		return err
	}
	if claimed {
		r.st.Flags |= flagRecent
	}
	return nil
}
