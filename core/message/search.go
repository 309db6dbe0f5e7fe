package message

import "bytes"

// Pattern is a string to search for, without regard to case (RFC 3501 §6.4.4).
type Pattern struct{ folded []byte }

// NewPattern makes a pattern of UTF-8 text.
func NewPattern(text string) Pattern { return Pattern{appendFolded(nil, []byte(text))} }

// FieldMatch says how the value of a field is prepared for a match.
type FieldMatch uint8

// Field matches, as Dovecot does them for the keys of SEARCH.
const (
	MatchValue   FieldMatch = iota // HEADER: the decoded value
	MatchAddress                   // FROM, TO, CC, BCC: the addresses, in a uniform notation
	MatchSubject                   // SUBJECT: runs of white space are one space
)

// MatchField reports whether a field with the given name is in header and its value
// contains the pattern; an empty pattern matches every value.
func (p Pattern) MatchField(header []byte, name string, how FieldMatch) bool {
	for f, rest, ok := NextField(header); ok; f, rest, ok = NextField(rest) {
		if !equalFold(f.Name, name) {
			continue
		}
		if len(p.folded) == 0 {
			return true
		}
		value := oneLine(f.Value)
		switch how {
		case MatchAddress:
			value = appendAddressText(nil, value)
		case MatchSubject:
			value = bytes.Join(bytes.Fields(value), []byte{' '})
		}
		if bytes.Contains(appendFolded(nil, appendDecodedWords(nil, value)), p.folded) {
			return true
		}
	}
	return false
}

// oneLine returns the value of a field without its line ends and first blank.
func oneLine(value []byte) []byte {
	if len(value) > 0 && isBlank(value[0]) {
		value = value[1:]
	}
	if bytes.IndexByte(value, '\n') < 0 {
		return value
	}
	out := make([]byte, 0, len(value))
	folded := false
	for line := range bytes.Lines(value) {
		if folded && line[0] == '\t' {
			out = append(out, ' ')
			line = line[1:]
		}
		out = append(out, line[:len(line)-newlineSize(line)]...)
		folded = true
	}
	return out
}

// SearchText is the text of a message in the form in which patterns are compared with it, made when it is needed. Make it
// once for all patterns of a search. It is for one goroutine.
type SearchText struct {
	m      *Message
	parts  []partText // nil: not made yet
	bodies [][]byte   // of the parts, for who does not want their headers; nil: not made yet
}

// partText is the text of one part: the header fields, and from body on the decoded body.
type partText struct {
	text []byte
	body int
}

// SearchText decodes the headers and text bodies of a message: encoded words, transfer
// encodings and charsets. Bodies that are not text, or whose transfer encoding is not known, are left out.
func (m *Message) SearchText() *SearchText { return &SearchText{m: m} }

// whole returns all text.
func (t *SearchText) whole() []partText {
	if t.parts == nil {
		t.parts = make([]partText, len(t.m.parts))
		for i := range t.parts {
			p := &t.parts[i]
			body := t.m.bodyText(int32(i), func(f Field, value []byte) {
				p.text = appendFolded(p.text, f.Name)
				p.text = append(p.text, f.middle()...)
				p.text = appendFolded(p.text, appendDecodedWords(nil, value))
				p.text = append(p.text, '\r', '\n')
			})
			p.body = len(p.text)
			p.text = appendFolded(p.text, body)
		}
	}
	return t.parts
}

// body returns the text of the bodies.
func (t *SearchText) body() [][]byte {
	if t.bodies == nil {
		t.bodies = make([][]byte, len(t.m.parts))
		for i := range t.bodies {
			if t.parts != nil {
				t.bodies[i] = t.parts[i].text[t.parts[i].body:]
			} else {
				t.bodies[i] = appendFolded(nil, t.m.bodyText(int32(i), func(Field, []byte) {}))
			}
		}
	}
	return t.bodies
}

// bodyText returns the decoded body of a part, nil if it is no text, and calls f for each field of its header with its value in one line.
func (m *Message) bodyText(i int32, f func(f Field, value []byte)) []byte {
	isText, encoding := true, encodingIdentity
	var charset []byte
	typed := false
	for field, rest, ok := NextField(m.header(i)); ok; field, rest, ok = NextField(rest) {
		value := oneLine(field.Value)
		switch {
		case equalFold(field.Name, "Content-Type"):
			l := lexer{b: value}
			typ, st := l.contentType()
			isText = hasPrefixFold(typ, "text/") || hasPrefixFold(typ, "message/")
			if !typed && st != bad {
				charset = paramValue(l.params(nil), "charset")
			}
			typed = true
		case equalFold(field.Name, "Content-Transfer-Encoding"):
			encoding = parseTransferEncoding(value)
		}
		f(field, value)
	}
	if p := &m.parts[i]; isText && p.flags&(flagMultipart|flagMessage) == 0 {
		return utf8Of(encoding.decode(m.body(i)), charset)
	}
	return nil
}

func paramValue(params []param, name string) []byte {
	for _, prm := range params {
		if equalFold(prm.name, name) {
			return prm.value
		}
	}
	return nil
}

// MatchText reports whether the pattern is in a header or body (SEARCH TEXT).
func (p Pattern) MatchText(t *SearchText) bool {
	for _, part := range t.whole() {
		if bytes.Contains(part.text, p.folded) {
			return true
		}
	}
	return false
}

// MatchBody reports whether the pattern is in a body (SEARCH BODY). Headers inside the body, of
// parts and attached messages, do not count, as in Dovecot.
func (p Pattern) MatchBody(t *SearchText) bool {
	for _, body := range t.body() {
		if bytes.Contains(body, p.folded) {
			return true
		}
	}
	return false
}
