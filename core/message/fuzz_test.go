package message

import (
	"bytes"
	"testing"

	"github.com/roostmail/roost/core/message/messagetest"
)

// FuzzParse checks that parts lie inside their parents and that every answer can be made of any message.
func FuzzParse(f *testing.F) {
	for _, n := range messagetest.Nasty() {
		f.Add(n.Text)
	}
	for seed := range int64(20) {
		f.Add(messagetest.Random(seed))
		f.Add(messagetest.World(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := Parse(data, Limits{MaxParts: 50, MaxNesting: 8})
		if len(m.parts) > 50 {
			t.Fatalf("%d parts", len(m.parts))
		}
		for i, p := range m.parts {
			end := p.start + p.headerSize + p.bodySize
			if i == 0 && (p.start != 0 || end != len(data)) {
				t.Fatalf("the message is %d to %d of %d", p.start, end, len(data))
			}
			if p.parent >= 0 {
				outer := m.parts[p.parent]
				if p.start < outer.start+outer.headerSize || end > outer.start+outer.headerSize+outer.bodySize {
					t.Fatalf("part %d (%d to %d) is not in its parent %+v", i, p.start, end, outer)
				}
			}
			if p.flags&flagMessage != 0 && p.firstChild == 0 {
				t.Fatalf("part %d has no message", i)
			}
		}
		structure := m.AppendBodyStructure(nil, true)
		body, ok := AppendBodyFromStructure(nil, structure)
		if want := m.AppendBodyStructure(nil, false); !ok || !bytes.Equal(body, want) {
			t.Fatalf("body %q, %v, want %q", body, ok, want)
		}
		header := m.header(0)
		both := AppendFields(nil, header, []string{"Subject", "To"}, false)
		if n := len(both) - 2 + len(AppendFields(nil, header, []string{"Subject", "To"}, true)); n != len(header) {
			t.Fatalf("the two filters of %q give %d bytes", header, n)
		}
		for i := range m.parts {
			if binary, err := m.Binary(m.pathOf(int32(i))); err == nil && len(binary) > len(data)+40*len(m.parts) {
				t.Fatalf("part %d of %d bytes has %d without its encoding", i, len(data), len(binary))
			}
		}
		if encoded, ok := m.EncodeBinary(); !ok && !bytes.Equal(encoded, data) {
			t.Fatalf("nothing was encoded, and %q became %q", data, encoded)
		}
		m.AppendSnippet(nil)
		bodies, all := m.SearchText().body(), m.SearchText().whole()
		for i, p := range all {
			if !bytes.Equal(bodies[i], p.text[p.body:]) {
				t.Fatalf("body %q alone, %q behind its header", bodies[i], p.text[p.body:])
			}
		}
		m.Section(&Section{Path: []uint32{1, 2, 1}})
	})
}

// pathOf returns part numbers that lead to a part, or to one around it.
func (m *Message) pathOf(i int32) (path []uint32) {
	for ; m.parts[i].parent >= 0; i = m.parts[i].parent {
		parent := &m.parts[m.parts[i].parent]
		if parent.flags&flagMessage != 0 {
			continue
		}
		n := uint32(1)
		for j := parent.firstChild; j != i; j = m.parts[j].next {
			n++
		}
		path = append([]uint32{n}, path...)
	}
	return path
}

// FuzzAddresses checks that an envelope is well formed, whatever the addresses are.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"a@b", "A B <a@b>, g: x@y;", "<@r:a@b>", "\"q\" (c) <\"l\"@[1]>", "(", "\"", "a (x\n y", "..@.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		env := AppendEnvelope(nil, []byte("From: "+s+"\r\n\r\n"))
		r := structureReader{b: env}
		if r.values(10); r.failed || r.i != len(env) {
			t.Fatalf("%q: envelope %q", s, env)
		}
		appendAddressText(nil, []byte(s))
	})
}

// FuzzParseDate checks that a date is in range.
func FuzzParseDate(f *testing.F) {
	for _, d := range dates {
		f.Add(d)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := ParseDate([]byte(s))
		if !ok && d.Unix != 0 || d.Zone < -100*60-99 || d.Zone > 100*60+99 {
			t.Fatalf("%q: %+v, %v", s, d, ok)
		}
	})
}

// FuzzDecode checks the decoders of search.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("=?utf-8?q?x=20y?= =?iso-8859-1?b?w7w=?="), "koi8-r")
	f.Add([]byte("a=3D=\r\nb"), "utf-16")
	f.Add([]byte("a\n"), "")
	f.Fuzz(func(t *testing.T, data []byte, charset string) {
		appendFolded(nil, appendDecodedWords(nil, data))
		for e := encodingIdentity; e <= encodingUnknown; e++ {
			if out := e.decode(data); len(out) > len(data)+bytes.Count(data, newlineByte) { // LF becomes CRLF
				t.Fatalf("%d bytes became %d", len(data), len(out))
			}
		}
		utf8Of(data, []byte(charset))
	})
}
