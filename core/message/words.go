package message

import "bytes"

// appendDecodedWords appends a header value in UTF-8, with its encoded words (RFC 2047) decoded. White space
// between two of these is dropped. A word that can not be decoded stays as it is.
func appendDecodedWords(dst, value []byte) []byte {
	afterWord := false
	for {
		i := bytes.Index(value, []byte("=?"))
		if i < 0 {
			return append(dst, value...)
		}
		if plain := value[:i]; !afterWord || len(bytes.TrimLeft(plain, " \t\r\n")) > 0 {
			dst = append(dst, plain...)
		}
		value = value[i:]
		text, size, ok := decodeWord(value)
		if !ok {
			dst = append(dst, value[:2]...)
			value = value[2:]
			afterWord = false
			continue
		}
		dst = append(dst, text...)
		value = value[size:]
		afterWord = true
	}
}

// decodeWord decodes the encoded word at the start of b and returns its size.
func decodeWord(b []byte) (text []byte, size int, ok bool) {
	name, rest, ok1 := bytes.Cut(b[2:], []byte{'?'})
	enc, rest, ok2 := bytes.Cut(rest, []byte{'?'})
	data, _, ok3 := bytes.Cut(rest, []byte{'?'})
	size = 2 + len(name) + 1 + len(enc) + 1 + len(data) + 2
	if !ok1 || !ok2 || !ok3 || len(enc) != 1 || size > len(b) || b[size-1] != '=' {
		return nil, 0, false
	}
	switch lower(enc[0]) {
	case 'q':
		text = appendDecodedQ(nil, data, true)
	case 'b':
		text = decodeBase64(data)
	default:
		return nil, 0, false
	}
	name, _, _ = bytes.Cut(name, []byte{'*'}) // language, RFC 2231 §5
	return utf8Of(text, name), size, true
}
