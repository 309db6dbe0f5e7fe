package message

import (
	"bytes"
	"strconv"
)

// AppendBodyFromStructure appends the BODY that belongs to a BODYSTRUCTURE (both without the parentheses around
// them): everything but the extension data (RFC 3501 §7.4.2). ok is false, and dst unchanged, if structure can not be
// parsed; it comes from a cache file, which may be damaged.
func AppendBodyFromStructure(dst, structure []byte) (body []byte, ok bool) {
	r := structureReader{b: structure, dst: dst}
	r.body(0)
	if r.failed || r.i != len(r.b) {
		return dst, false
	}
	return r.dst, true
}

// maxStructureDepth bounds nesting; a part takes two levels at the most.
const maxStructureDepth = 4 * defaultMaxNesting

// structureReader copies values of a BODYSTRUCTURE to dst: atoms (NIL and numbers), strings, literals and lists.
// After a failure it does nothing more.
type structureReader struct {
	b      []byte
	i      int
	dst    []byte
	failed bool
}

// body copies one body up to the end of its list or of the text, without extension data.
func (r *structureReader) body(depth int) {
	if depth > maxStructureDepth {
		r.failed = true
		return
	}
	if r.at('(') {
		for !r.failed && r.at('(') {
			r.inner(depth)
		}
		r.copy(" ")
		r.values(1) // subtype
		r.skipRest()
		return
	}
	start := r.i
	r.values(2) // type, subtype
	kind := r.b[start:r.i]
	r.copy(" ")
	r.values(5) // parameters, id, description, encoding, size
	switch {
	case equalFold(kind, `"message" "rfc822"`):
		r.copy(" ")
		r.values(1) // envelope
		r.copy(" ")
		r.inner(depth)
		r.copy(" ")
		r.values(1) // lines
	case hasPrefixFold(kind, `"text" `):
		r.copy(" ")
		r.values(1) // lines
	}
	r.skipRest()
}

// inner copies "(" body ")".
func (r *structureReader) inner(depth int) {
	r.copy("(")
	r.body(depth + 1)
	r.copy(")")
}

// copy copies c, which must be next.
func (r *structureReader) copy(c string) {
	if r.failed || !r.at(c[0]) {
		r.failed = true
		return
	}
	r.i++
	r.dst = append(r.dst, c...)
}

// values copies n values with spaces between.
func (r *structureReader) values(n int) {
	start := r.i
	for k := 0; k < n && !r.failed; k++ {
		if k > 0 {
			r.failed = !r.at(' ')
			r.i++
		}
		r.failed = r.failed || !r.skip(0)
	}
	if !r.failed {
		r.dst = append(r.dst, r.b[start:r.i]...)
	}
}

// skipRest passes over extension data, up to the end of the list.
func (r *structureReader) skipRest() {
	for !r.failed && r.at(' ') {
		r.i++
		r.failed = !r.skip(0)
	}
}

// skip passes over one value.
func (r *structureReader) skip(depth int) bool {
	if r.i == len(r.b) || depth > maxStructureDepth {
		return false
	}
	switch c := r.b[r.i]; c {
	case '(':
		r.i++
		for r.i < len(r.b) && r.b[r.i] != ')' {
			if r.b[r.i] == ' ' {
				r.i++
			} else if !r.skip(depth + 1) {
				return false
			}
		}
		if !r.at(')') {
			return false
		}
		r.i++
		return true
	case '"':
		return r.skipQuoted()
	case '{':
		return r.skipLiteral()
	default:
		start := r.i
		for r.i < len(r.b) && r.b[r.i] > ' ' && r.b[r.i] < 0x7f && bytes.IndexByte([]byte(`()"{\`), r.b[r.i]) < 0 {
			r.i++
		}
		return r.i > start
	}
}

func (r *structureReader) skipQuoted() bool {
	for r.i++; r.i < len(r.b); r.i++ {
		switch r.b[r.i] {
		case '\\':
			r.i++
		case '"':
			r.i++
			return true
		}
	}
	r.i = len(r.b)
	return false
}

func (r *structureReader) skipLiteral() bool {
	digits, _, found := bytes.Cut(r.b[r.i+1:], []byte("}\r\n"))
	if !found {
		return false
	}
	n, err := strconv.ParseUint(string(digits), 10, 31)
	data := r.i + 1 + len(digits) + len("}\r\n")
	if err != nil || n > uint64(len(r.b)-data) {
		return false
	}
	r.i = data + int(n)
	return true
}

func (r *structureReader) at(c byte) bool { return r.i < len(r.b) && r.b[r.i] == c }
