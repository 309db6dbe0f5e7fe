package imap

// listSelected writes the LIST response that SELECT and EXAMINE have in IMAP4rev2 (RFC 9051 §6.3.2), with OLDNAME if the mailbox has
// another name than the client has sent (§6.3.9.7).
func (r *request) listSelected(raw []byte) error {
	o := &listOptions{command: "LIST", utf8: true, children: true, special: true, extended: true}
	p, _ := newPattern(nil, raw, true)
	all, err := r.listed([]pattern{p})
	if err != nil {
		return err
	}
	ns, stored, err := r.srv.names.resolve(raw, true)
	if err != nil {
		return err
	}
	name, _ := ns.client(stored)
	m := all.byName[name]
	if m == nil {
		return nil // deleted since
	}
	b := r.s.Buffer()
	*b = o.append(*b, m)
	if name != string(raw) {
		*b = appendOldName(*b, string(raw), true)
	}
	r.s.Commit()
	return nil
}
