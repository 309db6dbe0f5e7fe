package imap

import "github.com/roostmail/roost/core/imapwire"

// NAMESPACE (RFC 2342 §5): personal namespaces, those of other users, of which there are none, and public ones. Those
// with list = false are hidden.
func quickNamespace(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	r.tellNamespaces()
	return true, nil
}

// tellNamespaces writes the NAMESPACE response.
func (r *request) tellNamespaces() {
	b := r.s.Buffer()
	*b = append(*b, "* NAMESPACE "...)
	*b = r.appendNamespaces(*b, false)
	*b = append(*b, " NIL "...)
	*b = r.appendNamespaces(*b, true)
	*b = append(*b, '\r', '\n')
	r.s.Commit()
}

// appendNamespaces appends the list of the public namespaces, or of the others, NIL if there are none.
func (r *request) appendNamespaces(b []byte, public bool) []byte {
	start := len(b)
	for i := len(r.srv.names.spaces) - 1; i >= 0; i-- { // the shortest prefix first
		ns := r.srv.names.spaces[i]
		if !ns.List || ns.Public != public {
			continue
		}
		if len(b) == start {
			b = append(b, '(')
		}
		b = append(b, '(')
		prefix := []byte(ns.Prefix)
		if !r.utf8() {
			prefix = imapwire.AppendUTF7(nil, ns.Prefix)
		}
		b = imapwire.AppendQuoted(b, prefix)
		b = append(b, ' ')
		b = imapwire.AppendQuoted(b, ns.sep)
		b = append(b, ')')
	}
	if len(b) == start {
		return append(b, "NIL"...)
	}
	return append(b, ')')
}
