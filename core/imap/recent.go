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
	return m.Claimed(owner(r.s)).With(recentRun(r.st))
}

// claim makes what is \Recent for nobody yet, of a view that the session is about to be told of, the session's, if it may change the
// mailbox. What the session knows already, below from, stays as it is. A failure
// is no reason to fail a command: the messages are \Recent for nobody then.
func (r *request) claim(m *mailbox.Mailbox, v *mailbox.View, from imap.UID) error {
	if !r.mayWrite() || !m.HasUnclaimed(v) {
		return nil
	}
	run, err := m.Claim(r.ctx, r.srv.writer, from)
	if err != nil {
		r.srv.log.DebugContext(r.context(), "recent messages could not be claimed", "user", r.user().Name, "error", err)
		return err
	}
	r.keepRun(m, run)
	return nil
}

// claimSaved makes what APPEND has claimed the session's, but for what it knows already, below from.
func (r *request) claimSaved(m *mailbox.Mailbox, from imap.UID) {
	run := r.saved
	r.saved, run.First = mailbox.Run{}, max(run.First, from)
	r.keepRun(m, run)
}

// keepRun remembers what the session has claimed.
func (r *request) keepRun(m *mailbox.Mailbox, run mailbox.Run) {
	if run.Empty() {
		return
	}
	if !rememberRun(r.st, run) {
		m.KeepRun(owner(r.s), run)
	}
	r.st.Flags |= flagRecent
}

// runBits is how many bits the length of a run has in State.Aux.
const runBits = 24

// recentRun returns the run of \Recent messages that the session itself remembers. Most have claimed one run, and no NOTIFY: they have it in State.Aux
// above the bits of NOTIFY, which are zero, first UID and length, and cost their mailbox nothing.
func recentRun(st *session.State) mailbox.Run {
	if st.Flags&flagRecent == 0 || st.Aux&notifyBitsOf != 0 {
		return mailbox.Run{}
	}
	run := st.Aux >> notifyShift
	first := imap.UID(run >> runBits)
	return mailbox.Run{First: first, Next: first + imap.UID(run&(1<<runBits-1))}
}

// rememberRun has the session remember one more run, which is not empty. It returns false if there is no room for it.
func rememberRun(st *session.State, run mailbox.Run) bool {
	if st.Aux&notifyBitsOf != 0 {
		return false
	}
	if before := recentRun(st); !before.Empty() {
		if before.Next != run.First {
			return false
		}
		run.First = before.First
	}
	n := uint64(run.Next - run.First)
	if n >= 1<<runBits {
		return false
	}
	st.Aux = (uint64(run.First)<<runBits | n) << notifyShift
	return true
}

// forgetRun makes that the session remembers no run.
func forgetRun(st *session.State) {
	if st.Aux&notifyBitsOf == 0 {
		st.Aux = 0
	}
}

// moveRun has the mailbox keep what the session remembers of \Recent messages, which needs the room for NOTIFY. Without the
// mailbox they are not \Recent any more.
func (r *request) moveRun() {
	run := recentRun(r.st)
	if run.Empty() {
		return
	}
	m := r.mbox
	if m == nil {
		var err error
		if m, err = r.srv.boxes.Wake(r.ctx, r.s.Mailbox()); err != nil {
			r.srv.log.DebugContext(r.context(), "recent messages are forgotten", "user", r.user().Name, "error", err)
			return
		}
		defer m.Release()
	}
	forgetRun(r.st)
	m.KeepRun(owner(r.s), run)
}
