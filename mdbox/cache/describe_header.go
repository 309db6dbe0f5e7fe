package cache

import (
	"bytes"
	"strings"
)

// headerEnd returns the length of the header block at the start of b with its empty line, and whether that was
// there. from is where to look: nothing before it is the end.
func headerEnd(b []byte, from int) (n int, found bool) {
	for i := from; i < len(b); {
		if b[i] == '\n' {
			return i + 1, true
		}
		if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			return i + 2, true
		}
		eol := bytes.IndexByte(b[i:], '\n')
		if eol < 0 {
			break
		}
		i += eol + 1
	}
	return len(b), false
}

// appendHeaderField appends the value of hdr.<name> of a header block: all occurrences of the field, as they stand there, but with LF
// line ends. It appends nothing if there is none.
func appendHeaderField(dst, header []byte, name string) []byte {
	var occurrences []Occurrence
	line := uint32(1)
	for rest := header; len(rest) > 0; {
		n := headerLength(rest)
		field := rest[:n]
		if field[0] == '\n' || field[0] == '\r' && len(field) > 1 && field[1] == '\n' {
			break
		}
		if isHeaderField(field, name) {
			occurrences = append(occurrences, Occurrence{Line: line, Text: withoutCR(field)})
		}
		line += uint32(bytes.Count(field, []byte{'\n'}))
		rest = rest[n:]
	}
	return AppendHeaderValue(dst, occurrences)
}

// isHeaderField reports whether a field, with its continuation lines, has a name.
func isHeaderField(field []byte, name string) bool {
	if len(field) <= len(name) || !strings.EqualFold(string(field[:len(name)]), name) {
		return false
	}
	after := bytes.TrimLeft(field[len(name):], " \t")
	return len(after) > 0 && after[0] == ':'
}

// withoutCR returns b with LF for every CRLF.
func withoutCR(b []byte) []byte {
	if bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
}
