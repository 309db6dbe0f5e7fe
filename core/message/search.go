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

// SearchText is the text of a message in the form in which patterns are compared with it. Make it
// once for all patterns of a search.
type SearchText struct {
	parts []partText
}

// partText is the text of one part: the header fields, and from body on the decoded body.
type partText struct {
	text []byte
	body int
}

// SearchText decodes the headers and text bodies of a message: encoded words, transfer
// encodings and charsets. Bodies that are not text, or whose transfer encoding is not known, are left out.
func (m *Message) SearchText() *SearchText {
	t := &SearchText{parts: make([]partText, len(m.parts))}
	for i := range m.parts {
		t.parts[i] = m.partText(int32(i))
	}
	return t
}

func (m *Message) partText(i int32) (t partText) {
	isText, encoding := true, encodingIdentity
	var charset []byte
	typed := false
	for f, rest, ok := NextField(m.header(i)); ok; f, rest, ok = NextField(rest) {
		value := oneLine(f.Value)
		switch {
		case equalFold(f.Name, "Content-Type"):
			l := lexer{b: value}
			typ, st := l.contentType()
			isText = hasPrefixFold(typ, "text/") || hasPrefixFold(typ, "message/")
			if !typed && st != bad {
				charset = paramValue(l.params(nil), "charset")
			}
			typed = true
		case equalFold(f.Name, "Content-Transfer-Encoding"):
			encoding = parseTransferEncoding(value)
		}
		t.text = appendFolded(t.text, f.Name)
		t.text = append(t.text, f.middle()...)
		t.text = appendFolded(t.text, appendDecodedWords(nil, value))
		t.text = append(t.text, '\r', '\n')
	}
	t.body = len(t.text)
	if p := &m.parts[i]; isText && p.flags&(flagMultipart|flagMessage) == 0 {
		t.text = appendFolded(t.text, utf8Of(encoding.decode(m.body(i)), charset))
	}
	return t
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
	for _, part := range t.parts {
		if bytes.Contains(part.text, p.folded) {
			return true
		}
	}
	return false
}

// MatchBody reports whether the pattern is in a body (SEARCH BODY). Headers inside the body, of
// parts and attached messages, do not count, as in Dovecot.
func (p Pattern) MatchBody(t *SearchText) bool {
	for _, part := range t.parts {
		if bytes.Contains(part.text[part.body:], p.folded) {
			return true
		}
	}
	return false
}
