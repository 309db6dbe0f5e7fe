package config

import (
	"strconv"
	"strings"
)

// positions maps the path of a key to the line where it is written, from 1. A
// path is dotted; elements of an array have their index: "namespace[1].mailbox[0].name".
type positions map[string]int

// scan notes the lines of all keys of a document that the TOML library has
// accepted. For other text the result is incomplete, never a panic.
func scan(text string) positions {
	s := &scanner{text: text, line: 1, at: positions{}, arrays: map[string]int{}}
	s.document()
	return s.at
}

type scanner struct {
	text   string
	off    int
	line   int
	at     positions
	arrays map[string]int // elements so far of each [[array of tables]]
}

// eof reports whether nothing is left.
func (s *scanner) eof() bool { return s.off >= len(s.text) }

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.eof() {
		return 0
	}
	return s.text[s.off]
}

// next takes a byte and counts lines.
func (s *scanner) next() byte {
	c := s.peek()
	if !s.eof() {
		s.off++
		if c == '\n' {
			s.line++
		}
	}
	return c
}

// skip takes blanks, and with lines also line ends and comments.
func (s *scanner) skip(lines bool) {
	for {
		switch c := s.peek(); {
		case c == ' ' || c == '\t' || c == '\r':
			s.next()
		case lines && c == '\n':
			s.next()
		case lines && c == '#':
			for !s.eof() && s.peek() != '\n' {
				s.next()
			}
		default:
			return
		}
	}
}

func (s *scanner) document() {
	prefix := ""
	for {
		s.skip(true)
		if s.eof() {
			return
		}
		start := s.off
		if s.peek() == '[' {
			prefix = s.header()
		} else {
			s.pair(prefix)
		}
		if s.off == start { // text that is no TOML
			s.next()
		}
	}
}

// header reads [table] or [[array]] and returns the path of what follows.
func (s *scanner) header() string {
	line := s.line
	s.next()
	array := s.peek() == '['
	if array {
		s.next()
	}
	parts := s.key()
	for s.peek() == ']' {
		s.next()
	}
	path := ""
	for i, part := range parts {
		path = join(path, part)
		s.note(path, line)
		n, isArray := s.arrays[path]
		switch {
		case array && i == len(parts)-1:
			s.arrays[path] = n + 1
			path += index(n)
			s.at[path] = line
		case isArray:
			path += index(n - 1)
		}
	}
	return path
}

// pair reads key = value.
func (s *scanner) pair(prefix string) {
	line := s.line
	path := prefix
	for _, part := range s.key() {
		path = join(path, part)
		s.note(path, line)
	}
	s.skip(false)
	if s.peek() == '=' {
		s.next()
		s.value(path)
	}
}

// note keeps the first line of a path.
func (s *scanner) note(path string, line int) {
	if _, ok := s.at[path]; !ok {
		s.at[path] = line
	}
}

// key reads a dotted key.
func (s *scanner) key() []string {
	var parts []string
	for {
		s.skip(false)
		switch c := s.peek(); {
		case c == '"' || c == '\'':
			parts = append(parts, s.quoted(c))
		default:
			start := s.off
			for bare(s.peek()) {
				s.next()
			}
			if s.off == start {
				return parts
			}
			parts = append(parts, s.text[start:s.off])
		}
		s.skip(false)
		if s.peek() != '.' {
			return parts
		}
		s.next()
	}
}

func bare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// quoted reads a string of one line and returns its value, as far as that matters for a key.
func (s *scanner) quoted(quote byte) string {
	start := s.off
	s.next()
	for !s.eof() && s.peek() != quote && s.peek() != '\n' {
		if s.next() == '\\' && quote == '"' {
			s.next()
		}
	}
	s.next()
	text := s.text[start:s.off]
	if quote == '"' {
		if v, err := strconv.Unquote(text); err == nil {
			return v
		}
	}
	return strings.Trim(text, string(quote))
}

// value skips a value, noting the keys of inline tables in it.
func (s *scanner) value(path string) {
	s.skip(false)
	switch c := s.peek(); c {
	case '"', '\'':
		if triple := strings.Repeat(string(c), 3); strings.HasPrefix(s.text[s.off:], triple) {
			s.multiline(triple)
		} else {
			s.quoted(c)
		}
	case '[':
		s.next()
		for n := 0; ; n++ {
			s.skip(true)
			if s.eof() || s.peek() == ']' {
				break
			}
			start := s.off
			s.at[path+index(n)] = s.line
			s.value(path + index(n))
			s.separator(start)
		}
		s.next()
	case '{':
		s.next()
		for {
			s.skip(true)
			if s.eof() || s.peek() == '}' {
				break
			}
			start := s.off
			s.pair(path)
			s.separator(start)
		}
		s.next()
	default:
		for !s.eof() && !strings.ContainsRune(",]}\n#", rune(s.peek())) {
			s.next()
		}
	}
}

// separator takes a comma, and a byte at least since start.
func (s *scanner) separator(start int) {
	s.skip(true)
	if s.peek() == ',' || s.off == start {
		s.next()
	}
}

// multiline skips a string of several lines.
func (s *scanner) multiline(triple string) {
	s.off += len(triple)
	for !s.eof() && !strings.HasPrefix(s.text[s.off:], triple) {
		if s.next() == '\\' && triple[0] == '"' {
			s.next()
		}
	}
	s.off = min(s.off+len(triple), len(s.text))
	for s.peek() == triple[0] { // quotes directly before the closing ones
		s.next()
	}
}

func join(prefix, part string) string {
	if prefix == "" {
		return part
	}
	return prefix + "." + part
}

func index(n int) string { return "[" + strconv.Itoa(n) + "]" }
