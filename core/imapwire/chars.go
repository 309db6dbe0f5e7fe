package imapwire

// Character classes of RFC 3501 §9, one bit each.
const (
	classAtom    uint8 = 1 << iota // ATOM-CHAR
	classAString                   // ASTRING-CHAR = ATOM-CHAR / resp-specials
	classTag                       // ASTRING-CHAR except "+"
	classList                      // list-char = ATOM-CHAR / list-wildcards / resp-specials
	className                      // letters, digits, "." and "-": the name of a FETCH item up to its "["
	classText                      // TEXT-CHAR except quoted-specials, and 8-bit: in a quoted string without escape
)

var classes = makeClasses()

func makeClasses() (t [256]uint8) {
	for c := 1; c < 256; c++ {
		if c != '\r' && c != '\n' && c != '"' && c != '\\' {
			t[c] |= classText
		}
		if c < 0x21 || c > 0x7e { // SP, CTL, 8-bit
			continue
		}
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' {
			t[c] |= className
		}
		switch c {
		case '(', ')', '{', '"', '\\':
		case '%', '*':
			t[c] |= classList
		case ']':
			t[c] |= classAString | classTag | classList
		case '+':
			t[c] |= classAtom | classAString | classList
		default:
			t[c] |= classAtom | classAString | classTag | classList
		}
	}
	return t
}

// span returns how many bytes at the start of b are of the class.
func span(b []byte, class uint8) int {
	for i, c := range b {
		if classes[c]&class == 0 {
			return i
		}
	}
	return len(b)
}

// EqualFold reports whether b and the upper-case ASCII word are equal without
// regard to case. IMAP's own words are ASCII and case-insensitive (RFC 3501 §9, rule 1).
func EqualFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range b {
		c := b[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
