package message

import (
	"bytes"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"testing"
)

// fetchItem is a FETCH item and what this package makes of it.
type fetchItem struct {
	name  string // as in the response
	value func(dst []byte, m *Message) []byte
}

func parenthesized(f func(dst []byte, m *Message) []byte) func([]byte, *Message) []byte {
	return func(dst []byte, m *Message) []byte { return append(f(append(dst, '('), m), ')') }
}

func literal(f func(m *Message) []byte) func([]byte, *Message) []byte {
	return func(dst []byte, m *Message) []byte {
		b := f(m)
		dst = append(dst, fmt.Sprintf("{%d}\r\n", len(b))...)
		return append(dst, b...)
	}
}

// items returns everything there is to compare for a message.
func items(m *Message, rnd *rand.Rand) []fetchItem {
	list := []fetchItem{
		{"RFC822.SIZE", func(dst []byte, m *Message) []byte { return strconv.AppendInt(dst, int64(len(m.data)), 10) }},
		{"BODYSTRUCTURE", parenthesized(func(dst []byte, m *Message) []byte { return m.AppendBodyStructure(dst, true) })},
		{"BODY", parenthesized(func(dst []byte, m *Message) []byte { return m.AppendBodyStructure(dst, false) })},
		{"ENVELOPE", parenthesized(func(dst []byte, m *Message) []byte { return AppendEnvelope(dst, m.header(0)) })},
	}
	bareCR := bytes.Count(m.data, []byte("\r")) != bytes.Count(m.data, []byte("\r\n"))
	paths := [][]uint32{nil, {1}, {2}, {1, 1}, {1, 2}, {1, 1, 1}, {2, 1}, {1, 1, 2}, {77}}
	var walk func(i int32, path []uint32)
	walk = func(i int32, path []uint32) {
		n := uint32(0)
		for j := m.parts[i].firstChild; j != 0; j = m.parts[j].next {
			n++
			sub := path
			if m.parts[i].flags&flagMessage == 0 {
				sub = append(path[:len(path):len(path)], n)
				paths = append(paths, sub)
			}
			walk(j, sub)
		}
	}
	walk(0, nil)
	if len(paths) > 40 {
		rnd.Shuffle(len(paths)-9, func(i, j int) { paths[9+i], paths[9+j] = paths[9+j], paths[9+i] })
		paths = paths[:40]
	}
	for _, p := range paths {
		for _, kind := range []SectionKind{SectionAll, SectionMIME, SectionHeader, SectionFields, SectionFieldsNot, SectionText} {
			if kind == SectionMIME && len(p) == 0 {
				continue
			}
			fields := kind == SectionFields || kind == SectionFieldsNot
			if fields && (bareCR || len(p) > 0 && !m.headerEnds(p)) {
				continue // Dovecot drops a CR before a line end, or reads on into the boundary and what follows
			}
			s := &Section{Path: p, Kind: kind, Fields: []string{"SUBJECT", "CONTENT-TYPE", "X-A", "TO"}}
			name := "BODY[" + sectionName(s) + "]"
			list = append(list, fetchItem{name, literal(func(m *Message) []byte { b, _ := m.Section(s); return b })})
			if fields || bareCR {
				continue // Dovecot's partial sections are off by some bytes there
			}
			off, n := uint64(rnd.Intn(60)), uint64(rnd.Intn(60)+1)
			list = append(list, fetchItem{fmt.Sprintf("%s<%d.%d>", name, off, n), literal(func(m *Message) []byte {
				b, _ := m.Section(s)
				return Partial(b, off, n)
			})})
		}
	}
	return list
}

// headerEnds reports whether the header of the message at a path has an empty line at its end.
func (m *Message) headerEnds(path []uint32) bool {
	b, ok := m.Section(&Section{Path: path, Kind: SectionHeader})
	return !ok || bytes.HasSuffix(b, []byte("\r\n\r\n")) || bytes.Equal(b, []byte("\r\n"))
}

func sectionName(s *Section) string {
	var words []string
	for _, n := range s.Path {
		words = append(words, strconv.Itoa(int(n)))
	}
	switch s.Kind {
	case SectionMIME:
		words = append(words, "MIME")
	case SectionHeader:
		words = append(words, "HEADER")
	case SectionFields:
		words = append(words, "HEADER.FIELDS ("+strings.Join(s.Fields, " ")+")")
	case SectionFieldsNot:
		words = append(words, "HEADER.FIELDS.NOT ("+strings.Join(s.Fields, " ")+")")
	case SectionText:
		words = append(words, "TEXT")
	}
	return strings.Join(words, ".")
}

// compare fetches every item of the messages from Dovecot, and reports each that differs from ours.
func compare(t *testing.T, d *dovecot, names []string, msgs [][]byte, rnd *rand.Rand) {
	t.Helper()
	d.replace(msgs)
	for n := range msgs {
		msg := d.message(n + 1) // as it is served: Dovecot normalizes line ends
		m := Parse(msg, Limits{})
		for _, it := range items(m, rnd) {
			if it.name == "ENVELOPE" && bytes.Contains(m.header(0), []byte("\r\r\n")) {
				continue // Dovecot's cache drops the first CR
			}
			ask, answer := it.name, it.name
			if strings.HasPrefix(ask, "BODY[") {
				ask = "BODY.PEEK" + ask[4:]
				if i := strings.LastIndexByte(answer, '<'); i >= 0 {
					answer = answer[:i] + "<" + strings.TrimSuffix(strings.SplitN(answer[i+1:], ".", 2)[0], ">") + ">"
				}
			}
			got := append(it.value(fmt.Appendf(nil, "* %d FETCH (%s ", n+1, answer), m), ")\r\n"...)
			want := d.cmd("FETCH %d %s", n+1, ask)
			if !bytes.Equal(got, want) {
				t.Errorf("%s: %s\n got %q\nwant %q\nmessage %q", names[n], it.name, clip(got), clip(want), clip(msg))
			}
		}
	}
}

func clip(b []byte) []byte {
	if len(b) > 600 {
		return append(b[:600:600], "…"...)
	}
	return b
}
