package imap

// ENABLE (RFC 5161 §3.1): "ENABLE" 1*(SP capability). What is not known is
// ignored; the ENABLED response names what is on now of what was asked for.
func quickEnable(r *request) (bool, error) {
	condstore := false
	for r.d.OK() {
		r.d.SP()
		if r.d.Word() == "CONDSTORE" {
			condstore = true
		}
		if r.d.AtEnd() {
			break
		}
	}
	if err := r.end(); err != nil {
		return true, err
	}
	if !condstore {
		r.s.WriteString("* ENABLED\r\n")
		return true, nil
	}
	r.enableCondstore()
	r.s.WriteString("* ENABLED CONDSTORE\r\n")
	return true, nil
}

// enableCondstore turns CONDSTORE on for the rest of the session: by ENABLE, by
// SELECT or EXAMINE with the parameter, STATUS (HIGHESTMODSEQ), FETCH or SEARCH
// MODSEQ, or FETCH CHANGEDSINCE. If a mailbox is selected, its HIGHESTMODSEQ is
// told, since SELECT may not have (RFC 7162 §3.1).
func (r *request) enableCondstore() {
	if r.st.Enabled&enabledCondstore != 0 {
		return
	}
	r.st.Enabled |= enabledCondstore
	if r.st.Proto != stateSelected {
		return
	}
	modseq, ok := r.srv.boxes.ModSeqAt(r.s.Mailbox(), r.st.View)
	if !ok {
		return // the next command that looks at the mailbox tells
	}
	b := r.s.Buffer()
	*b = appendCode(*b, "HIGHESTMODSEQ", modseq, "Highest")
	r.s.Commit()
}
