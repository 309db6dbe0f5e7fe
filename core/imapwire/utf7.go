package imapwire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// Modified UTF-7 (RFC 3501 §5.1.3): printable ASCII but "&" stands for itself,
// "&" is "&-", and everything else is a run of UTF-16BE units in base64 without
// padding, with "," for "/", between "&" and "-".

// ErrUTF7 says that a mailbox name is not valid modified UTF-7.
var ErrUTF7 = errors.New("mailbox name is not valid mUTF-7")

var utf7Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding)

// DecodeUTF7 returns the UTF-8 form of a name. It returns ErrUTF7 for anything
// that AppendUTF7 would not write: control and 8-bit characters, unterminated
// or empty runs, padding bits that are not zero, unpaired surrogates, printable
// ASCII in base64, and two runs side by side. So names have one form only.
func DecodeUTF7(name []byte) (string, error) { return decodeUTF7(name, false) }

// DecodeMixedUTF7 is DecodeUTF7 for a name that may also have characters in UTF-8, beside "&-" and runs.
func DecodeMixedUTF7(name []byte) (string, error) {
	if !utf8.Valid(name) {
		return "", ErrUTF7
	}
	return decodeUTF7(name, true)
}

func decodeUTF7(name []byte, mixed bool) (string, error) {
	out := make([]byte, 0, len(name))
	afterRun := false
	for i := 0; i < len(name); {
		c := name[i]
		if c < 0x20 || c == 0x7f || c > 0x7f && !mixed {
			return "", ErrUTF7
		}
		if c != '&' {
			out = append(out, c)
			afterRun = false
			i++
			continue
		}
		end := i + 1
		for end < len(name) && name[end] != '-' {
			end++
		}
		if end == len(name) {
			return "", ErrUTF7
		}
		if end == i+1 {
			out = append(out, '&')
			afterRun = false
		} else {
			var ok bool
			if out, ok = decodeRun(out, name[i+1:end]); !ok || afterRun {
				return "", ErrUTF7
			}
			afterRun = true
		}
		i = end + 1
	}
	return string(out), nil
}

// decodeRun appends the UTF-8 form of the base64 text of one run.
func decodeRun(out, run []byte) ([]byte, bool) {
	if bytes.ContainsAny(run, "\r\n") { // which package base64 passes over
		return out, false
	}
	units := make([]byte, utf7Base64.DecodedLen(len(run)))
	n, err := utf7Base64.Strict().Decode(units, run)
	if err != nil || n == 0 || n%2 != 0 {
		return out, false
	}
	for i := 0; i < n; i += 2 {
		r := rune(units[i])<<8 | rune(units[i+1])
		if utf16.IsSurrogate(r) {
			if n-i < 4 {
				return out, false
			}
			i += 2
			if r = utf16.DecodeRune(r, rune(units[i])<<8|rune(units[i+1])); r == utf8.RuneError {
				return out, false
			}
		}
		if r >= 0x20 && r <= 0x7e { // stands for itself, so must not be here
			return out, false
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}

// AppendUTF7 appends the modified UTF-7 form of a UTF-8 name. Bytes that are not
// UTF-8 become U+FFFD.
func AppendUTF7(b []byte, name string) []byte {
	var units []byte
	flush := func() {
		if len(units) > 0 {
			b = append(b, '&')
			b = utf7Base64.AppendEncode(b, units)
			b = append(b, '-')
			units = units[:0]
		}
	}
	for _, r := range name {
		switch {
		case r == '&':
			flush()
			b = append(b, '&', '-')
		case r >= 0x20 && r <= 0x7e:
			flush()
			b = append(b, byte(r))
		case r >= 0x10000:
			hi, lo := utf16.EncodeRune(r)
			units = append(units, byte(hi>>8), byte(hi), byte(lo>>8), byte(lo))
		default:
			units = append(units, byte(r>>8), byte(r))
		}
	}
	flush()
	return b
}
