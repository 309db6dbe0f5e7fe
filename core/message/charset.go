package message

import (
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
