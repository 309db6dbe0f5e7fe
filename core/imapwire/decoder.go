package imapwire

import "fmt"

// Decoder reads the tokens of one complete command. The zero value is a decoder
// of an empty command with no nesting allowed; use NewDecoder.
type Decoder struct {
	b      []byte
	pos    int // offset of the next byte, 0 <= pos <= len(b)
	err    *SyntaxError
	limits Limits
	depth  int
	utf8   bool // quoted strings must be UTF-8
}

// NewDecoder returns a decoder of cmd, which it neither copies nor changes.
func NewDecoder(cmd []byte, l Limits) Decoder {
	return Decoder{b: cmd, limits: l}
}

// RequireUTF8 makes that 8-bit bytes in quoted strings must be UTF-8 (RFC 6855 §3).
func (d *Decoder) RequireUTF8() { d.utf8 = true }

// Err returns the first error, a *SyntaxError, or nil.
func (d *Decoder) Err() error {
	if d.err == nil {
		return nil
	}
	return d.err
}

// OK reports whether nothing has failed so far.
func (d *Decoder) OK() bool { return d.err == nil }

// Pos returns the offset of the next byte, from 0.
func (d *Decoder) Pos() int { return d.pos }

// Since returns the bytes consumed since an earlier Pos.
func (d *Decoder) Since(pos int) []byte { return d.b[pos:d.pos:d.pos] }

// Fail records an error at the next byte, unless one stands already.
func (d *Decoder) Fail(what string) {
	d.failAt(d.pos, what)
}

// Failf is Fail with a format.
func (d *Decoder) Failf(format string, args ...any) {
	if d.err == nil {
		d.failAt(d.pos, fmt.Sprintf(format, args...))
	}
}

// FailAt is Fail at an earlier Pos.
func (d *Decoder) FailAt(pos int, what string) { d.failAt(pos, what) }

func (d *Decoder) failAt(pos int, what string) {
	if d.err == nil {
		d.err = &SyntaxError{Pos: pos + 1, What: what}
	}
}

// Peek returns the next byte without consuming it, or 0 at the end and after an
// error. (A NUL is nowhere allowed outside of a literal8.)
func (d *Decoder) Peek() byte {
	if d.err != nil || d.pos >= len(d.b) {
		return 0
	}
	return d.b[d.pos]
}

// TryByte consumes the next byte if it is c.
func (d *Decoder) TryByte(c byte) bool {
	if d.err != nil || d.pos >= len(d.b) || d.b[d.pos] != c {
		return false
	}
	d.pos++
	return true
}

// Byte consumes c.
func (d *Decoder) Byte(c byte) {
	if !d.TryByte(c) && d.err == nil {
		d.Failf("expected %q", c)
	}
}

// TrySP consumes a space, if one is next and something follows it. Like Dovecot it takes several for one: clients that
// put their commands together from parts send them.
func (d *Decoder) TrySP() bool {
	if !d.TryByte(' ') {
		return false
	}
	d.skipSpaces()
	return !d.AtEnd()
}

// SP consumes a space, or several.
func (d *Decoder) SP() {
	if !d.TryByte(' ') {
		d.Fail("expected SP")
	}
	d.skipSpaces()
}

func (d *Decoder) skipSpaces() {
	for d.TryByte(' ') {
	}
}

// AtEnd reports whether only the command's line end is left.
func (d *Decoder) AtEnd() bool {
	c := d.Peek()
	return d.err == nil && (d.pos >= len(d.b) || c == '\r' || c == '\n')
}

// End consumes the command's final CRLF, or LF, or nothing if it was cut off
// before, and fails if anything but that is left. Like Dovecot it allows
// spaces before.
func (d *Decoder) End() {
	d.skipSpaces()
	at := d.pos
	d.TryByte('\r')
	d.TryByte('\n')
	if d.err == nil && d.pos != len(d.b) {
		d.failAt(at, "expected end of command")
	}
}

// Enter begins something nested and must be followed by Leave. It fails beyond
// the nesting limit.
func (d *Decoder) Enter() {
	d.depth++
	if d.depth > d.limits.Depth {
		d.Failf("nesting exceeds [limits] nesting = %d", d.limits.Depth)
	}
}

// Leave ends what Enter began.
func (d *Decoder) Leave() { d.depth-- }

// List consumes "(" [item *(SP item)] ")" and calls item once for each item. There may be spaces beside the parentheses.
// It returns the number of items.
func (d *Decoder) List(item func()) int {
	if !d.TryByte('(') {
		d.Fail("expected (")
		return 0
	}
	d.Enter()
	defer d.Leave()
	d.skipSpaces()
	if d.TryByte(')') {
		return 0
	}
	n := 0
	for d.err == nil {
		if n++; n > d.limits.Items {
			d.Failf("list exceeds [limits] list_items = %d", d.limits.Items)
			return n
		}
		item()
		if d.TryByte(')') {
			return n
		}
		if !d.TryByte(' ') {
			d.Fail("expected SP or )")
		}
		d.skipSpaces()
		if d.TryByte(')') {
			return n
		}
	}
	return n
}
