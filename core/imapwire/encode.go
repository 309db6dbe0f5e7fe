package imapwire

import "strconv"

// maxQuoted is the length, in bytes, up to which a string is quoted; a longer one
// becomes a literal (RFC 2683 §3.2.1.5 asks for lines of about 1000 bytes; other
// limits of old clients begin at 1024).
const maxQuoted = 512

// AppendNumber appends n.
func AppendNumber(b []byte, n uint64) []byte {
	return strconv.AppendUint(b, n, 10)
}

// AppendString appends s as a quoted string, or as a literal if it is long, or
// holds CR, LF, NUL or 8-bit bytes (RFC 3501 §9: string, quoted). NUL has no form in
// IMAP4rev1 and becomes 0x80, as in Dovecot.
func AppendString[T []byte | string](b []byte, s T) []byte {
	if len(s) > maxQuoted {
		return AppendLiteral(b, s)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == 0 || c >= 0x80 || c == '\r' || c == '\n' {
			return AppendLiteral(b, s)
		}
	}
	return AppendQuoted(b, s)
}

// AppendQuoted appends s as a quoted string. s must not hold CR, LF, NUL.
func AppendQuoted[T []byte | string](b []byte, s T) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// AppendLiteral appends s as a literal, NUL replaced by 0x80.
func AppendLiteral[T []byte | string](b []byte, s T) []byte {
	b = AppendLiteralHeader(b, uint64(len(s)))
	start := len(b)
	b = append(b, s...)
	for i := start; i < len(b); i++ {
		if b[i] == 0 {
			b[i] = 0x80
		}
	}
	return b
}

// AppendLiteralHeader appends "{size}" CRLF; size bytes must follow.
func AppendLiteralHeader(b []byte, size uint64) []byte {
	b = append(b, '{')
	b = strconv.AppendUint(b, size, 10)
	return append(b, '}', '\r', '\n')
}

// AppendNString appends s as AppendString does, or NIL if s is nil.
func AppendNString(b []byte, s []byte) []byte {
	if s == nil {
		return append(b, "NIL"...)
	}
	return AppendString(b, s)
}

// AppendAString appends s without quotes if it can be an atom, else as AppendString does
// (RFC 3501 §9: astring). NIL is quoted: read as an atom, it would be no string.
func AppendAString[T []byte | string](b []byte, s T) []byte {
	if len(s) == 0 || len(s) > maxQuoted || isNIL(s) {
		return AppendString(b, s)
	}
	for i := 0; i < len(s); i++ {
		if classes[s[i]]&classAtom == 0 {
			return AppendString(b, s)
		}
	}
	return append(b, s...)
}

func isNIL[T []byte | string](s T) bool {
	return len(s) == 3 && s[0]|0x20 == 'n' && s[1]|0x20 == 'i' && s[2]|0x20 == 'l'
}

// AppendText appends s as resp-text (RFC 3501 §9: text): bytes that may not stand
// there (controls, 8-bit) become "?".
func AppendText(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e {
			b = append(b, '?')
		} else {
			b = append(b, c)
		}
	}
	return b
}
