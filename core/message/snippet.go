package message

import (
	"bytes"
	"unicode/utf8"
)

// maxSnippet is how many characters a snippet has at the most.
const maxSnippet = 200

// AppendSnippet appends the first characters of the text of the message (PREVIEW, RFC 8970 §3.1), in UTF-8, with runs
// of white space as one space. Lines that are quoted with ">" count only if there is nothing else; then a
// ">" stands in front. Without text nothing is appended. (Dovecot's src/lib-mail/message-snippet.c)
func (m *Message) AppendSnippet(dst []byte) []byte {
	i, ok := m.textPart(0)
	if !ok {
		return dst
	}
	isHTML := false
	var charset []byte
	encoding := encodingIdentity
	typed := false
	for f, rest, ok := NextField(m.header(i)); ok; f, rest, ok = NextField(rest) {
		switch {
		case equalFold(f.Name, "Content-Type") && !typed:
			typed = true
			value, _ := f.text(nil)
			l := lexer{b: value}
			typ, st := l.contentType()
			if !hasPrefixFold(typ, "text/") {
				return dst // "text" alone is no type
			}
			isHTML = equalFold(typ, "text/html")
			if st != bad {
				charset = paramValue(l.params(nil), "charset")
			}
		case equalFold(f.Name, "Content-Transfer-Encoding"):
			value, _ := f.text(nil)
			encoding = parseTransferEncoding(value)
		}
	}
	text := encoding.decode(m.body(i))
	if charset != nil && len(charset) == 0 { // Dovecot takes it for the charset of its environment, ASCII
		text = asciiOf(text)
	} else {
		text = cutShort(utf8Of(text, charset), encoding == encodingIdentity)
	}
	text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	if isHTML {
		text = appendHTMLText(nil, text)
	}
	return appendSnippet(dst, text)
}

// cutShort removes what is at the end of text if that may be the beginning of a character, which Dovecot waits for the rest of: it counts
// bytes, of text that is not encoded (lines) with LF line ends, and looks at the first one only.
func cutShort(text []byte, lines bool) []byte {
	const tail = 2 * 5
	from := max(len(text)-tail, 0)
	last := text[from:]
	if lines {
		last = bytes.ReplaceAll(last, []byte("\r\n"), newlineByte)
	}
	for i := 0; i < len(last); {
		n := charBytes(last[i])
		if i+n > len(last) && i+5 >= len(last) {
			return append(text[:from:from], last[:i]...)
		}
		i++
	}
	return text
}

// asciiOf makes what is no ASCII invalid UTF-8.
func asciiOf(text []byte) []byte {
	out := bytes.Clone(text)
	for i, c := range out {
		if c >= 0x80 {
			out[i] = 0xff
		}
	}
	return out
}

// charBytes returns the length of a character by its first byte, also of those that are none since RFC 3629.
func charBytes(c byte) int {
	switch {
	case c < 0xc0 || c >= 0xfe:
		return 1
	case c < 0xe0:
		return 2
	case c < 0xf0:
		return 3
	case c < 0xf8:
		return 4
	case c < 0xfc:
		return 5
	}
	return 6
}

// textPart returns the part that a snippet is made of: the first text; of the alternatives the plain one, else the last HTML,
// else another text (Dovecot's src/lib-storage/index/index-mail.c, index_mail_find_first_text_mime_part).
func (m *Message) textPart(i int32) (part int32, ok bool) {
	c := m.content(i)
	if c.isText() {
		return i, true
	}
	if !equalFold(c.typ, "multipart") {
		return 0, false
	}
	alternative := equalFold(c.subtype, "alternative")
	html, other := int32(0), int32(0)
	for j := m.parts[i].firstChild; j != 0; j = m.parts[j].next {
		if !alternative {
			if part, ok := m.textPart(j); ok {
				return part, true
			}
			continue
		}
		switch c := m.content(j); {
		case !c.isText():
		case c.typ == nil || equalFold(c.subtype, "plain"):
			return j, true
		case equalFold(c.subtype, "html"):
			html = j
		default:
			other = j
		}
	}
	if html != 0 {
		return html, true
	}
	return other, other != 0
}

func (c *content) isText() bool { return c.typ == nil || equalFold(c.typ, "text") }

// snippetText collects characters.
type snippetText struct {
	text []byte
	left int // characters that there is room for
}

// appendSnippet appends the snippet of a text in UTF-8.
func appendSnippet(dst, text []byte) []byte {
	plain, quoted := snippetText{left: maxSnippet}, snippetText{left: maxSnippet - 1}
	target, newline, space := &plain, true, false
	for len(text) > 0 && plain.left > 0 {
		if newline {
			newline = false
			target = &plain
			if text[0] == '>' {
				target = &quoted
				text = text[1:]
				continue
			}
		}
		_, size := utf8.DecodeRune(text)
		char := text[:size]
		text = text[size:]
		switch {
		case char[0] == 0 || string(char) == "\uFEFF": // a byte order mark, wherever it is
		case isSpace(char[0]):
			space = space || len(target.text) > 0
			newline = char[0] == '\n'
		default:
			target.add(char, &space)
		}
	}
	switch {
	case len(plain.text) > 0:
		return append(dst, bytes.TrimLeft(plain.text, " ")...) // a space may be left from between quoted lines
	case len(quoted.text) > 0:
		dst = append(dst, '>')
		return append(dst, bytes.TrimLeft(quoted.text, " ")...)
	}
	return dst
}

// add adds a character, and the space before it that is due. A space is never the last one.
func (t *snippetText) add(char []byte, space *bool) {
	if t.left == 0 {
		return
	}
	t.left--
	if *space {
		if t.left == 0 {
			return
		}
		t.text = append(t.text, ' ')
		*space = false
		t.left--
	}
	t.text = append(t.text, char...)
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
