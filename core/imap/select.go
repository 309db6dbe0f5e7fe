package imap

import (
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2): mailbox [SP "(" select-param *(SP select-param) ")"]
// (RFC 4466 §2.1), with the parameter CONDSTORE (RFC 7162 §3.1.8). Both open
// the mailbox READ-ONLY.
func runSelect(r *request) error {
	r.d.SP()
	raw := r.d.Mailbox()
	condstore := false
	if r.d.TrySP() {
		r.d.List(func() {
			at := r.d.Pos()
			if r.d.Word() != "CONDSTORE" && r.d.OK() {
				r.d.FailAt(at, "unknown parameter "+quote(r.d.Since(at)))
			}
			condstore = true
		})
	}
	if err := r.end(); err != nil {
		return err
	}
	// Whatever comes of this, no mailbox is selected before (RFC 3501 §6.3.1).
	if r.st.Proto == stateSelected {
		r.srv.closeMailbox(r.s)
		r.s.WriteString("* OK [CLOSED] Previous mailbox closed.\r\n") // RFC 7162 §3.2.11
	}
	if condstore {
		r.enableCondstore()
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	m, v, err := r.srv.boxes.Open(r.ctx, ref)
	if err != nil {
		return err
	}
	r.s.SetMailbox(m.ID())
	r.st.View = v.Version
	r.st.Proto = stateSelected
	b := r.s.Buffer()
	*b = appendSelected(*b, v)
	r.s.Commit()
	word := "Select"
	if r.cmd.name == "EXAMINE" {
		word = "Examine"
	}
	r.ok.code, r.ok.text = "READ-ONLY", word+" completed."
	return nil
}

// appendSelected appends the untagged data of SELECT in Dovecot's order.
func appendSelected(b []byte, v *mailbox.View) []byte {
	b = appendFlagsLines(b, v)
	b = appendCount(b, v.Len(), " EXISTS\r\n")
	b = appendCount(b, v.Recent(), " RECENT\r\n")
	if seq := v.FirstUnseen(); seq != 0 {
		b = appendCode(b, "UNSEEN", uint64(seq), "First unseen.")
	}
	b = appendCode(b, "UIDVALIDITY", uint64(v.UIDValidity), "UIDs valid")
	b = appendCode(b, "UIDNEXT", uint64(v.UIDNext), "Predicted next UID")
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
