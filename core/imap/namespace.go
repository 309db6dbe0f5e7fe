package imap

import "github.com/roostmail/roost/core/imapwire"

// NAMESPACE (RFC 2342 §5). All configured namespaces are personal ones; those
// with list = false are hidden.
func quickNamespace(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	b := r.s.Buffer()
	*b = append(*b, "* NAMESPACE ("...)
	for i := len(r.srv.names.spaces) - 1; i >= 0; i-- { // the shortest prefix first
		ns := r.srv.names.spaces[i]
		if !ns.List {
			continue
		}
		*b = append(*b, '(')
		prefix := []byte(ns.Prefix)
		if !r.enabled(enabledUTF8) {
			prefix = imapwire.AppendUTF7(nil, ns.Prefix)
		}
		*b = imapwire.AppendQuoted(*b, prefix)
		*b = append(*b, ' ')
		*b = imapwire.AppendQuoted(*b, ns.sep)
		*b = append(*b, ')')
	}
	*b = append(*b, ") NIL NIL\r\n"...)
	r.s.Commit()
	return true, nil
}
