package mdbox

import "bytes"

// FieldSet is a set of header field names, without regard to case.
// It is immutable and safe for concurrent use.
type FieldSet struct {
	names []string // lower case, no duplicates, in the order given
}

// NewFieldSet returns the set of the given names.
func NewFieldSet(names []string) *FieldSet {
	s := &FieldSet{}
	for _, n := range names {
		n = asciiLower(n)
		if !s.has([]byte(n)) {
			s.names = append(s.names, n)
		}
	}
	return s
}

// has reports whether name, in any case, is in the set.
func (s *FieldSet) has(name []byte) bool {
	for _, n := range s.names {
		if len(n) == len(name) && equalLower(name, n) {
			return true
		}
	}
	return false
}

// equalLower compares b without regard to case to lower, which has the same length and is lower case.
func equalLower(b []byte, lower string) bool {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// AppendMatching appends the fields of a header block that are in the set, in
// their order, with their continuation lines and line ends. The empty line at the
// end of the block is not one of them.
//
// A line without colon is no field, and neither are its continuation lines. Space
// between name and colon is allowed (RFC 5322 §4.5). A field at the end of a message that lacks its line
// end gets one.
func (s *FieldSet) AppendMatching(dst, block []byte) []byte {
	wanted := false
	for len(block) > 0 {
		line := block
		if i := bytes.IndexByte(block, '\n'); i >= 0 {
			line = block[:i+1]
		}
		block = block[len(line):]
		switch line[0] {
		case ' ', '\t':
		case '\n', '\r':
			if len(bytes.TrimRight(line, "\r\n")) == 0 {
				return dst
			}
			wanted = false
		default:
			name, _, isField := bytes.Cut(line, []byte{':'})
			wanted = isField && s.has(bytes.TrimRight(name, " \t"))
		}
		if wanted {
			dst = append(dst, line...)
			if line[len(line)-1] != '\n' {
				dst = append(dst, '\r', '\n')
			}
		}
	}
	return dst
}
