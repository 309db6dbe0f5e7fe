package imap

import (
	"bytes"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/message"
)

// hold keeps a piece of the body until the header is complete.
func (f *fetch) hold(p []byte) {
	c := &f.cur
	if len(c.held)+len(p) > f.srv.cfg.Fetch.Buffer {
		f.refuse()
		return
	}
	from := max(len(c.held)-3, 0) // an empty line may lie across two pieces
	c.held = append(c.held, p...)
	if n := headerEnd(c.held, from); n > 0 {
		f.endHeader(n)
	}
}

// headerEnd returns where the header block ends that b starts with: after the empty line, which
// does not end before from; 0 if it is not there.
func headerEnd(b []byte, from int) int {
	switch {
	case bytes.HasPrefix(b, []byte("\r\n")):
		return 2
	case bytes.HasPrefix(b, []byte("\n")):
		return 1
	}
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		switch rest := b[from:]; {
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return from + 2
		case bytes.HasPrefix(rest, []byte("\n")):
			return from + 1
		}
	}
}

// endHeader makes the first n bytes held the header.
func (f *fetch) endHeader(n int) {
	f.cur.headed, f.cur.header = true, f.cur.held[:n:n]
}

// parse takes the message apart, which is held as a whole.
func (f *fetch) parse() {
	c := &f.cur
	c.parsed = message.Parse(c.held, f.srv.cfg.Fetch.Parts)
	header, _ := message.SplitHeader(c.held)
	f.endHeader(len(header))
}

// write writes items until one needs bytes that are not here yet.
func (f *fetch) write() {
	c := &f.cur
	for c.item < len(f.items) {
		it := &f.items[c.item]
		if c.open {
			if c.pos < c.stop {
				return
			}
			c.open = false
			c.item++
			continue
		}
		if it.first() {
			c.item++
			continue
		}
		b := f.begin()
		if c.item > 0 || f.newlySeen(c.msg) { // FLAGS stand before it
			*b = append(*b, ' ')
		}
		*b = append(*b, it.name...)
		if !f.content(b, it) {
			continue // the literal is open
		}
		c.item++
		f.commit()
	}
}

// content appends the content of an item. false: it is a literal that was opened only.
func (f *fetch) content(b *[]byte, it *fetchItem) bool {
	c := &f.cur
	switch it.kind {
	case fetchEnvelope:
		*b = append(*b, '(')
		*b = message.AppendEnvelope(*b, c.header)
		*b = append(*b, ')')
	case fetchBody, fetchBodyStructure:
		*b = append(*b, '(')
		*b = f.appendStructure(*b, it.kind == fetchBodyStructure)
		*b = append(*b, ')')
	case fetchPreview:
		*b = f.appendPreview(*b)
	case fetchBinary:
		f.binary(b, it.part(c.decoded[c.item]))
	case fetchBinarySize:
		*b = imapwire.AppendNumber(*b, uint64(len(c.decoded[c.item])))
	case fetchSection:
		switch {
		case c.parsed != nil:
			content, _ := c.parsed.Section(&it.section)
			f.literal(b, it.part(content))
		case it.section.Kind == message.SectionHeader:
			f.literal(b, it.part(c.header))
		case it.section.Kind == message.SectionFields, it.section.Kind == message.SectionFieldsNot:
			fields := message.AppendFields(nil, c.header, it.section.Fields, it.section.Kind == message.SectionFieldsNot)
			f.literal(b, it.part(fields))
		default:
			f.open(b, it)
			return false
		}
	}
	return true
}

// appendStructure appends BODY or BODYSTRUCTURE from the cache, or from the message.
func (f *fetch) appendStructure(b []byte, extended bool) []byte {
	c := &f.cur
	switch {
	case c.parsed != nil && len(c.structure) == 0:
		return c.parsed.AppendBodyStructure(b, extended)
	case extended:
		return append(b, c.structure...)
	}
	b, ok := message.AppendBodyFromStructure(b, c.structure)
	if !ok {
		f.failures.add(uint32(c.msg.UID), &backend.Error{Kind: backend.KindCorrupted, Detail: "BODYSTRUCTURE of storage is damaged"})
		return append(b, `"text" "plain" NIL NIL NIL "7bit" 0 0`...)
	}
	return b
}

// literal writes a literal that is here as a whole. What is large goes by the buffer.
func (f *fetch) literal(b *[]byte, content []byte) {
	*b = imapwire.AppendLiteralHeader(*b, uint64(len(content)))
	f.bytes(content)
}

// open begins the literal of a section that is a run of the body: BODY[], BODY[TEXT].
func (f *fetch) open(b *[]byte, it *fetchItem) {
	c := &f.cur
	start, stop := uint64(0), c.total
	if it.section.Kind == message.SectionText {
		start = uint64(len(c.header))
	}
	if it.partial {
		start += min(it.offset-min(c.base, it.offset), stop-start)
		stop = start + min(it.length, stop-start)
	}
	c.open, c.from, c.stop = true, start, stop
	*b = imapwire.AppendLiteralHeader(*b, stop-start)
	f.pass(c.held, 0)
}

// pass writes the part of p that belongs to the open literal; p starts at a position of the body.
func (f *fetch) pass(p []byte, at uint64) {
	c := &f.cur
	end := at + uint64(len(p))
	from, to := max(at, c.from), min(end, c.stop)
	if from < to {
		f.bytes(p[from-at : to-at])
	}
}

// bytes writes the content of a literal, in which NUL is not allowed and becomes 0x80, as in Dovecot.
func (f *fetch) bytes(p []byte) {
	if bytes.IndexByte(p, 0) >= 0 {
		p = bytes.Clone(p) // also since p may change (VolatileBody)
		for i := range p {
			if p[i] == 0 {
				p[i] = 0x80
			}
		}
	}
	f.raw(p)
}

// raw writes bytes as they are.
func (f *fetch) raw(p []byte) {
	if len(p) < 1024 {
		b := f.out.Buffer()
		*b = append(*b, p...)
		return
	}
	f.out.Commit()
	f.out.WritePart(p) // the end of the response follows
}
