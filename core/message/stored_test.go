package message

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/roostmail/roost/core/message/messagetest"
)

// eachMessage calls do with messages of every kind.
func eachMessage(do func(name string, msg []byte)) {
	for _, s := range messagetest.Nasty() {
		do(s.Name, s.Text)
	}
	for seed := range int64(300) {
		do("random", messagetest.Random(seed))
	}
}

// TestStoredFormHasTheSizesOfTheSentOne compares the two forms of a message.
func TestStoredFormHasTheSizesOfTheSentOne(t *testing.T) {
	eachMessage(func(name string, sent []byte) {
		if bytes.Contains(sent, []byte("\r\r\n")) {
			return // the stored form has a CRLF there, and is another message
		}
		stored := bytes.ReplaceAll(sent, []byte("\r\n"), []byte("\n"))
		m, parts := ParseStored(stored, Limits{})
		want := Parse(sent, Limits{})
		for _, extended := range []bool{false, true} {
			got, want := m.AppendBodyStructure(nil, extended), want.AppendBodyStructure(nil, extended)
			if !bytes.Equal(got, want) {
				t.Errorf("%s: %q\n got %q\nwant %q", name, sent, got, want)
			}
		}
		if len(parts) != len(want.parts) {
			t.Fatalf("%s: %d parts, want %d", name, len(parts), len(want.parts))
		}
		for i, p := range parts {
			w := &want.parts[i]
			if p.HeaderVirtual != w.headerSize || p.BodyVirtual != w.bodySize || p.BodyLines != w.bodyLines {
				t.Errorf("%s: part %d is %+v, want %+v\n%q", name, i, p, *w, sent)
			}
			header := stored[p.Start : p.Start+p.HeaderSize]
			if n := len(header) + bytes.Count(header, []byte{'\n'}) - bytes.Count(header, []byte("\r\n")); n != p.HeaderVirtual {
				t.Errorf("%s: part %d: header %q has the virtual size %d, not %d", name, i, header, n, p.HeaderVirtual)
			}
		}
	})
}

func TestStoredPartFlags(t *testing.T) {
	text := "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: \x00\n\ntext\n--b\nContent-Type: text/x\n\n\x00\x00\n--b\nContent-Type: a/b\n\nx\n--b--\n\x00"
	_, parts := ParseStored([]byte(text), Limits{})
	for i, want := range []StoredPart{
		{MIME: true, Multipart: true, Digest: true, Children: 3, NUL: true},
		{MIME: true, Message: true, Children: 1},
		{Text: true, NUL: true},
		{MIME: true, Text: true, NUL: true},
		{MIME: true},
	} {
		got := parts[i]
		got.Start, got.HeaderSize, got.HeaderVirtual, got.BodySize, got.BodyVirtual, got.BodyLines = 0, 0, 0, 0, 0, 0
		if got != want {
			t.Errorf("part %d: %+v, want %+v", i, got, want)
		}
	}
	for _, limits := range []Limits{{MaxParts: 3}, {MaxNesting: 1}} {
		_, parts := ParseStored([]byte(text), limits)
		overflow := false
		for _, p := range parts {
			overflow = overflow || p.Overflow
		}
		if !overflow {
			t.Errorf("%+v: no part says that there are more: %+v", limits, parts)
		}
	}
}

func TestSnippet(t *testing.T) {
	for text, want := range map[string]string{
		"one  two\n\nthree\n":              "one two three",
		"> cited\nanswer\n":                "answer",
		"> cited\n>\n> more\n":             ">cited more",
		"\n \n":                            "",
		strings.Repeat("ä", 300):           strings.Repeat("ä", 200),
		strings.Repeat("a ", 300):          strings.Repeat("a ", 100)[:199],
		"\ufeffmark\x00ed \xff\n":          "marked \ufffd",
		strings.Repeat("> x\n", 200) + "y": "y",
	} {
		m := Parse(messagetest.CRLF("Content-Type: text/plain; charset=utf-8\n\n"+text), Limits{})
		if got := string(m.AppendSnippet(nil)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestSnippetOfTheStoredForm: that of the form with LF is that of the form with CRLF, also where it ends in half a character, which Dovecot decides
// by what follows it in the decoded text.
func TestSnippetOfTheStoredForm(t *testing.T) {
	half := "Content-Transfer-Encoding: quoted-printable\n\ncaf\xe9\n"
	if got := string(Parse(messagetest.CRLF(half), Limits{}).AppendSnippet(nil)); got != "caf\ufffd" {
		t.Errorf("%q", got)
	}
	check := func(_ string, sent []byte) {
		if bytes.Contains(sent, []byte("\r\r\n")) {
			return
		}
		m, _ := ParseStored(bytes.ReplaceAll(sent, []byte("\r\n"), []byte("\n")), Limits{})
		if got, want := string(m.AppendSnippet(nil)), string(Parse(sent, Limits{}).AppendSnippet(nil)); got != want {
			t.Errorf("%q, want %q: %q", got, want, sent)
		}
	}
	check("", messagetest.CRLF(half))
	eachMessage(check)
}

func FuzzStored(f *testing.F) {
	eachMessage(func(_ string, msg []byte) { f.Add(msg) })
	f.Fuzz(func(t *testing.T, b []byte) {
		m, parts := ParseStored(b, Limits{})
		end := len(b)
		for i, p := range parts {
			if p.Start < 0 || p.HeaderSize < 0 || p.BodySize < 0 || p.Start+p.HeaderSize+p.BodySize > end ||
				p.HeaderVirtual < p.HeaderSize || p.BodyVirtual < p.BodySize || i > 0 && p.Start < parts[i-1].Start {
				t.Fatalf("part %d: %+v", i, p)
			}
		}
		if s := m.AppendSnippet(nil); !utf8.Valid(s) || utf8.RuneCount(s) > maxSnippet {
			t.Fatalf("snippet %q", s)
		}
		m.IsPlain()
	})
}
