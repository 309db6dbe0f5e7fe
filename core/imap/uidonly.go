package imap

import "github.com/roostmail/roost/core/imapwire"

// UIDONLY (RFC 9586). A client that has enabled it sends no sequence numbers, and gets none: UIDFETCH stands for FETCH, VANISHED for
// EXPUNGE. EXISTS stays.

// errUIDRequired refuses sequence numbers (RFC 9586 §3.2).
var errUIDRequired = &response{"BAD", "UIDREQUIRED", "Message numbers are not allowed after ENABLE UIDONLY."}

// wantsNumbers reports whether a command names messages, or answers, by sequence numbers: it has a UID form, and needs it.
func (c *command) wantsNumbers() bool {
	return !c.uid && c.name != "EXPUNGE" && commands["UID "+c.name] != nil
}

// hasNumbers reports whether a set of sequence numbers is in a search program.
func (k *searchKey) hasNumbers() bool {
	if k.numbers {
		return true
	}
	for i := range k.keys {
		if k.keys[i].hasNumbers() {
			return true
		}
	}
	return false
}

// appendFetchStart appends "* n FETCH (", or, for a client with UIDONLY, "* uid UIDFETCH (" (RFC 9586 §3.3).
func appendFetchStart(b []byte, seq, uid uint32, uidOnly bool) []byte {
	b = append(b, "* "...)
	if uidOnly {
		return append(imapwire.AppendNumber(b, uint64(uid)), " UIDFETCH ("...)
	}
	return append(imapwire.AppendNumber(b, uint64(seq)), " FETCH ("...)
}
