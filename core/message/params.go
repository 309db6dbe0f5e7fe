package message

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
)

// param is a parameter of Content-Type or Content-Disposition. name keeps its case.
type param struct{ name, value []byte }

// contentType reads "type/subtype", to which only parameters may follow, and returns it without comments.
// bad: it is not of that form; then it is "", or a type alone.
func (l *lexer) contentType() (typ []byte, st status) {
	if l.skip() != more {
		return []byte{}, bad
	}
	typ, st = l.token([]byte{})
	if st != more {
		return typ, bad
	}
	n := len(typ)
	if n == 0 || l.b[l.i] != '/' {
		return []byte{}, bad
	}
	l.i++
	if l.skip() != more {
		return []byte{}, bad
	}
	typ, st = l.token(append(typ, '/'))
	if st == bad || len(typ) == n+1 || st == more && l.b[l.i] != ';' {
		return []byte{}, bad
	}
	return typ, st
}

// param reads ";" name "=" value. bad: there is none here.
func (l *lexer) param() (prm param, st status) {
	if l.i == len(l.b) {
		return param{}, end
	}
	if l.b[l.i] != ';' {
		return param{}, bad
	}
	l.i++
	if l.skip() != more {
		return param{}, bad
	}
	if prm.name, st = l.token([]byte{}); st != more || l.b[l.i] != '=' {
		return param{}, bad
	}
	l.i++
	prm.value = []byte{}
	switch st = l.skip(); {
	case st != more:
	case l.b[l.i] == '"':
		prm.value, st = l.quoted(prm.value)
	case l.b[l.i] == '=':
		// name==?utf-8?b?...?=, an encoded word that should have been quoted
		start := l.i
		for l.i < len(l.b) && bytes.IndexByte([]byte("; \t\r\n"), l.b[l.i]) < 0 {
			l.i++
		}
		prm.value = l.b[start:l.i]
	default:
		prm.value, st = l.token(prm.value)
	}
	if st == bad {
		return param{}, bad
	}
	return prm, more
}

// params appends all parameters that follow, and passes over what is none. Parameters in the
// notation of RFC 2231 come last: continuations are joined to one value, whose name
// gets a "*" if any piece is encoded; a series with gaps is left in pieces.
func (l *lexer) params(dst []param) []param {
	var pieces []piece
	var index uint32
	for {
		prm, st := l.param()
		switch st {
		case end:
			return joinPieces(dst, pieces)
		case bad:
			if l.i == len(l.b) {
				return joinPieces(dst, pieces)
			}
			l.i++
		case more:
			if pc, ok := parsePiece(prm, &index); ok {
				pieces = append(pieces, pc)
			} else {
				dst = append(dst, prm)
			}
		}
	}
}

// piece is a parameter name*index*=value (RFC 2231 §3, §4).
type piece struct {
	param
	index    uint32
	extended bool
}

// parsePiece takes a parameter's name apart. index is that of the piece before, and is updated: a "name*=" without index
// takes it over, which matters only for names that also come with indexes, but so does Dovecot
// (src/lib-mail/rfc2231-parser.c), whose BODYSTRUCTURE may be in a cache.
func parsePiece(prm param, index *uint32) (pc piece, ok bool) {
	name, rest, found := bytes.Cut(prm.name, []byte{'*'})
	if !found {
		return piece{}, false
	}
	pc.name, pc.value = name, prm.value
	if len(rest) == 0 { // name*=
		pc.index, pc.extended = *index, true
		return pc, true
	}
	i := 0
	for ; i < len(rest) && '0' <= rest[i] && rest[i] <= '9'; i++ {
		pc.index = pc.index*10 + uint32(rest[i]-'0')
	}
	*index = pc.index
	if i < len(rest) && rest[i] == '*' {
		pc.extended = true
		i++
	}
	return pc, i == len(rest)
}

func joinPieces(dst []param, pieces []piece) []param {
	slices.SortStableFunc(pieces, func(a, b piece) int {
		return cmp.Or(bytes.Compare(a.name, b.name), cmp.Compare(a.index, b.index))
	})
	for len(pieces) > 0 {
		n, complete, extended := 0, true, false
		for n < len(pieces) && equalFold(pieces[n].name, string(pieces[0].name)) {
			complete = complete && pieces[n].index == uint32(n)
			extended = extended || pieces[n].extended
			n++
		}
		if complete {
			dst = append(dst, join(pieces[:n], extended))
		} else {
			for _, pc := range pieces[:n] {
				dst = append(dst, pc.literal())
			}
		}
		pieces = pieces[n:]
	}
	return dst
}

// join makes one parameter of the pieces 0, 1, 2, …
func join(pieces []piece, extended bool) param {
	name := slices.Clone(pieces[0].name)
	value := []byte{}
	if extended {
		name = append(name, '*')
		if !pieces[0].extended {
			value = append(value, "''"...) // no charset, no language
		}
	}
	for _, pc := range pieces {
		if extended && !pc.extended {
			value = append(value, bytes.ReplaceAll(pc.value, []byte("%"), []byte("%25"))...)
		} else {
			value = append(value, pc.value...)
		}
	}
	return param{name, value}
}

// literal returns the piece as the parameter that it was.
func (pc piece) literal() param {
	name := append(slices.Clone(pc.name), '*')
	name = strconv.AppendUint(name, uint64(pc.index), 10)
	if pc.extended {
		name = append(name, '*')
	}
	return param{name, pc.value}
}
