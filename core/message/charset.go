package message

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/korean"
)

// decoder returns text in UTF-8.
type decoder func(text []byte) ([]byte, error)

// utf8Of converts text to UTF-8. Text in UTF-8, US-ASCII or a charset that is not known is returned as it is.
func utf8Of(text []byte, name []byte) []byte {
	decode := decoderOf(name)
	if decode == nil {
		return text
	}
	out, err := decode(text)
	if err != nil {
		return text
	}
	return out
}

// charsetAliases are names that occur in mail, of charsets that golang.org/x knows by others.
var charsetAliases = map[string]string{
	"cp932": "shift_jis", "iso-2022-jp-1": "iso-2022-jp", "iso-2022-jp-2": "iso-2022-jp", "iso-2022-jp-3": "iso-2022-jp", "iso-2022-jp-ms": "iso-2022-jp",
	"cp949": "euc-kr", "uhc": "euc-kr", "cp950": "big5", "cp874": "windows-874", "cp858": "ibm00858", "latin9": "iso-8859-15", "8859_1": "iso-8859-1",
	"maccyrillic": "x-mac-cyrillic",
}

// decoderOf returns the decoder of the charset with a MIME name, nil if none is needed or known.
func decoderOf(name []byte) decoder {
	if len(name) == 0 || equalFold(name, "utf-8") || equalFold(name, "utf8") || equalFold(name, "us-ascii") {
		return nil
	}
	key := strings.ToLower(string(name))
	switch key {
	case "utf-7", "unicode-1-1-utf-7":
		return decodeUTF7
	case "iso-2022-kr":
		return decodeISO2022KR
	}
	if alias, ok := charsetAliases[key]; ok {
		key = alias
	}
	if enc, err := ianaindex.MIME.Encoding(key); err == nil && enc != nil {
		return enc.NewDecoder().Bytes
	}
	if enc, _ := charset.Lookup(key); enc != nil { // the names that browsers know
		return enc.NewDecoder().Bytes
	}
	return nil
}

// decodeUTF7 decodes UTF-7 (RFC 2152): UTF-16 in base64 between "+" and whatever is no base64, a "-" there included.
func decodeUTF7(text []byte) ([]byte, error) {
	var out []byte
	for {
		plain, rest, ok := bytes.Cut(text, []byte{'+'})
		if out = append(out, plain...); !ok {
			return out, nil
		}
		n := 0
		for n < len(rest) && strings.IndexByte(base64Alphabet, rest[n]) >= 0 {
			n++
		}
		if n == 0 { // "+-"
			out = append(out, '+')
		}
		var units []uint16
		for b := decodeBase64(rest[:n]); len(b) > 1; b = b[2:] {
			units = append(units, uint16(b[0])<<8|uint16(b[1]))
		}
		for _, r := range utf16.Decode(units) {
			out = utf8.AppendRune(out, r)
		}
		text = bytes.TrimPrefix(rest[n:], []byte{'-'})
	}
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// decodeISO2022KR decodes ISO-2022-KR (RFC 1557): EUC-KR in seven bits between SO and SI, in one line.
func decodeISO2022KR(text []byte) ([]byte, error) {
	euc := bytes.ReplaceAll(text, []byte("\x1b$)C"), nil)
	high := false
	n := 0
	for _, c := range euc {
		switch {
		case c == 0x0e || c == 0x0f:
			high = c == 0x0e
			continue
		case c == '\n':
			high = false
		case high && c > ' ':
			c |= 0x80
		}
		euc[n] = c
		n++
	}
	return korean.EUCKR.NewDecoder().Bytes(euc[:n])
}

// Charset is the charset of a text that is to be searched for. The zero value is UTF-8, and US-ASCII, which is part of it.
type Charset struct{ decode decoder }

// CharsetNamed returns the charset with a MIME name. ok is false if it is not known.
func CharsetNamed(name []byte) (c Charset, ok bool) {
	c.decode = decoderOf(name)
	return c, c.decode != nil || equalFold(name, "utf-8") || equalFold(name, "utf8") || equalFold(name, "us-ascii")
}

// Decode returns text in UTF-8. ok is false if it is not valid in its charset.
func (c Charset) Decode(text []byte) (utf []byte, ok bool) {
	if c.decode == nil {
		return text, utf8.Valid(text)
	}
	utf, err := c.decode(text)
	return utf, err == nil && !bytes.ContainsRune(utf, utf8.RuneError)
}
