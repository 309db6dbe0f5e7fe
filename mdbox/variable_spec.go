package mdbox

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// variableSpec is what Dovecot 2.3 allows between '%' and the variable's name
// (src/lib/var-expand.c):
//
//	%[-][0][offset.][0][width][modifiers]x
//
// The value goes through the modifiers in order; then offset bytes are dropped from its
// start (negative: all but so many at the end are), and it is cut to width bytes (0 = not
// cut). A width written with a leading 0 pads with zeroes instead of cutting. The
// hashes H and N take width and offset for themselves: the hash modulo width,
// padded with zeroes to offset hex digits.
type variableSpec struct {
	offset, width int
	padZero       bool
	modifiers     []byte
}

// maxSpecNumber bounds offset and width; larger numbers are as good as this one.
const maxSpecNumber = 1 << 30

// parseSpec parses the part of s before the variable's name, n bytes long.
func parseSpec(s string) (spec variableSpec, n int) {
	negative := strings.HasPrefix(s, "-")
	if negative {
		n++
	}
	var digits string
	digits, n = scanDigits(s, n)
	spec.width, spec.padZero = specNumber(digits)
	if n < len(s) && s[n] == '.' {
		spec.offset = spec.width
		if negative {
			spec.offset = -spec.offset
		}
		digits, n = scanDigits(s, n+1)
		spec.width, spec.padZero = specNumber(digits)
	}
	for n < len(s) && strings.IndexByte("LUERXHNMDT", s[n]) >= 0 {
		spec.modifiers = append(spec.modifiers, s[n])
		n++
	}
	return spec, n
}

func scanDigits(s string, from int) (digits string, end int) {
	end = from
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	return s[from:end], end
}

func specNumber(digits string) (n int, padZero bool) {
	for _, c := range []byte(digits) {
		n = min(n*10+int(c-'0'), maxSpecNumber)
	}
	return n, strings.HasPrefix(digits, "0")
}

func (spec variableSpec) apply(v string) string {
	for _, m := range spec.modifiers {
		v = spec.modify(m, v)
	}
	switch {
	case spec.offset < 0 && len(v) > -spec.offset:
		v = v[len(v)+spec.offset:]
	case spec.offset > 0:
		v = v[min(spec.offset, len(v)):]
	}
	switch {
	case spec.width == 0:
		return v
	case spec.padZero:
		return zeroPad(v, spec.width)
	}
	return v[:min(spec.width, len(v))]
}

func (spec *variableSpec) modify(m byte, v string) string {
	switch m {
	case 'L':
		return asciiLower(v)
	case 'U':
		return asciiUpper(v)
	case 'E':
		return strings.NewReplacer(`"`, `\"`, `\`, `\\`, `'`, `\'`).Replace(v)
	case 'R':
		return reverse(v)
	case 'X':
		n, _ := strconv.ParseUint(v, 10, 64)
		return strconv.FormatUint(n, 16)
	case 'M':
		sum := md5.Sum([]byte(v))
		return hex.EncodeToString(sum[:])
	case 'D':
		return strings.ReplaceAll(v, ".", ",dc=")
	case 'T':
		return strings.TrimRight(v, " \t\r\n")
	case 'H':
		return spec.hash(uint64(stringHash(v)))
	default: // 'N'
		sum := md5.Sum([]byte(v))
		return spec.hash(binary.BigEndian.Uint64(sum[:8]))
	}
}

// hash prints a hash and uses up width and offset.
func (spec *variableSpec) hash(h uint64) string {
	if spec.width > 0 {
		h %= uint64(spec.width)
	}
	s := zeroPad(strconv.FormatUint(uint64(uint32(h)), 16), spec.offset)
	spec.offset, spec.width, spec.padZero = 0, 0, false
	return s
}

// maxPad is the most zeroes that padding adds. No path has use for more.
const maxPad = 255

func zeroPad(v string, width int) string {
	width = min(width, maxPad)
	if len(v) >= width {
		return v
	}
	return strings.Repeat("0", width-len(v)) + v
}

// stringHash is the ELF hash (dovecot src/lib/hash.c, str_hash).
func stringHash(s string) uint32 {
	var h uint32
	for _, c := range []byte(s) {
		h = h<<4 + uint32(c)
		if g := h & 0xf0000000; g != 0 {
			h ^= g >> 24
			h ^= g
		}
	}
	return h
}

// asciiLower leaves bytes outside of ASCII alone, as Dovecot does.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func asciiUpper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

func reverse(s string) string {
	b := make([]byte, len(s))
	for i := range len(s) {
		b[len(s)-1-i] = s[i]
	}
	return string(b)
}
