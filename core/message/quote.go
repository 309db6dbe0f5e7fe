package message

import (
	"bytes"
	"strconv"
)

// maxEscapes is how many characters a quoted string may escape before a literal is used instead, as in
// Dovecot (src/lib-imap/imap-quote.c): from here on the literal is shorter.
const maxEscapes = 4

// replacement takes the place of NUL, for which IMAP has no form, as in Dovecot.
const replacement = "\uFFFD"

// appendNString appends s as an IMAP nstring: quoted if that is allowed and short, else as a literal. nil is NIL.
func appendNString(dst, s []byte) []byte {
	if s == nil {
		return append(dst, "NIL"...)
	}
	escapes := 0
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			escapes++
		case c == '\r' || c == '\n' || c >= 0x80 || c == 0:
			escapes = maxEscapes + 1
		}
		if escapes > maxEscapes {
			return appendLiteral(dst, s)
		}
	}
	dst = append(dst, '"')
	if escapes == 0 {
		dst = append(dst, s...)
	} else {
		for _, c := range s {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func appendLiteral(dst, s []byte) []byte {
	if bytes.IndexByte(s, 0) >= 0 {
		s = bytes.ReplaceAll(s, []byte{0}, []byte(replacement))
	}
	dst = append(dst, '{')
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, '}', '\r', '\n')
	return append(dst, s...)
}

// appendUnfolded is appendNString without line ends: each is dropped before a blank, and else becomes a blank.
func appendUnfolded(dst, s []byte) []byte {
	if bytes.IndexByte(s, '\n') < 0 && bytes.IndexByte(s, '\r') < 0 {
		return appendNString(dst, s)
	}
	flat := make([]byte, 0, len(s))
	for i, c := range s {
		if c != '\r' && c != '\n' {
			flat = append(flat, c)
		} else if i+1 < len(s) && !isBlank(s[i+1]) && s[i+1] != '\r' && s[i+1] != '\n' {
			flat = append(flat, ' ')
		}
	}
	return appendNString(dst, flat)
}

// appendHuman appends text that people read (subjects, display names): runs of blanks and line ends
// become one space, and none is left at either end. What is not a plain quoted string then becomes a literal.
func appendHuman(dst, s []byte) []byte {
	if isTidy(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	size := 0
	tidy(s, func(byte) { size++ })
	if size == 0 {
		return append(dst, '"', '"')
	}
	dst = append(dst, '{')
	dst = strconv.AppendInt(dst, int64(size), 10)
	dst = append(dst, '}', '\r', '\n')
	tidy(s, func(c byte) { dst = append(dst, c) })
	return dst
}

// isTidy reports whether tidy would not change s, and s may be quoted as it is.
func isTidy(s []byte) bool {
	blank := true
	for _, c := range s {
		switch {
		case c == ' ':
			if blank {
				return false
			}
			blank = true
		case c < ' ' && (c == '\t' || c == '\r' || c == '\n' || c == 0), c == '"', c == '\\', c >= 0x80:
			return false
		default:
			blank = false
		}
	}
	return len(s) == 0 || !blank
}

func tidy(s []byte, emit func(byte)) {
	blank, any := false, false
	for _, c := range s {
		switch c {
		case ' ', '\t', '\r', '\n':
			blank = true
		default:
			if blank && any {
				emit(' ')
			}
			blank, any = false, true
			if c != 0 {
				emit(c)
				continue
			}
			for i := range len(replacement) {
				emit(replacement[i])
			}
		}
	}
}
