package imapwire

// Mailbox reads a mailbox name (RFC 3501 §9: mailbox), as it was sent: in
// modified UTF-7 (see DecodeUTF7), with the client's separators. A name that is
// not valid is for the command to refuse (NO), not for the parser (BAD).
func (d *Decoder) Mailbox() []byte { return d.AString() }

// ListMailbox reads the pattern of LIST (RFC 3501 §9: list-mailbox), with its
// wildcards % and *.
func (d *Decoder) ListMailbox() []byte {
	switch d.Peek() {
	case '"', '{':
		return d.String()
	}
	return d.token(classList, "expected mailbox pattern")
}

// AppendUTF8Mailbox appends the name, which is UTF-8 without control characters, as an astring that may be a quoted string in UTF-8 (RFC 6855 §3).
func AppendUTF8Mailbox(b []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		if name[i] >= 0x80 {
			return AppendQuoted(b, name)
		}
	}
	return AppendAString(b, name)
}

// AppendMailbox appends the name, which is UTF-8, in modified UTF-7 as an astring.
func AppendMailbox(b []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < 0x20 || c > 0x7e || c == '&' {
			return AppendAString(b, string(AppendUTF7(nil, name)))
		}
	}
	return AppendAString(b, name)
}
