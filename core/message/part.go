package message

import "bytes"

// Limits bound what Parse builds. A message that reaches one is still parsed: what lies beyond stays the opaque
// body of the last part (Dovecot's behaviour, src/lib-mail/message-parser.c).
type Limits struct {
	MaxParts   int // parts of a message, itself included; 0 = 10000
	MaxNesting int // levels of parts, the message itself included; 0 = 100
}

// Default limits, those of Dovecot.
const (
	defaultMaxParts   = 10000
	defaultMaxNesting = 100
)

// Message is the part tree of a message. It refers to the bytes it was made from, and is read-only after Parse.
type Message struct {
	data  []byte
	parts []part // in the order of their start; 0 is the message itself
}

// part is one MIME part: a header block and a body, which for a multipart and a message/rfc822 holds other parts.
//
// Sizes are bytes and lines are LF characters, of the message as it is (with CRLF). A line end before a boundary
// belongs to the boundary, and so to the multipart.
type part struct {
	start       int // of the header, from the start of the message
	headerSize  int // with the empty line at its end, if that is there
	bodySize    int
	headerLines int
	bodyLines   int
	bareLFs     int   // in the body, without a CR before; only ParseStored counts them
	parent      int32 // -1 = none
	firstChild  int32 // 0 = none
	lastChild   int32
	next        int32 // sibling, 0 = none
	flags       partFlags
}

type partFlags uint8

const (
	flagMIME      partFlags = 1 << iota // Content-* fields count
	flagMultipart                       // children are the body parts
	flagDigest                          // multipart/digest
	flagMessage                         // message/rfc822: the only child is the message
	flagText                            // text/*, by default or by its type
	flagOverflow                        // more parts than are taken apart
)

// maxBoundary is how many bytes of a boundary parameter count. RFC 2046 §5.1.1 allows 70.
const maxBoundary = 80

// Parse finds the parts of a message (RFC 2046 §5). It takes any input, needs time linear in its size, and retains
// data, which must not change. A header block alone is a message, too.
func Parse(data []byte, limits Limits) *Message {
	if limits.MaxParts <= 0 {
		limits.MaxParts = defaultMaxParts
	}
	if limits.MaxNesting <= 0 {
		limits.MaxNesting = defaultMaxNesting
	}
	p := parser{Message: Message{data: data, parts: make([]part, 1, 8)}, limits: limits}
	p.parts[0].parent = -1
	for step := stepFunc(p.header); step != nil; {
		step = step()
	}
	for p.cur != 0 {
		p.finish()
	}
	return &p.Message
}

// parser is the state of Parse. Each step reads a header or a body and returns the next one.
type parser struct {
	Message
	limits     Limits
	pos        int
	cur        int32      // the part being read
	depth      int        // how many parts are around cur
	boundaries []boundary // those that may end cur, innermost last
	lexBuf     []byte
}

type boundary struct {
	part int32 // the multipart
	text []byte
}

// stepFunc is a step of the parser; nil ends it.
type stepFunc func() stepFunc

// header reads the header of the current part.
func (p *parser) header() stepFunc {
	h := headerState{}
	for p.pos < len(p.data) {
		if b := p.boundaryAt(p.pos); b >= 0 && p.boundaries[b].part != p.cur {
			p.giveNewline(h.newline)
			break
		}
		if h.done {
			break
		}
		p.headerField(&h)
	}
	cur := &p.parts[p.cur]
	if cur.flags&flagMIME == 0 {
		cur.flags = 0 // without MIME-Version and Content-Type, the rest means nothing
	}
	if !h.typed || cur.flags&flagMIME == 0 {
		if cur.parent >= 0 && p.parts[cur.parent].flags&flagDigest != 0 {
			cur.flags |= flagMessage // RFC 2046 §5.1.5
		} else {
			cur.flags |= flagText // RFC 2045 §5.2
		}
	}
	if !h.multipart && cur.flags&flagMessage != 0 {
		if p.depth+1 < p.limits.MaxNesting && len(p.parts) < p.limits.MaxParts {
			p.appendPart(0)
			return p.header
		}
		cur.flags = cur.flags&^flagMessage | flagOverflow
	}
	return p.body
}

// headerState is what header knows of the fields read so far.
type headerState struct {
	boundary  []byte // of the Content-Type
	bounded   bool   // there is one
	typed     bool   // Content-Type was seen
	multipart bool   // the boundary was put on p.boundaries
	done      bool   // the empty line was read
	newline   int    // size of the last line end
}

// headerField reads one field, or the empty line.
func (p *parser) headerField(h *headerState) {
	cur := &p.parts[p.cur]
	f, rest, ok := NextField(p.data[p.pos:])
	size := len(f.Raw)
	if !ok {
		size = emptyLine(rest)
		h.newline, h.done = size, true
		if h.bounded && cur.flags&flagMIME != 0 {
			// The boundary counts from here on, so that one that starts
			// like an outer one is known before the body begins.
			if p.depth+1 < p.limits.MaxNesting {
				p.boundaries = append(p.boundaries, boundary{p.cur, h.boundary})
				h.multipart = true
			} else {
				cur.flags = cur.flags&^flagMultipart | flagOverflow
			}
		}
		cur.headerLines++
		cur.headerSize += size
		p.pos += size
		return
	}
	h.newline = newlineSize(f.Raw)
	cur.headerLines += bytes.Count(f.Raw, newlineByte)
	cur.headerSize += size
	p.pos += size
	switch {
	case equalFold(f.Name, "MIME-Version"):
		cur.flags |= flagMIME
	case equalFold(f.Name, "Content-Type"):
		cur.flags |= flagMIME
		if !h.typed {
			h.typed = true
			p.contentType(h, f)
		}
	}
}

// contentType takes the kind of the current part, and its boundary, from a Content-Type field.
func (p *parser) contentType(h *headerState, f Field) {
	var value []byte
	value, p.lexBuf = f.text(p.lexBuf[:0])
	l := lexer{b: value}
	typ, st := l.contentType()
	cur := &p.parts[p.cur]
	switch {
	case equalFold(typ, "message/rfc822"):
		cur.flags |= flagMessage
	case equalFold(typ, "text"), hasPrefixFold(typ, "text/"):
		cur.flags |= flagText
	case hasPrefixFold(typ, "multipart/"):
		cur.flags |= flagMultipart
		if equalFold(typ[len("multipart/"):], "digest") {
			cur.flags |= flagDigest
		}
		if st == bad {
			return
		}
		for _, prm := range l.params(nil) {
			if equalFold(prm.name, "boundary") {
				// value is in a buffer that the next field uses
				h.boundary, h.bounded = bytes.Clone(prm.value[:min(len(prm.value), maxBoundary)]), true
				return
			}
		}
	}
}

// giveNewline moves the line end of the last header line, which stands before a boundary, to the parent's body.
func (p *parser) giveNewline(size int) {
	if size == 0 {
		return
	}
	cur := &p.parts[p.cur]
	cur.headerSize -= size
	cur.headerLines--
	parent := &p.parts[cur.parent]
	parent.bodySize += size
	parent.bodyLines++
}

// body reads the body of the current part up to the next boundary line, and that line.
func (p *parser) body() stepFunc {
	line, b := p.findBoundary()
	if b < 0 {
		p.add(len(p.data))
		return nil
	}
	found := p.boundaries[b]
	content := line
	if line > p.pos {
		content -= newlineSize(p.data[p.pos:line])
	}
	p.add(content)
	for p.cur != found.part {
		p.finish()
	}
	p.boundaries = p.boundaries[:b+1]
	if bytes.HasPrefix(p.data[line+2+len(found.text):], dashes) {
		p.boundaries = p.boundaries[:b]
	}
	eol := bytes.IndexByte(p.data[line:], '\n')
	if eol < 0 {
		p.add(len(p.data))
		return nil
	}
	p.add(line + eol + 1)
	if n := len(p.boundaries); n == 0 || p.boundaries[n-1].part != p.cur {
		return p.body // epilogue
	}
	p.appendPart(flagMIME)
	return p.header
}

// findBoundary returns where the next boundary line starts, and which boundary it
// is. p.pos is at the start of a line. -1 = none.
func (p *parser) findBoundary() (line, b int) {
	if len(p.boundaries) == 0 {
		return 0, -1
	}
	for line = p.pos; ; {
		if b = p.boundaryAt(line); b >= 0 {
			return line, b
		}
		i := bytes.Index(p.data[line:], newlineDashes)
		if i < 0 {
			return 0, -1
		}
		line += i + 1
	}
}

var (
	newlineByte   = []byte("\n")
	newlineDashes = []byte("\n--")
	dashes        = []byte("--")
)

// boundaryAt returns the boundary of the line at i, as an index into p.boundaries, or -1. Only the start
// of the line has to match (RFC 2046 §5.1.1); the longest match wins, and the innermost of
// several, unless one is the whole line.
func (p *parser) boundaryAt(i int) int {
	if len(p.boundaries) == 0 || !bytes.HasPrefix(p.data[i:], dashes) {
		return -1
	}
	if len(p.parts) >= p.limits.MaxParts {
		p.parts[p.cur].flags |= flagOverflow
		return -1
	}
	line := p.data[i+2:]
	if len(line) > maxBoundary+2+2 {
		line = line[:maxBoundary+2+2]
	}
	if eol := bytes.IndexByte(line, '\n'); eol >= 0 {
		line = line[:eol-carriage(line[:eol])]
	}
	closing := bytes.HasSuffix(line, dashes)
	best := -1
	for b := len(p.boundaries) - 1; b >= 0; b-- {
		text := p.boundaries[b].text
		if !bytes.HasPrefix(line, text) || best >= 0 && len(p.boundaries[best].text) >= len(text) {
			continue
		}
		best = b
		if n := len(line) - len(text); n == 0 || n == len(dashes) && closing {
			break
		}
	}
	return best
}

// add adds everything up to end to the body of the current part.
func (p *parser) add(end int) {
	cur := &p.parts[p.cur]
	cur.bodySize += end - p.pos
	cur.bodyLines += bytes.Count(p.data[p.pos:end], newlineByte)
	p.pos = end
}

// appendPart starts a new last child of the current part.
func (p *parser) appendPart(flags partFlags) {
	parent := &p.parts[p.cur]
	n := int32(len(p.parts))
	child := part{
		start:  parent.start + parent.headerSize + parent.bodySize,
		parent: p.cur,
		flags:  flags,
	}
	if parent.firstChild == 0 {
		parent.firstChild = n
	} else {
		p.parts[parent.lastChild].next = n
	}
	parent.lastChild = n
	p.parts = append(p.parts, child)
	p.cur = n
	p.depth++
}

// finish ends the current part and returns to its parent.
func (p *parser) finish() {
	cur := &p.parts[p.cur]
	parent := &p.parts[cur.parent]
	parent.bodySize += cur.headerSize + cur.bodySize
	parent.bodyLines += cur.headerLines + cur.bodyLines
	p.cur = cur.parent
	p.depth--
}

func hasPrefixFold(b []byte, s string) bool { return len(b) >= len(s) && equalFold(b[:len(s)], s) }
