package message

import (
	"bytes"
	"encoding/base64"
)

// transferEncoding is a Content-Transfer-Encoding (RFC 2045 §6).
type transferEncoding uint8

const (
	encodingIdentity transferEncoding = iota // 7bit, 8bit, binary
	encodingQuotedPrintable
	encodingBase64
	encodingUnknown
)

// parseTransferEncoding reads a Content-Transfer-Encoding value; something may follow only after a semicolon.
func parseTransferEncoding(value []byte) transferEncoding {
	l := lexer{b: value}
	l.skip()
	word, st := l.token(nil)
	if st == more && l.b[l.i] != ';' {
		return encodingUnknown
	}
	switch {
	case equalFold(word, "7bit"), equalFold(word, "8bit"), equalFold(word, "binary"):
		return encodingIdentity
	case equalFold(word, "quoted-printable"):
		return encodingQuotedPrintable
	case equalFold(word, "base64"):
		return encodingBase64
	}
	return encodingUnknown
}

// decode returns the content of an encoded body, as far as it can be decoded.
func (e transferEncoding) decode(body []byte) []byte {
	switch e {
	case encodingIdentity:
		return body
	case encodingQuotedPrintable:
		return decodeQuotedPrintable(body)
	case encodingBase64:
		return decodeBase64(body)
	}
	return nil
}

// decodeBase64 decodes up to the first character that is neither base64 nor white space.
func decodeBase64(b []byte) []byte {
	clean := make([]byte, 0, len(b))
loop:
	for _, c := range b {
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/':
			clean = append(clean, c)
		default:
			break loop // padding, or damage
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	n, _ := base64.RawStdEncoding.Decode(clean, clean)
	return clean[:n]
}

// decodeQuotedPrintable decodes leniently: an "=" that starts no code stands for itself. Lines end in CRLF, whatever those of b end in.
func decodeQuotedPrintable(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line = b[:i+1]
		}
		b = b[len(line):]
		eol := line[len(line)-newlineSize(line):]
		text := bytes.TrimRight(line[:len(line)-len(eol)], " \t")
		if len(text) > 0 && text[len(text)-1] == '=' {
			text, eol = text[:len(text)-1], nil // soft line break
		}
		out = appendDecodedQ(out, text, false)
		if len(eol) > 0 {
			out = append(out, '\r', '\n')
		}
	}
	return out
}

// appendDecodedQ decodes "=XX", and with underscore also "_" for a space (RFC 2047 §4.2).
func appendDecodedQ(dst, text []byte, underscore bool) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '=' && i+2 < len(text):
			hi, lo := hexDigit(text[i+1]), hexDigit(text[i+2])
			if hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		case c == '_' && underscore:
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}

func hexDigit(c byte) int {
	switch c = lower(c); {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
