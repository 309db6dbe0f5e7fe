package imapwire

import (
	"bytes"
	"unicode/utf8"
)

// Tag reads a command's tag (RFC 3501 §9: tag).
func (d *Decoder) Tag() []byte {
	return d.token(classTag, "invalid tag")
}

// Atom reads an atom (RFC 3501 §9: atom).
func (d *Decoder) Atom() []byte {
	return d.token(classAtom, "expected atom")
}

// MaxWord is the length, in bytes, of the longest word that Word and Name read.
const MaxWord = 64

// Word reads an atom and returns it in upper case: the name of a command or a
// search key.
func (d *Decoder) Word() string {
	var buf [MaxWord]byte
	return string(d.AppendWord(buf[:0]))
}

// AppendWord appends to b what Word returns.
func (d *Decoder) AppendWord(b []byte) []byte {
	return d.appendUpper(b, d.Atom())
}

// Name reads letters, digits, "." and "-" and returns them in upper case: the
// name of a FETCH item, which "[", "<" or ")" may follow at once.
func (d *Decoder) Name() string {
	var buf [MaxWord]byte
	return string(d.appendUpper(buf[:0], d.token(className, "expected name")))
}

func (d *Decoder) appendUpper(b, a []byte) []byte {
	if len(a) > MaxWord {
		d.failAt(d.pos-len(a), "word is too long")
		return b
	}
	for _, c := range a {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// TryWord consumes the upper-case ASCII word, in any case, if it is next and
// ends there.
func (d *Decoder) TryWord(word string) bool {
	if d.err != nil || len(d.b)-d.pos < len(word) {
		return false
	}
	if n := span(d.b[d.pos:], classAtom); n != len(word) || !EqualFold(d.b[d.pos:][:n], word) {
		return false
	}
	d.pos += len(word)
	return true
}

func (d *Decoder) token(class uint8, what string) []byte {
	if d.err != nil {
		return nil
	}
	n := span(d.b[d.pos:], class)
	if n == 0 {
		d.Fail(what)
		return nil
	}
	t := d.b[d.pos:][:n:n]
	d.pos += n
	return t
}

// AString reads an astring: atom-like, quoted or literal (RFC 3501 §9: astring).
func (d *Decoder) AString() []byte {
	switch d.Peek() {
	case '"', '{':
		return d.String()
	}
	return d.token(classAString, "expected astring")
}

// String reads a quoted string or a literal (RFC 3501 §9: string).
func (d *Decoder) String() []byte {
	switch d.Peek() {
	case '"':
		return d.quoted()
	case '{':
		return d.literal()
	}
	d.Fail("expected string")
	return nil
}

// NString reads a string or NIL (RFC 3501 §9: nstring). ok is false for NIL.
func (d *Decoder) NString() (s []byte, ok bool) {
	if d.TryWord("NIL") {
		return nil, false
	}
	s = d.String()
	return s, d.err == nil
}

// quoted reads a quoted string. 8-bit bytes are taken as they are (RFC 3501
// allows 7-bit only; clients send UTF-8 passwords and search words so), unless RequireUTF8 was called.
func (d *Decoder) quoted() []byte {
	at := d.pos
	s := d.quotedBytes()
	if d.utf8 && !utf8.Valid(s) {
		d.failAt(at, "quoted string is not valid UTF-8")
		return nil
	}
	return s
}

func (d *Decoder) quotedBytes() []byte {
	d.Byte('"')
	if d.err != nil {
		return nil
	}
	n := span(d.b[d.pos:], classText)
	if d.pos+n < len(d.b) && d.b[d.pos+n] == '"' { // no escapes: no copy
		s := d.b[d.pos:][:n:n]
		d.pos += n + 1
		return s
	}
	var s []byte
	for {
		s = append(s, d.b[d.pos:][:n]...)
		d.pos += n
		switch d.Peek() {
		case '"':
			d.pos++
			return s
		case '\\':
			// quoted-specials only: DQUOTE and backslash (RFC 3501 §9: quoted)
			if len(d.b)-d.pos < 2 || d.b[d.pos+1] != '"' && d.b[d.pos+1] != '\\' {
				d.Fail("invalid escape in quoted string")
				return nil
			}
			s = append(s, d.b[d.pos+1])
			d.pos += 2
		default:
			d.Fail("quoted string is not closed")
			return nil
		}
		n = span(d.b[d.pos:], classText)
	}
}

// Announcement reads what announces a literal, "{" number ["+"] "}" CRLF, and returns its size, and
// whether the client does not wait to be asked for it (RFC 3501 §9: literal; RFC 7888 §4). The literal itself is for Skip, if it was not taken out of the command (Framer.Spool).
func (d *Decoder) Announcement() (size uint64, nonSync bool) {
	if !d.TryByte('{') {
		d.Fail("expected literal")
	}
	size = d.Number64()
	nonSync = d.TryByte('+')
	d.Byte('}')
	d.TryByte('\r')
	d.Byte('\n')
	return size, nonSync
}

// Skip consumes n bytes, which must be there.
func (d *Decoder) Skip(n int) {
	if n > len(d.b)-d.pos {
		d.Fail("command is cut off")
	}
	if d.err == nil {
		d.pos += n
	}
}

// Literal8 reads "~{" number ["+"] "}" CRLF *OCTET (RFC 3516 §7: literal8).
func (d *Decoder) Literal8() []byte {
	d.Byte('~')
	n, _ := d.Announcement()
	if d.err == nil && n > uint64(len(d.b)-d.pos) {
		d.Fail("literal is cut off")
	}
	if d.err != nil {
		return nil
	}
	s := d.b[d.pos:][:n:n]
	d.pos += int(n)
	return s
}

// AtAnnouncement reports whether the announcement of a literal is next, and the last that was received.
func (d *Decoder) AtAnnouncement() bool {
	if d.Peek() != '{' {
		return false
	}
	at := *d
	at.Announcement()
	return at.err == nil && at.pos == len(at.b)
}

// literal reads "{" number ["+"] "}" CRLF *CHAR8 (RFC 3501 §9: literal; RFC
// 7888 §4 for "+"). A bare LF ends the announcement as well.
func (d *Decoder) literal() []byte {
	n, _ := d.Announcement()
	if d.err != nil {
		return nil
	}
	if n > uint64(len(d.b)-d.pos) {
		d.Fail("literal is cut off")
		return nil
	}
	s := d.b[d.pos:][:n:n]
	if i := bytes.IndexByte(s, 0); i >= 0 { // CHAR8 = %x01-ff
		d.failAt(d.pos+i, "NUL in literal")
		return nil
	}
	d.pos += int(n)
	return s
}
