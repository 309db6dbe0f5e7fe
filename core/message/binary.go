package message

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// Errors of Binary.
var (
	// ErrUnknownCTE: the part has a Content-Transfer-Encoding that is not known (RFC 3516 §4.3: UNKNOWN-CTE).
	ErrUnknownCTE = errors.New("message: unknown Content-Transfer-Encoding")
	// ErrBadCTE: the part is not what its Content-Transfer-Encoding says.
	ErrBadCTE = errors.New("message: invalid data in an encoded part")
)

// Binary returns the body of a part, or with an empty path the message, without its transfer encoding (RFC 3516 §4.2). What
// does not exist is empty. The result points into the message if nothing was decoded.
//
// The RFC means parts that hold no others (RFC 9051 §6.4.5). Of one that does, all parts in it are decoded, and say
// "binary" where they said how they were encoded, as in Dovecot (src/lib-storage/index/index-mail-binary.c).
func (m *Message) Binary(path []uint32) ([]byte, error) {
	i := int32(0)
	if len(path) > 0 {
		if i = m.find(path); i < 0 {
			return nil, nil
		}
	}
	if m.parts[i].firstChild == 0 && len(path) > 0 {
		return m.encodingOf(i).strictly(m.body(i))
	}
	b := binaryWriter{m: m, dst: make([]byte, 0, len(m.data))}
	var err error
	if len(path) == 0 {
		err = b.part(i)
	} else {
		err = b.body(i)
	}
	return b.dst, err
}

// encodingOf returns the transfer encoding of a part: what its last field of that name says, also without MIME-Version.
func (m *Message) encodingOf(i int32) transferEncoding {
	e := encodingIdentity
	for f, rest, ok := NextField(m.header(i)); ok; f, rest, ok = NextField(rest) {
		if equalFold(f.Name, "Content-Transfer-Encoding") {
			value, _ := f.text(nil)
			e = parseTransferEncoding(value)
		}
	}
	return e
}

// binaryWriter puts a part together whose parts are decoded.
type binaryWriter struct {
	m   *Message
	dst []byte
}

// part appends header and body.
func (b *binaryWriter) part(i int32) error {
	e := b.m.encodingOf(i)
	if e == encodingIdentity || e == encodingUnknown || b.m.parts[i].firstChild != 0 || b.m.parts[i].bodySize == 0 {
		b.dst = append(b.dst, b.m.header(i)...)
		return b.body(i)
	}
	rest := b.m.header(i)
	for {
		f, more, ok := NextField(rest)
		if !ok {
			break
		}
		if !equalFold(f.Name, "Content-Transfer-Encoding") {
			b.dst = append(b.dst, f.Raw...)
		}
		rest = more
	}
	b.dst = append(b.dst, "Content-Transfer-Encoding: binary\r\n"...)
	b.dst = append(b.dst, rest...)
	return b.body(i)
}

// body appends the body: what lies between the parts in it stays.
func (b *binaryWriter) body(i int32) error {
	p := &b.m.parts[i]
	if p.firstChild == 0 {
		text, err := b.m.encodingOf(i).strictly(b.m.body(i))
		b.dst = append(b.dst, text...)
		return err
	}
	at := p.start + p.headerSize
	end := at + p.bodySize
	for j := p.firstChild; j != 0; j = b.m.parts[j].next {
		child := &b.m.parts[j]
		b.dst = append(b.dst, b.m.data[at:child.start]...)
		if err := b.part(j); err != nil {
			return err
		}
		at = child.start + child.headerSize + child.bodySize
	}
	b.dst = append(b.dst, b.m.data[at:end]...)
	return nil
}

// strictly returns the content of an encoded body, all of it, or an error.
func (e transferEncoding) strictly(body []byte) ([]byte, error) {
	switch e {
	case encodingIdentity:
		return body, nil
	case encodingQuotedPrintable:
		return strictQuotedPrintable(body)
	case encodingBase64:
		return strictBase64(body)
	}
	return nil, ErrUnknownCTE
}

// strictBase64 decodes base64 with white space between, and nothing but that after the padding (RFC 2045 §6.8).
func strictBase64(b []byte) ([]byte, error) {
	clean := make([]byte, 0, len(b))
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			clean = append(clean, c)
		}
	}
	n, err := base64.StdEncoding.Decode(clean, clean)
	if err != nil {
		return nil, ErrBadCTE
	}
	return clean[:n], nil
}

// strictQuotedPrintable decodes quoted-printable (RFC 2045 §6.7): an "=" that starts no code and ends no line is an error.
func strictQuotedPrintable(b []byte) ([]byte, error) {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line = b[:i+1]
		}
		b = b[len(line):]
		eol := line[len(line)-newlineSize(line):]
		text := bytes.TrimRight(line[:len(line)-len(eol)], " \t")
		for len(text) > 0 {
			i := bytes.IndexByte(text, '=')
			if i < 0 {
				out = append(out, text...)
				break
			}
			out, text = append(out, text[:i]...), text[i+1:]
			if len(text) == 0 { // soft line break
				eol = nil
				break
			}
			if len(text) < 2 || hexDigit(text[0]) < 0 || hexDigit(text[1]) < 0 {
				return nil, ErrBadCTE
			}
			out, text = append(out, byte(hexDigit(text[0])<<4|hexDigit(text[1]))), text[2:]
		}
		out = append(out, eol...)
	}
	return out, nil
}
