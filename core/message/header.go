package message

import "bytes"

// Field is one header field with its continuation lines. Its slices point into
// the header block that it was read from.
type Field struct {
	Raw  []byte // all lines with their line ends; the last may lack one at the end of the block
	Name []byte // what stands before the colon, without the blanks before it; empty if there is no colon
	// Value is everything after the colon with folding, without the last line end.
	Value []byte
}

// NextField reads the first field of a header block and returns what follows it.
// ok is false at the end of the block: at the empty line, with which rest then starts, or at the end of b.
func NextField(b []byte) (f Field, rest []byte, ok bool) {
	if len(b) == 0 || emptyLine(b) > 0 {
		return Field{}, b, false
	}
	first, end := -1, 0
	for {
		i := bytes.IndexByte(b[end:], '\n')
		if i < 0 {
			end = len(b)
			break
		}
		end += i + 1
		if end == len(b) || !isBlank(b[end]) {
			break
		}
		if first < 0 {
			first = end
		}
	}
	if first < 0 {
		first = end
	}
	f.Raw = b[:end:end]
	valueEnd := end - newlineSize(f.Raw)
	colon := bytes.IndexByte(b[:first], ':')
	nameEnd := max(colon, 0)
	for nameEnd > 0 && isBlank(b[nameEnd-1]) {
		nameEnd--
	}
	f.Name, f.Value = b[:nameEnd], b[colon+1:valueEnd]
	return f, b[end:], true
}

// SplitHeader splits a message behind the empty line that ends its header; that line belongs to the header.
// Without an empty line everything is header.
func SplitHeader(b []byte) (header, body []byte) {
	n := headerSize(b)
	return b[:n], b[n:]
}

// headerSize returns the length of the header block at the start of b with its empty line.
func headerSize(b []byte) int {
	for i := 0; i < len(b); {
		if n := emptyLine(b[i:]); n > 0 {
			return i + n
		}
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			break
		}
		i += j + 1
	}
	return len(b)
}

// FindField returns the first field with the given name (in any case).
func FindField(header []byte, name string) (f Field, ok bool) {
	for f, header, ok = NextField(header); ok; f, header, ok = NextField(header) {
		if equalFold(f.Name, name) {
			return f, true
		}
	}
	return Field{}, false
}

// Named reports whether the field has the given name (in any case).
func (f *Field) Named(name string) bool { return equalFold(f.Name, name) }

// AppendFields appends the fields of header whose name is one of names (with
// not: is none of names), as they stand there and in their order (RFC 3501 §6.4.5, HEADER.FIELDS
// and HEADER.FIELDS.NOT). Names compare without regard to case. An empty line follows, with not only if header has one.
func AppendFields(dst, header []byte, names []string, not bool) []byte {
	f, rest, ok := NextField(header)
	for ; ok; f, rest, ok = NextField(rest) {
		if hasName(f.Name, names) != not {
			dst = append(dst, f.Raw...)
		}
	}
	if not {
		return append(dst, rest...)
	}
	return append(dst, '\r', '\n')
}

func hasName(name []byte, names []string) bool {
	for _, n := range names {
		if equalFold(name, n) {
			return true
		}
	}
	return false
}

// middle returns what stands between the name and the value: the colon with the blanks before it, and one behind it.
func (f *Field) middle() []byte {
	n := len(f.Raw) - newlineSize(f.Raw) - len(f.Value) // where the value starts
	if len(f.Value) > 0 && isBlank(f.Value[0]) {
		n++
	}
	return f.Raw[len(f.Name):n]
}

// text returns the value as it is parsed: without blanks at its start, and with LF for
// every line end. If the first line is nothing but blanks, only one is taken away. The
// result points into f or is appended to buf, which is returned as well.
func (f *Field) text(buf []byte) (text, grown []byte) {
	v := f.Value
	line := v
	if i := bytes.IndexByte(v, '\n'); i >= 0 {
		line = v[:i]
		line = line[:len(line)-carriage(line)]
	}
	skip := 0
	for skip < len(line) && isBlank(line[skip]) {
		skip++
	}
	if skip == len(line) && skip > 1 {
		skip = 1
	}
	v = v[skip:]
	if bytes.IndexByte(v, '\n') < 0 {
		return v, buf
	}
	start := len(buf)
	for {
		i := bytes.IndexByte(v, '\n')
		if i < 0 {
			buf = append(buf, v...)
			return buf[start:len(buf):len(buf)], buf
		}
		buf = append(buf, v[:i-carriage(v[:i])]...)
		buf = append(buf, '\n')
		v = v[i+1:]
	}
}

// emptyLine returns the size of the line end if b starts with one, else 0.
func emptyLine(b []byte) int {
	switch {
	case len(b) > 0 && b[0] == '\n':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}

// newlineSize returns the size of the line end at the end of b, 0 to 2.
func newlineSize(b []byte) int {
	if len(b) == 0 || b[len(b)-1] != '\n' {
		return 0
	}
	return 1 + carriage(b[:len(b)-1])
}

// carriage returns 1 if b ends in CR, else 0.
func carriage(b []byte) int {
	if len(b) > 0 && b[len(b)-1] == '\r' {
		return 1
	}
	return 0
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// equalFold compares ASCII text without regard to case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
