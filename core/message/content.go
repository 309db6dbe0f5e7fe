package message

// content is what the Content-* fields of a part say. nil stands for a field that is not there.
type content struct {
	typ, subtype []byte
	params       []param
	id           []byte
	description  []byte
	encoding     []byte
	md5          []byte
	disposition  []byte
	dispParams   []param
	language     [][]byte
	location     []byte
}

// content reads the Content-* fields of a part. The first field of a name counts, but a Content-Disposition is
// replaced by a later one while it has no parameters.
func (m *Message) content(i int32) content {
	var c content
	if m.parts[i].flags&flagMIME == 0 {
		return c
	}
	for f, rest, ok := NextField(m.header(i)); ok; f, rest, ok = NextField(rest) {
		if hasPrefixFold(f.Name, "Content-") {
			c.field(f)
		}
	}
	return c
}

// header returns the header block of a part.
func (m *Message) header(i int32) []byte {
	p := &m.parts[i]
	return m.data[p.start : p.start+p.headerSize]
}

// body returns the body of a part.
func (m *Message) body(i int32) []byte {
	p := &m.parts[i]
	start := p.start + p.headerSize
	return m.data[start : start+p.bodySize]
}

func (c *content) field(f Field) {
	text := func() []byte {
		t, _ := f.text([]byte{})
		return t
	}
	name := f.Name[len("Content-"):]
	switch {
	case equalFold(name, "Type") && c.typ == nil:
		c.setType(text())
	case equalFold(name, "Transfer-Encoding") && c.encoding == nil:
		l := lexer{b: text()}
		l.skip()
		if v, st := l.token([]byte{}); st == end && len(v) > 0 {
			c.encoding = v
		}
	case equalFold(name, "Disposition") && c.dispParams == nil:
		l := lexer{b: text()}
		l.skip()
		if v, st := l.token([]byte{}); st != bad {
			c.disposition, c.dispParams = v, l.params(nil)
		}
	case equalFold(name, "Language") && c.language == nil:
		c.language = languages(text())
	case equalFold(name, "ID") && c.id == nil:
		c.id = text()
	case equalFold(name, "Description") && c.description == nil:
		c.description = text()
	case equalFold(name, "MD5") && c.md5 == nil:
		c.md5 = text()
	case equalFold(name, "Location") && c.location == nil:
		c.location = text()
	}
}

func (c *content) setType(value []byte) {
	l := lexer{b: value}
	typ, st := l.contentType()
	c.typ, c.subtype = typ, []byte{}
	for i, ch := range typ {
		if ch == '/' {
			c.typ, c.subtype = typ[:i:i], typ[i+1:]
			break
		}
	}
	if st != bad {
		c.params = l.params(nil)
	}
}

// languages reads the tags of a Content-Language field (RFC 3282 §2).
func languages(value []byte) (tags [][]byte) {
	l := lexer{b: value}
	l.skip()
	for {
		tag, st := l.atom([]byte{})
		if st == bad {
			return tags
		}
		tags = append(tags, tag)
		if !l.next(',') {
			return tags
		}
		l.i++
		l.skip()
	}
}
