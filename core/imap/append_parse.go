package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/session"
)

// appended is a message of APPEND or REPLACE.
type appended struct {
	backend.AppendMessage
	utf8  bool      // it was sent as UTF8 data
	octet bool      // it was sent as a literal8
	body  int       // of session.Bodies, if it is one literal
	parts []catPart // of CATENATE; nil: it is one literal
}

// catPart is a part of a catenated message (RFC 4469 §5: cat-part).
type catPart struct {
	text int    // of session.Bodies, if url is nil
	url  []byte // never empty
}

// askedLiteral is the literal that was announced behind what was received of a command.
type askedLiteral struct {
	size    uint64
	nonSync bool
	inline  bool // it is an argument, and not a body
	part    bool // it is a part of a message
	message appended
}

// appendParser reads 1*(SP [flag-list SP] [date-time SP] append-data), where append-data is a literal, a literal8 (RFC 3516 §4.4),
// "UTF8" SP "(" literal8 ")" (RFC 6855 §4), or "CATENATE" SP "(" cat-part *(SP cat-part) ")" (RFC 4469 §5). The literals are bodies of the
// session. It reads whole commands, and beginnings, up to a literal that was announced and is no body yet.
type appendParser struct {
	d        *imapwire.Decoder
	r        *request
	bodies   []session.Body
	next     int // of bodies
	messages []appended
	asked    *askedLiteral // then what follows of d has no meaning
}

func (r *request) appendParser() *appendParser {
	return &appendParser{d: &r.d, r: r, bodies: r.s.Bodies()}
}

// going reports whether there is something to read.
func (p *appendParser) going() bool { return p.asked == nil && p.d.OK() }

// all reads all messages.
func (p *appendParser) all() {
	for p.going() {
		ahead := *p.d
		if begun := len(p.messages) > 0 || p.next > 0; begun && !ahead.TrySP() {
			return
		}
		p.message()
	}
}

// rest reads what follows the last body. All before that was checked when that was announced.
func (p *appendParser) rest() {
	last := p.bodies[len(p.bodies)-1]
	p.d.Skip(last.At + last.Kept - p.d.Pos())
	p.next = len(p.bodies)
	ahead := *p.d
	if ahead.TrySP() && (ahead.TryWord("TEXT") || ahead.TryWord("URL")) {
		p.moreParts(&appended{})
	} else {
		p.d.TryByte(')') // of UTF8 or CATENATE: run knows whether it belongs here
	}
	p.all()
}

func (p *appendParser) message() {
	var m appended
	d := p.d
	d.SP()
	if d.Peek() == '(' {
		m.Flags, m.Keywords = p.r.storedFlags()
		d.SP()
	}
	if d.Peek() == '"' {
		if m.InternalDate = d.DateTime().Unix(); m.InternalDate == 0 {
			m.InternalDate = 1 // 0 stands for now
		}
		d.SP()
	}
	switch {
	case d.TryWord("CATENATE"):
		d.SP()
		d.Byte('(')
		p.part(&m)
		p.moreParts(&m)
	case d.TryWord("UTF8"):
		m.utf8 = true
		d.SP()
		d.Byte('(')
		d.Byte('~')
		m.body = p.literal(&m, false)
		if p.going() {
			d.Byte(')')
		}
	default:
		m.octet = d.TryByte('~')
		m.body = p.literal(&m, false)
	}
	if p.going() {
		p.messages = append(p.messages, m)
	}
}

// moreParts reads *(SP cat-part) ")".
func (p *appendParser) moreParts(m *appended) {
	for p.going() && !p.d.TryByte(')') {
		p.d.SP()
		p.part(m)
	}
}

// part reads a cat-part. In what is not the whole command, the parts of m are not all there.
func (p *appendParser) part(m *appended) {
	d := p.d
	switch {
	case d.TryWord("TEXT"):
		d.SP()
		d.TryByte('~')
		text := p.literal(m, true)
		m.parts = append(m.parts, catPart{text: text})
	case d.TryWord("URL"):
		d.SP()
		if d.AtAnnouncement() {
			p.asked = &askedLiteral{inline: true}
			return
		}
		url := d.AString()
		if len(url) == 0 {
			d.Fail("empty URL")
		}
		m.parts = append(m.parts, catPart{url: url})
	default:
		d.Fail("expected TEXT or URL")
	}
}

// literal reads the announcement of a literal, and skips what is kept of that. It returns its number.
func (p *appendParser) literal(m *appended, part bool) int {
	size, nonSync := p.d.Announcement()
	if !p.d.OK() {
		return 0
	}
	if p.next == len(p.bodies) {
		p.asked = &askedLiteral{size: size, nonSync: nonSync, part: part, message: *m}
		return 0
	}
	b := p.bodies[p.next]
	if p.d.Pos() != b.At { // not what Literal has seen
		p.d.Fail("unexpected literal")
	}
	p.d.Skip(b.Kept)
	m.Size += b.Size
	p.next++
	return p.next - 1
}
