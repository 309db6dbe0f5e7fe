package imap

import (
	"errors"
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// needModSeqs refuses what is about modseqs if storage keeps none: the mailbox was selected with NOMODSEQ (RFC 7162 §3.1.2.2).
func (r *request) needModSeqs() error {
	if r.srv.modseqs == nil {
		return bad("Mailbox has no mod-sequences.")
	}
	return nil
}

// enableCondstore turns CONDSTORE on for the rest of the session: by ENABLE, by
// SELECT or EXAMINE with the parameter, STATUS (HIGHESTMODSEQ), FETCH or SEARCH
// MODSEQ, FETCH CHANGEDSINCE, or STORE UNCHANGEDSINCE. If a mailbox is selected, its HIGHESTMODSEQ is
// told, since SELECT may not have (RFC 7162 §3.1).
func (r *request) enableCondstore() {
	if r.enabled(enabledCondstore) || r.srv.modseqs == nil {
		return
	}
	r.st.Enabled |= enabledCondstore
	if r.st.Proto != stateSelected {
		return
	}
	r.keepModSeqs()
	r.passModSeqs()
	modseq, ok := r.srv.boxes.ModSeqAt(r.s.Mailbox(), r.st.View)
	if !ok {
		return // the next command that looks at the mailbox tells
	}
	b := r.s.Buffer()
	*b = appendCode(*b, "HIGHESTMODSEQ", modseq, "Highest")
	r.s.Commit()
}

// mustWait reports whether CONDSTORE can only be enabled on a worker, because storage has to be told.
func (r *request) mustWait() bool {
	return r.st.Proto == stateSelected && !r.enabled(enabledCondstore) && r.srv.modseqs != nil && !r.srv.boxes.HasModSeqs(r.s.Mailbox())
}

// keepModSeqs makes storage keep a modseq for each message of the selected mailbox. If that fails, messages have
// that of the mailbox: clients get more than they need, but nothing is missing.
func (r *request) keepModSeqs() {
	if r.srv.modseqs == nil || r.srv.boxes.HasModSeqs(r.s.Mailbox()) { // nil: since the session was taken over
		return
	}
	m, err := r.hold()
	if err == nil {
		err = m.EnableModSeqs(r.ctx, r.srv.modseqs)
	}
	switch {
	case err == nil:
	case errors.Is(err, errNoReply): // the session ends
		return
	case backend.KindOf(err) == backend.KindReadOnly, backend.KindOf(err) == backend.KindNoPermission:
	default:
		r.logError(err)
	}
	if v, err := m.At(r.st.View); err == nil && r.view != nil {
		r.view = v // with the modseqs
	}
}

// passModSeqs moves the session over what is nothing but new modseqs, such as those that all messages got when storage began to keep
// them: the client did not want to know any until now, and has no old ones to correct.
func (r *request) passModSeqs() {
	if r.mbox == nil {
		return
	}
	u, err := r.mbox.Catchup(r.st.View, false)
	if err != nil || u.From == u.To || len(u.Expunged) > 0 || u.Appended() > 0 || u.NewKeywords() ||
		slices.ContainsFunc(u.Changed, func(c mailbox.Changed) bool { return !c.FlagsSame }) {
		return
	}
	r.mbox.Advance(u.From.Version, u.To.Version)
	r.st.View = u.To.Version
	if r.view != nil {
		r.view = u.To
	}
}

// highest returns the HIGHESTMODSEQ that a client may take for what it knows now, 0 if it has not to be told. told is the highest
// modseq that it was told of a message: it may be above what it knows of the mailbox, if an EXPUNGE could not be
// sent (RFC 7162 §3.2), or below, since nothing else tells the modseq of what is gone or new. from and to
// are what it knew of the mailbox and knows now. always: it is told in any case.
func highest(told, from, to uint64, always bool) uint64 {
	if told > to || told != to && to > from || always {
		return to
	}
	return 0
}
