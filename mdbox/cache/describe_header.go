package cache

import "bytes"

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

// foundHeader is an occurrence of a wanted header field.
type foundHeader struct {
	wanted int // index in Describer.headers
	Occurrence
}

// appendHeaderFields appends the values of the wanted header fields of a header block: of each all occurrences, as they stand there,
// but with LF line ends; an empty one if there is none.
func (d *Describer) appendHeaderFields(values []FieldValue, header []byte) []FieldValue {
	if len(d.headers) == 0 {
		return values
	}
	d.found = d.found[:0]
	line, size := uint32(1), 0
	for rest := header; len(rest) > 0; {
		n := headerLength(rest)
		field := rest[:n]
		if field[0] == '\n' || field[0] == '\r' && len(field) > 1 && field[1] == '\n' {
			break
		}
		name := fieldName(field)
		for i := range d.headers {
			if equalName(name, d.headers[i].field) {
				d.found = append(d.found, foundHeader{i, Occurrence{Line: line, Text: withoutCR(field)}})
				size += 8 + n
			}
		}
		line += uint32(bytes.Count(field, []byte{'\n'}))
		rest = rest[n:]
	}
	all := make([]byte, 0, size) // of all values
	var occurrences []Occurrence
	for i := range d.headers {
		occurrences = occurrences[:0]
		for _, f := range d.found {
			if f.wanted == i {
				occurrences = append(occurrences, f.Occurrence)
			}
		}
		start := len(all)
		all = AppendHeaderValue(all, occurrences)
		values = append(values, FieldValue{d.headers[i].name, all[start:len(all):len(all)]})
	}
	return values
}

// fieldName returns the name of a field, which has its continuation lines; empty if it is none.
func fieldName(field []byte) []byte {
	name, _, isField := bytes.Cut(field, []byte{':'})
	if !isField {
		return nil
	}
	return bytes.TrimRight(name, " \t")
}

// equalName compares names of fields, without regard to case.
func equalName(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// withoutCR returns b with LF for every CRLF.
func withoutCR(b []byte) []byte {
	if bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
}
