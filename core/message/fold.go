package message

import (
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// appendFolded appends UTF-8 text in the form in which search compares it: title case,
// decomposed with compatibility mappings (RFC 5051 §2, i;unicode-casemap), as Dovecot does. So case does not
// matter, and a letter is found in its accented forms. What is no UTF-8 becomes U+FFFD.
func appendFolded(dst, text []byte) []byte {
	for len(text) > 0 {
		dst = slices.Grow(dst, len(text))
		at, n := len(dst), 0
		out := dst[at:][:len(text)]
		for n < len(text) && text[n] < utf8.RuneSelf {
			out[n] = upper[text[n]]
			n++
		}
		dst, text = dst[:at+n], text[n:]
		for len(text) > 0 && text[0] >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text)
			text = text[size:]
			dst = appendFoldedRune(dst, r)
		}
	}
	return dst
}

// upper is the upper case of each byte of ASCII.
var upper = func() (t [utf8.RuneSelf]byte) {
	for c := range t {
		t[c] = byte(unicode.ToUpper(rune(c)))
	}
	return t
}()

func appendFoldedRune(dst []byte, r rune) []byte {
	switch {
	case r < foldTableSize:
		return append(dst, foldTable()[r]...)
	case 0x4e00 <= r && r <= 0x9fff: // CJK ideographs have neither case nor parts
		return utf8.AppendRune(dst, r)
	}
	return append(dst, foldRune(r)...)
}

func foldRune(r rune) string { return norm.NFKD.String(string(unicode.ToTitle(r))) }

// foldTableSize is where Latin, Greek and Cyrillic end.
const foldTableSize = 0x530

var foldTable = sync.OnceValue(func() *[foldTableSize]string {
	t := new([foldTableSize]string)
	for r := range t {
		t[r] = foldRune(rune(r))
	}
	return t
})
