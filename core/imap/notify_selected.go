package imap

import (
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

// wantsSelected reports whether the session is to be told now of what has happened to its mailbox: in IDLE (RFC 2177 §3), and
// with NOTIFY SELECTED at any time. Others learn of it with their next command.
func (srv *Server) wantsSelected(s *session.Session) bool {
	st := s.State()
	if s.Mailbox() == 0 || st.Flags&flagIdle == 0 && st.Aux&notifyNow == 0 {
		return false
	}
	return st.Aux&(notifyOn|notifyMessages) != notifyOn && srv.boxes.News(s.Mailbox(), st.View)
}

// frozen reports whether the client does not want to be told of the selected mailbox: NOTIFY without SELECTED (RFC 5465 §3.1, §5). Its
// view stays as it is, a snapshot, until NOTIFY says otherwise, or a command removes messages, whose
// sequence numbers must be told.
func (r *request) frozen() bool {
	if r.st.Aux&(notifyOn|notifyMessages) != notifyOn {
		return false
	}
	return r.cmd == nil || !strings.HasSuffix(r.cmd.name, "EXPUNGE") && !strings.HasSuffix(r.cmd.name, "MOVE")
}

// deselect closes the selected mailbox. What has happened there, and was to be told later (SELECTED-DELAYED), is told as of any other
// mailbox, which it is from now on (RFC 5465 §6.1.2). Who wanted to know nothing of the selected mailbox does not learn of it (§3.1).
func (r *request) deselect() {
	id := r.s.Mailbox()
	untold := r.st.Aux&notifyOthers != 0 && r.st.Aux&notifyMessages != 0 && r.srv.boxes.News(id, r.st.View)
	namespace, name := r.srv.boxes.NameOf(id)
	r.srv.closeMailbox(r.s)
	if untold {
		r.s.Write(r.overdue(boxName{namespace, name}))
	}
}

// onlyOwn returns what of an update the command itself did to flags.
func (r *request) onlyOwn(u *mailbox.Update) *mailbox.Update {
	only := &mailbox.Update{From: u.From, To: u.To}
	for _, c := range u.Changed {
		if _, mine := slices.BinarySearch(r.own.uids, uint32(c.UID)); mine {
			only.Changed = append(only.Changed, c)
		}
	}
	return only
}

// added notes the UIDs of messages that the command has put into a mailbox: the client knows of them (RFC 5465 §5.2).
func (r *request) added(to backend.MailboxRef, uids []uint32) {
	if r.st.Aux&notifyFetch == 0 || r.st.Proto != stateSelected {
		return
	}
	if namespace, name := r.srv.boxes.NameOf(r.s.Mailbox()); namespace == to.Namespace && name == to.Name {
		r.put = slices.Sorted(slices.Values(uids))
	}
}

// fetchNew sends the attributes that the client wants of messages that were added (RFC 5465 §5.2).
func (r *request) fetchNew(u *mailbox.Update) {
	set, err := decodeNotifySet(r.notifyRaw())
	if err != nil || set.forSelected() == nil {
		return
	}
	args, err := set.forSelected().items()
	if err != nil || args == nil {
		return
	}
	var ranges []mailbox.SeqRange
	for seq := u.To.Len() - u.Appended() + 1; seq <= u.To.Len(); seq++ {
		m, _ := u.To.Message(mailbox.SeqNum(seq))
		if _, own := slices.BinarySearch(r.put, uint32(m.UID)); own {
			continue
		}
		if n := len(ranges); n > 0 && uint32(ranges[n-1].Last) == seq-1 {
			ranges[n-1].Last = mailbox.SeqNum(seq)
		} else {
			ranges = append(ranges, mailbox.SeqRange{First: mailbox.SeqNum(seq), Last: mailbox.SeqNum(seq)})
		}
	}
	if len(ranges) == 0 {
		return
	}
	r.fetchUnasked(u.To, args, ranges)
}

// fetchUnasked sends FETCH responses to a client that has sent no FETCH. \Seen is not set. What such responses always have is added.
func (r *request) fetchUnasked(v *mailbox.View, args *fetchArgs, ranges []mailbox.SeqRange) {
	if r.enabled(enabledCondstore) || r.enabled(enabledRev2) { // RFC 7162 §3.2.4, RFC 9051 §7.5.2
		if !r.enabled(enabledUIDOnly) {
			args.addWord("UID")
		}
		if r.enabled(enabledCondstore) {
			args.addWord("MODSEQ")
		}
	}
	f := r.srv.newFetch(r.ctx, v, r.mbox.Ref(), r.s)
	f.recent, f.uidOnly = r.recent(v), r.enabled(enabledUIDOnly)
	if err := f.execute(args, ranges); err != nil {
		r.logError(err)
	}
	if f.broken { // in the middle of a response: nothing else can be said
		r.st.Proto = stateLogout
		r.s.Close()
	}
}
