package imap

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/roostmail/roost/core/imapwire"
)

// UTF8=ACCEPT (RFC 6855). A client that has enabled it knows mailboxes by their names in UTF-8, and gets them in quoted strings.
//
// Messages are sent as they are to everybody, and their 8-bit header fields are accepted from everybody in APPEND, as Dovecot does:
// RFC 6855 §7 leaves the first to the server; §4 wants the second refused, which clients that copy old mail would not survive.

// utf8 reports whether the client sends and gets mailbox names, and quoted strings, in UTF-8 (RFC 6855 §3, RFC 9051 §5.1).
func (r *request) utf8() bool { return r.enabled(enabledUTF8 | enabledRev2) }

// decodeName returns a mailbox name, as sent by a client, in UTF-8. Who has enabled UTF8=ACCEPT sends UTF-8, in which "&" is a
// character like others; else it is modified UTF-7 (RFC 3501 §5.1.3). Clients that see IMAP4rev2 send UTF-8 without having
// enabled anything, with "&-" for "&" (go-imap) or without: a name with an 8-bit character may be either. The error is a *response.
func decodeName(raw []byte, enabled bool) (string, error) {
	if !enabled {
		eight := eightBit(raw)
		if eight && !utf8.Valid(raw) {
			return "", no("CANNOT", "Mailbox name is not valid UTF-8.")
		}
		name, err := imapwire.DecodeMixedUTF7(raw)
		if err == nil && eight && strings.ContainsFunc(name, unfit) {
			return "", errControl
		}
		if err == nil {
			return name, nil
		}
		if !eight {
			return "", no("CANNOT", "Mailbox name is not valid mUTF-7.")
		}
	}
	if !utf8.Valid(raw) {
		return "", no("CANNOT", "Mailbox name is not valid UTF-8.")
	}
	if bytes.ContainsFunc(raw, unfit) {
		return "", errControl
	}
	return string(raw), nil
}

var errControl = no("CANNOT", "Invalid mailbox name: Has control characters.")

// unfit reports whether a character must not be in a mailbox name (RFC 6855 §3).
func unfit(r rune) bool {
	return r < 0x20 || 0x7f <= r && r <= 0x9f || r == 0x2028 || r == 0x2029
}

func eightBit(b []byte) bool {
	return bytes.ContainsFunc(b, func(r rune) bool { return r >= utf8.RuneSelf })
}

// appendName appends a mailbox name, which is UTF-8, as the client knows it.
func appendName(b []byte, name string, enabled bool) []byte {
	if enabled {
		return imapwire.AppendUTF8Mailbox(b, name)
	}
	return imapwire.AppendMailbox(b, name)
}

// appendSent appends a mailbox name as the client has sent it, in a form that it understands.
func (r *request) appendSent(b, raw []byte) []byte {
	switch {
	case r.utf8():
		return imapwire.AppendUTF8Mailbox(b, string(raw))
	case eightBit(raw):
		if name, err := decodeName(raw, false); err == nil {
			return imapwire.AppendMailbox(b, name)
		}
	}
	return imapwire.AppendAString(b, raw)
}

// refuseCharset refuses CHARSET, which is UTF-8 for a client that has enabled UTF8=ACCEPT (RFC 6855 §3).
func (r *request) refuseCharset() error {
	d := r.d
	d.SP()
	if r.enabled(enabledUTF8) && d.TryWord("CHARSET") {
		return bad("CHARSET is not allowed after ENABLE UTF8=ACCEPT.")
	}
	return nil
}
