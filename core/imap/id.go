package imap

import (
	"strings"

	"github.com/roostmail/roost/core/imapwire"
)

// maxIDPairs is the number of field-value pairs that a client may send (RFC 2971 §3.3).
const maxIDPairs = 30

// ID (RFC 2971 §3.1): "ID" SP (NIL / "(" [string SP nstring *(SP string SP nstring)] ")").
func quickID(r *request) (bool, error) {
	r.d.SP()
	var pairs []string
	if !r.d.TryWord("NIL") {
		n := 0
		r.d.List(func() {
			if n++; n > maxIDPairs {
				r.d.Failf("more than %d fields", maxIDPairs)
			}
			field := r.d.String()
			r.d.SP()
			value, _ := r.d.NString()
			pairs = append(pairs, string(imapwire.AppendText(nil, string(field)+"="+string(value))))
		})
	}
	if err := r.end(); err != nil {
		return true, err
	}
	if len(pairs) > 0 {
		r.srv.log.DebugContext(r.context(), "client id", "remote", r.s.Remote(), "id", strings.Join(pairs, ", "))
	}
	b := r.s.Buffer()
	*b = append(*b, `* ID ("name" `...)
	*b = imapwire.AppendString(*b, r.srv.cfg.Name)
	if r.srv.cfg.Version != "" {
		*b = append(*b, ` "version" `...)
		*b = imapwire.AppendString(*b, r.srv.cfg.Version)
	}
	*b = append(*b, ")\r\n"...)
	r.s.Commit()
	return true, nil
}
