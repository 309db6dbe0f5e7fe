package message

// lexer reads the tokens of structured header fields (RFC 5322 §3.2, RFC 2045 §5.1)
// in the lenient way of Dovecot (src/lib-mail/rfc822-parser.c). Lines of the value end in LF. Its methods append the meaning
// of a token to a buffer, skip the comments and blanks behind it, and say how things stand then.
type lexer struct {
	b []byte
	i int
	// comment, if keepComment is set, is the text of the last comment that was skipped.
	comment     []byte
	keepComment bool
}

// status is the outcome of reading a token.
type status int8

const (
	bad  status = -1 // no such token here, or it has no end
	end  status = 0  // read, and nothing follows
	more status = 1  // read, and l.b[l.i] is what follows
)

const (
	isAtext  = 1 << iota // atext of RFC 5322, or 8-bit
	isMIME               // may stand in a MIME token (RFC 2045 §5.1)
	isPhrase             // atext or '.'
)

var charClass = makeCharClass()

func makeCharClass() (t [256]uint8) {
	for c := 0; c < 256; c++ {
		switch {
		case c >= 0x80, c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			t[c] = isAtext | isMIME | isPhrase
		}
	}
	for _, c := range "!#$%&'*+-^_`{|}~" {
		t[c] = isAtext | isMIME | isPhrase
	}
	for _, c := range "/=?" {
		t[c] = isAtext | isPhrase
	}
	t['.'] = isMIME | isPhrase
	return t
}

// next reports whether the next character is c.
func (l *lexer) next(c byte) bool { return l.i < len(l.b) && l.b[l.i] == c }

func (l *lexer) here() status {
	if l.i < len(l.b) {
		return more
	}
	return end
}

// skip skips blanks, line ends and comments.
func (l *lexer) skip() status {
	for l.i < len(l.b) {
		switch l.b[l.i] {
		case ' ', '\t', '\r', '\n':
			l.i++
		case '(':
			if !l.skipComment() {
				return bad
			}
		default:
			return more
		}
	}
	return end
}

// skipComment skips a comment with the comments in it; line ends in it are dropped. false: it has no end,
// and all is read; then only the text up to the last line end or quoted pair is kept.
func (l *lexer) skipComment() bool {
	l.comment = l.comment[:0]
	depth, kept := 0, 0
	for ; l.i < len(l.b); l.i++ {
		c := l.b[l.i]
		switch c {
		case '(':
			depth++
			if depth == 1 {
				continue
			}
		case ')':
			depth--
			if depth == 0 {
				l.i++
				return true
			}
		case '\n':
			if l.atFold() {
				kept = len(l.comment)
				continue
			}
		case '\\':
			if l.beforeLineEnd() {
				if l.b[l.i+1] == '\n' {
					kept = len(l.comment)
				}
				break
			}
			l.i++
			if l.i == len(l.b) {
				l.comment = l.comment[:kept]
				return false
			}
			kept = len(l.comment)
			c = l.b[l.i]
		}
		if l.keepComment {
			l.comment = append(l.comment, c)
		}
	}
	l.comment = l.comment[:kept]
	return false
}

// run appends the characters of a class and skips what follows them. The run may be empty.
func (l *lexer) run(dst []byte, class uint8) ([]byte, status) {
	start := l.i
	for l.i < len(l.b) && charClass[l.b[l.i]]&class != 0 {
		l.i++
	}
	dst = append(dst, l.b[start:l.i]...)
	if l.i == len(l.b) {
		return dst, end
	}
	return dst, l.skip()
}

// atom reads 1*atext.
func (l *lexer) atom(dst []byte) ([]byte, status) {
	if l.i == len(l.b) || charClass[l.b[l.i]]&isAtext == 0 {
		return dst, bad
	}
	return l.run(dst, isAtext)
}

// token reads a MIME token, possibly an empty one.
func (l *lexer) token(dst []byte) ([]byte, status) { return l.run(dst, isMIME) }

// dotAtom reads atoms joined by dots, with comments and blanks allowed around these.
func (l *lexer) dotAtom(dst []byte) ([]byte, status) {
	for {
		var st status
		if dst, st = l.atom(dst); st != more || l.b[l.i] != '.' {
			return dst, st
		}
		l.i++
		dst = append(dst, '.')
		if l.skip() != more {
			return dst, bad
		}
	}
}

// looseDotAtom reads a local part, where dots may stand anywhere, but no blanks after them.
func (l *lexer) looseDotAtom(dst []byte) ([]byte, status) {
	st := bad
	for {
		for l.next('.') {
			dst = append(dst, '.')
			l.i++
			st = more
		}
		if l.i == len(l.b) {
			if st == more {
				st = end // the dots are the last there is
			}
			return dst, st
		}
		if l.b[l.i] == '@' {
			return dst, st
		}
		if dst, st = l.atom(dst); st != more || l.b[l.i] != '.' {
			return dst, st
		}
	}
}

// quoted reads a quoted string that starts here; line ends in it are dropped. Of one without end, the text up to the
// last line end, quoted pair or NUL is appended.
func (l *lexer) quoted(dst []byte) ([]byte, status) {
	kept := len(dst)
	for l.i++; l.i < len(l.b); l.i++ {
		switch c := l.b[l.i]; c {
		case '"':
			l.i++
			return dst, l.skip()
		case '\n':
			if !l.atFold() {
				dst = append(dst, c)
				break
			}
			kept = len(dst)
		case '\\':
			if l.beforeLineEnd() {
				if l.b[l.i+1] == '\n' {
					kept = len(dst)
				}
				dst = append(dst, c)
				break
			}
			l.i++
			if l.i == len(l.b) {
				return dst[:kept], bad
			}
			kept = len(dst)
			dst = append(dst, l.b[l.i])
		default:
			dst = append(dst, c)
			if c == 0 {
				kept = len(dst)
			}
		}
	}
	return dst[:kept], bad
}

// phrase reads words, joined by a space each (RFC 5322 §3.2.5). It may be empty, but not start with a dot.
func (l *lexer) phrase(dst []byte) ([]byte, status) {
	if l.i == len(l.b) {
		return dst, end
	}
	if l.b[l.i] == '.' {
		return dst, bad
	}
	for {
		var st status
		if l.b[l.i] == '"' {
			dst, st = l.quoted(dst)
		} else {
			dst, st = l.run(dst, isPhrase)
		}
		if st != more {
			return dst, st
		}
		if c := l.b[l.i]; c != '"' && charClass[c]&isPhrase == 0 {
			return dst, more
		}
		dst = append(dst, ' ')
	}
}

// domain reads "@" and a domain or domain literal.
func (l *lexer) domain(dst []byte) ([]byte, status) {
	l.i++
	if l.skip() != more {
		return dst, bad
	}
	if l.b[l.i] != '[' {
		return l.dotAtom(dst)
	}
	n := len(dst)
	dst = append(dst, '[')
	for l.i++; l.i < len(l.b); l.i++ {
		switch c := l.b[l.i]; c {
		case '[':
			return dst[:n], bad
		case '\n':
			if l.atFold() {
				continue
			}
		case '\\':
			if l.beforeLineEnd() {
				break
			}
			dst = append(dst, c)
			l.i++
			if l.i == len(l.b) {
				return dst[:n], bad
			}
		case ']':
			l.i++
			return append(dst, ']'), l.skip()
		}
		dst = append(dst, l.b[l.i])
	}
	return dst[:n], bad
}

// beforeLineEnd reports whether the next character is CR or LF, which no backslash quotes (RFC 5322 §3.2.1): it stands for itself.
func (l *lexer) beforeLineEnd() bool {
	return l.i+1 < len(l.b) && (l.b[l.i+1] == '\n' || l.b[l.i+1] == '\r')
}

// atFold reports whether the LF here folds a line that goes on, so that it is dropped. Before a line of one blank it is not.
func (l *lexer) atFold() bool {
	return l.i+2 < len(l.b) && isBlank(l.b[l.i+1]) && l.b[l.i+2] != '\n'
}
