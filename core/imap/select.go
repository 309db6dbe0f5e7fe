package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2): mailbox [SP "(" select-param *(SP select-param) ")"]
// (RFC 4466 §2.1), with the parameters CONDSTORE (RFC 7162 §3.1.8) and QRESYNC (qresync.go). SELECT opens the mailbox
// READ-WRITE if storage can write it.
func runSelect(r *request) error {
	r.d.SP()
	raw := r.d.Mailbox()
	condstore := false
	var resync *resync
	if r.d.TrySP() {
		r.d.List(func() {
			switch at := r.d.Pos(); r.d.Word() {
			case "CONDSTORE":
				condstore = true
			case "QRESYNC":
				resync = r.parseResync()
			default:
				if r.d.OK() {
					r.d.FailAt(at, "unknown parameter "+quote(r.d.Since(at)))
				}
			}
		})
	}
	if err := r.end(); err != nil {
		return err
	}
	if resync != nil && !r.enabled(enabledQresync) { // RFC 7162 §3.2.5
		return bad("QRESYNC is not enabled.")
	}
	if resync != nil && resync.seqs != nil && r.enabled(enabledUIDOnly) { // RFC 9586 §3.2
		return errUIDRequired
	}
	// Whatever comes of this, no mailbox is selected before (RFC 3501 §6.3.1).
	if r.st.Proto == stateSelected {
		r.deselect()
		r.s.WriteString("* OK [CLOSED] Previous mailbox closed.\r\n") // RFC 7162 §3.2.11
	}
	if condstore {
		r.enableCondstore()
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	var m *mailbox.Mailbox
	var v *mailbox.View
	if r.during(func() { m, v, err = r.srv.boxes.Open(r.ctx, ref) }); err != nil {
		return err
	}
	r.mbox = m
	r.s.SetMailbox(m.ID())
	r.st.View = v.Version
	r.st.Proto = stateSelected
	r.ok.code, r.ok.text = "READ-ONLY", "Examine completed."
	rights, err := r.rights(ref)
	if err == nil && rights&backend.RightRead == 0 { // it was open already, and storage was not asked
		err = backend.Errorf(backend.KindNoPermission, "Permission denied")
		if rights&backend.RightLookup == 0 {
			err = backend.Errorf(backend.KindNotFound, "Mailbox does not exist")
		}
	}
	if err != nil {
		r.srv.closeMailbox(r.s)
		return err
	}
	if r.cmd.name == "SELECT" {
		r.ok.text = "Select completed."
		// RFC 4314 §5.2: READ-ONLY for who can change nothing
		if r.srv.writer != nil && !r.reader() && rights&changes != 0 && r.openToWrite(m, v) {
			r.ok.code = "READ-WRITE"
			if now := m.Current(); now.UIDNext == v.UIDNext { // with the claim, and nothing that is not claimed
				v = now
				m.Advance(r.st.View, v.Version)
				r.st.View = v.Version
			}
		}
	}
	if r.enabled(enabledCondstore) {
		r.keepModSeqs()
		if now, err := m.At(r.st.View); err == nil {
			v = now
		}
	}
	if !r.mayWrite() {
		rights = 0
	}
	b := r.s.Buffer()
	*b = r.appendSelected(*b, v, rights)
	if r.srv.offers.objectID { // RFC 8474 §4.2
		*b = append(appendMailboxID(append(*b, "* OK ["...), v.MailboxID), "] Mailbox ID\r\n"...)
	}
	if withURLAuth(r.srv) { // RFC 4467 §8, URLMECH
		*b = append(*b, "* OK [URLMECH "+urlMechanism+"] Mechanisms of URLAUTH\r\n"...)
	}
	r.s.Commit()
	if r.enabled(enabledRev2) {
		if err := r.listSelected(raw); err != nil {
			r.srv.closeMailbox(r.s)
			return err
		}
	}
	if resync != nil && r.srv.modseqs != nil && resync.uidValidity == v.UIDValidity {
		if err := r.resync(v, resync); err != nil { // a client that went on would believe itself in step
			r.srv.closeMailbox(r.s)
			return err
		}
	}
	return nil
}

// openToWrite makes the session one that may change the mailbox, unless storage says that nobody may.
func (r *request) openToWrite(m *mailbox.Mailbox, v *mailbox.View) bool {
	r.st.Flags |= flagReadWrite
	switch err := r.claim(m, v, 0); {
	case err == nil:
	case backend.KindOf(err) == backend.KindReadOnly, backend.KindOf(err) == backend.KindNoPermission:
		r.st.Flags &^= flagReadWrite
		r.logTrouble("a mailbox is opened READ-ONLY: storage can not change it", err)
		return false
	}
	return true
}

// appendSelected appends the untagged data of SELECT in Dovecot's order.
func (r *request) appendSelected(b []byte, v *mailbox.View, rights backend.Rights) []byte {
	b = appendFlagsLines(b, v, rights)
	b = appendCount(b, v.Len(), " EXISTS\r\n")
	if !r.enabled(enabledRev2) { // RFC 9051 Appendix E
		b = appendCount(b, r.recent(v).Count(v), " RECENT\r\n")
		if seq := v.FirstUnseen(); seq != 0 && !r.enabled(enabledUIDOnly) { // RFC 9586 §3.6
			b = appendCode(b, "UNSEEN", uint64(seq), "First unseen.")
		}
	}
	b = appendCode(b, "UIDVALIDITY", uint64(v.UIDValidity), "UIDs valid")
	b = appendCode(b, "UIDNEXT", uint64(v.UIDNext), "Predicted next UID")
	if r.srv.modseqs == nil { // RFC 7162 §3.1.2.2
		return append(b, "* OK [NOMODSEQ] No permanent mod-sequences\r\n"...)
	}
	return appendCode(b, "HIGHESTMODSEQ", v.HighestModSeq, "Highest") // RFC 7162 §3.1.2.1
}

// appendCode appends "* OK [CODE n] text" CRLF.
func appendCode(b []byte, code string, n uint64, text string) []byte {
	b = append(b, "* OK ["...)
	b = append(b, code...)
	b = append(b, ' ')
	b = imapwire.AppendNumber(b, n)
	b = append(b, "] "...)
	b = append(b, text...)
	return append(b, '\r', '\n')
}
