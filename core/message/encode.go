package message

import "encoding/base64"

// EncodeBinary returns the message with base64 instead of each part that is "binary": what a client sends as binary content is shown by all FETCH
// items as text (RFC 3516 §6), as Dovecot does (src/lib-mail/istream-binary-converter.c). ok is false if there is no such part: then
// the message can be saved as it is.
func (m *Message) EncodeBinary() (encoded []byte, ok bool) {
	e := binaryEncoder{m: m}
	e.part(0)
	return e.dst, e.encoded
}

type binaryEncoder struct {
	m       *Message
	dst     []byte
	encoded bool
}

// part appends header and body.
func (e *binaryEncoder) part(i int32) {
	p := &e.m.parts[i]
	header, body := e.m.header(i), e.m.body(i)
	if p.firstChild != 0 {
		e.dst = append(e.dst, header...)
		at := p.start + p.headerSize
		end := at + p.bodySize
		for j := p.firstChild; j != 0; j = e.m.parts[j].next {
			child := &e.m.parts[j]
			e.dst = append(e.dst, e.m.data[at:child.start]...)
			e.part(j)
			at = child.start + child.headerSize + child.bodySize
		}
		e.dst = append(e.dst, e.m.data[at:end]...)
		return
	}
	rest, binary := header, false
	for f, more, ok := NextField(rest); ok; f, more, ok = NextField(rest) {
		if equalFold(f.Name, "Content-Transfer-Encoding") && isBinary(f) {
			binary = true
			e.dst = append(e.dst, "Content-Transfer-Encoding: base64\r\n"...)
		} else {
			e.dst = append(e.dst, f.Raw...)
		}
		rest = more
	}
	e.dst = append(e.dst, rest...)
	if !binary {
		e.dst = append(e.dst, body...)
		return
	}
	e.encoded = true
	const line = 76 / 4 * 3 // RFC 2045 §6.8
	for ; len(body) > line; body = body[line:] {
		e.dst = append(base64.StdEncoding.AppendEncode(e.dst, body[:line]), "\r\n"...)
	}
	e.dst = base64.StdEncoding.AppendEncode(e.dst, body)
}

func isBinary(f Field) bool {
	value, _ := f.text(nil)
	l := lexer{b: value}
	l.skip()
	word, _ := l.token(nil)
	return equalFold(word, "binary")
}
