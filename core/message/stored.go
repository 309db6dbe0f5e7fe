package message

import (
	"bytes"
	"cmp"
	"slices"
)

// StoredPart is one MIME part of a message as it is stored. Positions and sizes are bytes of that form; the virtual sizes
// are those with CRLF for every line end.
type StoredPart struct {
	Start                     int // of the header, from the start of the message
	HeaderSize, HeaderVirtual int // with the empty line at its end
	BodySize, BodyVirtual     int
	BodyLines                 int
	Children                  int // direct ones, which follow with their own

	MIME      bool // MIME-Version or Content-Type is there, or the part is one of a multipart
	Multipart bool
	Digest    bool // multipart/digest
	Message   bool // message/rfc822: the only child is the message
	Text      bool // text/*, by its type or by default
	Overflow  bool // a limit was reached: not everything below was taken apart
	NUL       bool // there are NULs in it that are in no child
}

// ParseStored is Parse for a message as it is stored, with LF line ends, CRLF or both. The
// structures of the result have the sizes that a client sees, with CRLF. The parts are depth-first, the message itself first
// (Dovecot's src/lib-mail/message-parser.c).
func ParseStored(data []byte, limits Limits) (*Message, []StoredPart) {
	m := Parse(data, limits)
	bare := m.countBareLFs()
	parts := make([]StoredPart, 0, len(m.parts))
	for i := range m.parts { // in the order of their start, which is depth-first
		p := &m.parts[i]
		p.bareLFs = bare[i].body
		s := StoredPart{
			Start: p.start, HeaderSize: p.headerSize, HeaderVirtual: p.headerSize + bare[i].header,
			BodySize: p.bodySize, BodyVirtual: p.bodySize + bare[i].body, BodyLines: p.bodyLines,
			MIME: p.flags&flagMIME != 0, Multipart: p.flags&flagMultipart != 0, Digest: p.flags&flagDigest != 0,
			Message: p.flags&flagMessage != 0, Text: p.flags&flagText != 0, Overflow: p.flags&flagOverflow != 0,
		}
		for j := p.firstChild; j != 0; j = m.parts[j].next {
			s.Children++
		}
		parts = append(parts, s)
	}
	for at := 0; ; at++ {
		next := bytes.IndexByte(data[at:], 0)
		if next < 0 {
			return m, parts
		}
		at += next
		parts[m.partAt(at)].NUL = true
	}
}

// bareLFs counts the LFs without a CR before them in header and body of a part.
type bareLFs struct{ header, body int }

// countBareLFs counts in one pass over the message.
func (m *Message) countBareLFs() []bareLFs {
	type edge struct {
		at   int
		to   *int
		sign int // what counts is the number before the end, minus that before the start
	}
	counts := make([]bareLFs, len(m.parts))
	edges := make([]edge, 0, 4*len(m.parts))
	for i := range m.parts {
		p, c := &m.parts[i], &counts[i]
		body := p.start + p.headerSize
		edges = append(edges, edge{p.start, &c.header, -1}, edge{body, &c.header, 1}, edge{body, &c.body, -1}, edge{body + p.bodySize, &c.body, 1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	n, pos := 0, 0
	for _, e := range edges {
		for pos < e.at {
			i := bytes.IndexByte(m.data[pos:e.at], '\n')
			if i < 0 {
				break
			}
			pos += i
			if pos == 0 || m.data[pos-1] != '\r' {
				n++
			}
			pos++
		}
		pos = e.at
		*e.to += e.sign * n
	}
	return counts
}

// partAt returns the innermost part that the byte at an offset belongs to.
func (m *Message) partAt(offset int) int32 {
	i, _ := slices.BinarySearchFunc(m.parts, offset, func(p part, offset int) int { return cmp.Compare(p.start, offset+1) })
	i-- // the last one that starts there or before
	for i > 0 {
		p := &m.parts[i]
		if offset < p.start+p.headerSize+p.bodySize {
			break
		}
		i = int(p.parent)
	}
	return int32(i)
}
