package imap

import (
	"bytes"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// respelled tells a client with IMAP4rev2 what it has called raw, if that is not how the mailbox is spelled: INBOX and what is below it may be
// in any letters (RFC 9051 §6.3.4, §6.3.5, §6.3.6, §6.3.9.7, §6.3.12). old is the name of the OLDNAME item, which is another one for RENAME.
func (r *request) respelled(ref backend.MailboxRef, raw, old []byte, attribute string) {
	for _, ns := range r.srv.names.spaces {
		name, ok := ns.client(ref.Name)
		if !ok || ns.Name != ref.Namespace || !r.enabled(enabledRev2) || name == string(bytes.TrimSuffix(raw, []byte(ns.sep))) {
			continue
		}
		b := r.s.Buffer()
		*b = append(append(append(*b, "* LIST ("...), attribute...), ") "...)
		*b = append(imapwire.AppendQuoted(*b, ns.sep), ' ')
		*b = appendOldName(append(appendName(*b, name, true), "\r\n"...), string(old), true)
		r.s.Commit()
	}
}

// appendOldName appends the OLDNAME item (RFC 5465 §5.4) to a LIST response that is complete.
func appendOldName(b []byte, old string, utf8 bool) []byte {
	b = append(b[:len(b)-len("\r\n")], ` ("OLDNAME" (`...)
	return append(appendName(b, old, utf8), "))\r\n"...)
}
