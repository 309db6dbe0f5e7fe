package rig

import (
	"bytes"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Value is a parsed piece of a response: a string (atom, quoted or literal,
// told apart no further; NIL is the Nil value) or a list.
type Value struct {
	Nil  bool
	Str  string
	List []Value // not nil: a list
}

// String renders v in one way, whatever way the server had chosen.
func (v Value) String() string {
	switch {
	case v.Nil:
		return "NIL"
	case v.List != nil:
		s := make([]string, len(v.List))
		for i, e := range v.List {
			s[i] = e.String()
		}
		return "(" + strings.Join(s, " ") + ")"
	}
	return strconv.Quote(v.Str)
}

// Parse parses the text of a response, such as `* 1 FETCH (UID 1 BODY[] {2}CRLF..)`, into its elements.
func Parse(b []byte) ([]Value, error) {
	p := &valueParser{b: b}
	list, err := p.list(0)
	if err != nil {
		return nil, fmt.Errorf("%w at byte %d of %.200q", err, p.i, b)
	}
	return list, nil
}

type valueParser struct {
	b []byte
	i int
}

// list parses elements up to the byte end, 0 = to the end of the text.
func (p *valueParser) list(end byte) ([]Value, error) {
	out := []Value{}
	for {
		for p.i < len(p.b) && p.b[p.i] == ' ' {
			p.i++
		}
		if p.i == len(p.b) {
			if end != 0 {
				return nil, fmt.Errorf("missing %q", end)
			}
			return out, nil
		}
		if p.b[p.i] == end {
			p.i++
			return out, nil
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
}

func (p *valueParser) value() (Value, error) {
	switch p.b[p.i] {
	case '(':
		p.i++
		l, err := p.list(')')
		return Value{List: l}, err
	case '"':
		return p.quoted()
	case '{':
		return p.literal()
	}
	return p.atom()
}

func (p *valueParser) quoted() (Value, error) {
	var s strings.Builder
	for p.i++; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; c {
		case '\\':
			p.i++
			if p.i < len(p.b) {
				s.WriteByte(p.b[p.i])
			}
		case '"':
			p.i++
			return Value{Str: s.String()}, nil
		default:
			s.WriteByte(c)
		}
	}
	return Value{}, fmt.Errorf("unterminated string")
}

func (p *valueParser) literal() (Value, error) {
	eol := bytes.IndexByte(p.b[p.i:], '\n')
	if eol < 0 {
		return Value{}, fmt.Errorf("literal without line end")
	}
	n, err := strconv.Atoi(strings.TrimRight(string(p.b[p.i+1:p.i+eol]), "}\r"))
	start := p.i + eol + 1
	if err != nil || n > len(p.b)-start {
		return Value{}, fmt.Errorf("bad literal size")
	}
	p.i = start + n
	return Value{Str: string(p.b[start:p.i])}, nil
}

// atom reads to the next separator outside of brackets: BODY[HEADER.FIELDS (A B)]<0> is one atom.
func (p *valueParser) atom() (Value, error) {
	start, depth := p.i, 0
	for ; p.i < len(p.b); p.i++ {
		c := p.b[p.i]
		if c == '[' {
			depth++
		}
		if c == ']' {
			depth--
		}
		if depth <= 0 && (c == ' ' || c == ')' || c == '(') {
			break
		}
	}
	if p.i == start {
		return Value{}, fmt.Errorf("unexpected %q", p.b[p.i])
	}
	s := string(p.b[start:p.i])
	if strings.EqualFold(s, "NIL") {
		return Value{Nil: true}, nil
	}
	return Value{Str: s}, nil
}

// FetchAnswers collects the data of untagged FETCH responses by sequence number:
// item name in capitals → value. FLAGS lists are sorted.
func FetchAnswers(untagged [][]byte) (map[uint32]map[string]Value, error) {
	out := map[uint32]map[string]Value{}
	for _, r := range untagged {
		w := bytes.SplitN(r, []byte(" "), 4)
		if len(w) < 4 || !bytes.EqualFold(w[2], []byte("FETCH")) {
			continue
		}
		seq, err := strconv.ParseUint(string(w[1]), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%.100q: %w", r, err)
		}
		vals, err := Parse(w[3])
		if err != nil {
			return nil, err
		}
		if len(vals) != 1 || len(vals[0].List)%2 != 0 {
			return nil, fmt.Errorf("not a list of pairs: %.200q", r)
		}
		m := out[uint32(seq)]
		if m == nil {
			m = map[string]Value{}
			out[uint32(seq)] = m
		}
		l := vals[0].List
		for i := 0; i < len(l); i += 2 {
			name := strings.ToUpper(l[i].Str)
			if name == "FLAGS" {
				f := l[i+1].List
				sort.Slice(f, func(a, b int) bool { return f[a].Str < f[b].Str })
			}
			m[name] = l[i+1]
		}
	}
	return out, nil
}
