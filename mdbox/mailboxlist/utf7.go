package mailboxlist

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// Modified UTF-7 (RFC 3501 §5.1.3): printable ASCII stands for itself, but '&' is
// "&-"; everything else is "&", the UTF-16BE of one or more characters in base64
// with ',' for '/' and without padding, "-".
//
// Each string has exactly one encoding here, since it is the name of a directory:
// printable ASCII in base64, two shifts in a row, nonzero spare bits and lone
// surrogates are refused, as Dovecot does (src/lib-imap/imap-utf7.c).

const utf7Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

var utf7Values = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range len(utf7Alphabet) {
		t[utf7Alphabet[i]] = int8(i)
	}
	return t
}()

var (
	errUTF8 = errors.New("is not valid UTF-8")
	errUTF7 = errors.New("is not valid modified UTF-7")
)

// direct reports whether c stands for itself (or, '&', has its own form).
func direct(c rune) bool { return c >= 0x20 && c <= 0x7e }

// AppendUTF7 appends the modified UTF-7 form of s. The error is that s is not valid UTF-8.
func AppendUTF7(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return dst, errUTF8
	}
	var bits uint32 // of a shifted sequence, not appended yet
	var nbits int
	shifted := false
	put := func(unit uint16) {
		bits = bits<<16 | uint32(unit)
		nbits += 16
		for nbits >= 6 {
			nbits -= 6
			dst = append(dst, utf7Alphabet[bits>>nbits&63])
		}
		bits &= 1<<nbits - 1
	}
	end := func() {
		if nbits > 0 {
			dst = append(dst, utf7Alphabet[bits<<(6-nbits)&63])
		}
		dst = append(dst, '-')
		bits, nbits, shifted = 0, 0, false
	}
	for _, c := range s {
		if direct(c) {
			if shifted {
				end()
			}
			dst = append(dst, byte(c))
			if c == '&' {
				dst = append(dst, '-')
			}
			continue
		}
		if !shifted {
			dst = append(dst, '&')
			shifted = true
		}
		if c >= 0x10000 {
			hi, lo := utf16.EncodeRune(c)
			put(uint16(hi))
			c = lo
		}
		put(uint16(c))
	}
	if shifted {
		end()
	}
	return dst, nil
}

// AppendFromUTF7 appends the UTF-8 form of s, which must be the one modified
// UTF-7 form that AppendUTF7 makes of it.
func AppendFromUTF7(dst []byte, s string) ([]byte, error) {
	afterShift := false // a shifted sequence has just ended
	for i := 0; i < len(s); {
		c := s[i]
		if !direct(rune(c)) {
			return dst, errUTF7
		}
		i++
		if c != '&' {
			dst = append(dst, c)
			afterShift = false
			continue
		}
		if i < len(s) && s[i] == '-' {
			dst = append(dst, '&')
			afterShift = false
			i++
			continue
		}
		if afterShift {
			return dst, errUTF7
		}
		var n int
		if dst, n = appendShifted(dst, s[i:]); n == 0 {
			return dst, errUTF7
		}
		i += n
		afterShift = true
	}
	return dst, nil
}

// appendShifted decodes base64 up to its "-", and returns how many bytes of s
// that takes, 0 if it is not valid.
func appendShifted(dst []byte, s string) ([]byte, int) {
	var bits uint32
	var nbits int
	var high rune // surrogate that waits for its other half
	for i := range len(s) {
		if s[i] == '-' {
			if high != 0 || nbits >= 6 || bits != 0 {
				return dst, 0
			}
			return dst, i + 1
		}
		v := utf7Values[s[i]]
		if v < 0 {
			return dst, 0
		}
		bits = bits<<6 | uint32(v)
		nbits += 6
		if nbits < 16 {
			continue
		}
		nbits -= 16
		unit := rune(bits >> nbits)
		bits &= 1<<nbits - 1
		switch {
		case high != 0:
			c := utf16.DecodeRune(high, unit)
			if c == utf8.RuneError {
				return dst, 0
			}
			dst = utf8.AppendRune(dst, c)
			high = 0
		case unit >= 0xd800 && unit < 0xdc00:
			high = unit
		case utf16.IsSurrogate(unit) || direct(unit):
			return dst, 0
		default:
			dst = utf8.AppendRune(dst, unit)
		}
	}
	return dst, 0
}
