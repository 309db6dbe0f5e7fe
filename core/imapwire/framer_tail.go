package imapwire

import "math"

// tailScan recognizes "{" digits ["+"] "}" [CR] at the end of a line of which it sees one byte at a time.
type tailScan struct {
	size  uint64
	state tailState
	plus  bool
}

type tailState uint8

const (
	tailNone   tailState = iota // not in a literal's announcement
	tailOpen                    // "{"
	tailDigits                  // "{1"
	tailPlus                    // "{1+"
	tailClose                   // "{1}"
	tailCR                      // "{1}\r"
)

// next takes a byte that is not LF.
func (t *tailScan) next(c byte) {
	switch {
	case c == '{':
		*t = tailScan{state: tailOpen}
	case c >= '0' && c <= '9' && (t.state == tailOpen || t.state == tailDigits):
		t.digit(uint64(c - '0'))
	case c == '+' && t.state == tailDigits:
		t.state, t.plus = tailPlus, true
	case c == '}' && (t.state == tailDigits || t.state == tailPlus):
		t.state = tailClose
	case c == '\r' && t.state == tailClose:
		t.state = tailCR
	default:
		*t = tailScan{}
	}
}

// digit appends d, and stays at the largest size (RFC 9051 §9 number64) when the number is larger.
func (t *tailScan) digit(d uint64) {
	t.state = tailDigits
	if t.size > (math.MaxInt64-d)/10 {
		t.size = math.MaxInt64
		return
	}
	t.size = t.size*10 + d
}

// literal tells what the line announced, at its LF.
func (t *tailScan) literal() (size uint64, nonSync, ok bool) {
	return t.size, t.plus, t.state == tailClose || t.state == tailCR
}
