package message

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
)

// utf8Of converts text to UTF-8. Text in UTF-8, US-ASCII or a charset that is not known is returned as it is.
func utf8Of(text []byte, name []byte) []byte {
	enc := encodingOf(name)
	if enc == nil {
		return text
	}
	out, err := enc.NewDecoder().Bytes(text)
	if err != nil {
		return text
	}
	return out
}

// encodingOf returns the encoding with a MIME name, nil if none is needed or known.
func encodingOf(name []byte) encoding.Encoding {
	if len(name) == 0 || equalFold(name, "utf-8") || equalFold(name, "utf8") || equalFold(name, "us-ascii") {
		return nil
	}
	if enc, err := ianaindex.MIME.Encoding(string(name)); err == nil && enc != nil {
		return enc
	}
	enc, _ := charset.Lookup(string(name)) // the names that browsers know
	return enc
}

// Charset is the charset of a text that is to be searched for. The zero value is UTF-8, and US-ASCII, which is part of it.
type Charset struct{ encoding encoding.Encoding }

// CharsetNamed returns the charset with a MIME name. ok is false if it is not known.
func CharsetNamed(name []byte) (c Charset, ok bool) {
	c.encoding = encodingOf(name)
	return c, c.encoding != nil || equalFold(name, "utf-8") || equalFold(name, "utf8") || equalFold(name, "us-ascii")
}

// Decode returns text in UTF-8. ok is false if it is not valid in its charset.
func (c Charset) Decode(text []byte) (utf []byte, ok bool) {
	if c.encoding == nil {
		return text, utf8.Valid(text)
	}
	utf, err := c.encoding.NewDecoder().Bytes(text)
	return utf, err == nil && !bytes.ContainsRune(utf, utf8.RuneError)
}
