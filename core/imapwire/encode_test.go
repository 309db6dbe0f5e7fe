package imapwire

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestAppend(t *testing.T) {
	long := strings.Repeat("x", maxQuoted+1)
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"number", AppendNumber(nil, 1<<64-1), "18446744073709551615"},
		{"quoted", AppendString(nil, `a "b" \c`), `"a \"b\" \\c"`},
		{"empty", AppendString(nil, ""), `""`},
		{"line end", AppendString(nil, "a\r\nb"), "{4}\r\na\r\nb"},
		{"8-bit", AppendString(nil, "ä"), "{2}\r\nä"},
		{"NUL", AppendString(nil, "a\x00b"), "{3}\r\na\x80b"},
		{"long", AppendString(nil, long), "{513}\r\n" + long},
		{"nil", AppendNString(nil, nil), "NIL"},
		{"nstring", AppendNString(nil, []byte{}), `""`},
		{"atom", AppendAString(nil, "Sent"), "Sent"},
		{"no atom", AppendAString(nil, "Sent Items"), `"Sent Items"`},
		{"wildcard", AppendAString(nil, "a%"), `"a%"`},
		{"bracket", AppendAString(nil, "a]"), `"a]"`},
		{"word nil", AppendAString(nil, "nIl"), `"nIl"`},
		{"mailbox", AppendMailbox(nil, "Entwürfe"), "Entw&APw-rfe"},
		{"mailbox with space", AppendMailbox(nil, "A & B"), `"A &- B"`},
		{"text", AppendText(nil, "a\r\nb ä"), "a??b ??"},
		{"set", AppendNumSet(nil, []NumRange{{1, 3}, {7, 7}, {9, Star}}), "1:3,7,9:*"},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestAppendDateTime(t *testing.T) {
	for _, want := range []string{`"07-Feb-1994 22:43:04 -0830"`, `"31-Dec-2024 00:00:00 +1400"`} {
		d := NewDecoder([]byte(want), DefaultLimits)
		at := d.DateTime()
		if got := string(AppendDateTime(nil, at)); got != want || d.Err() != nil {
			t.Errorf("%s, want %s (%v)", got, want, d.Err())
		}
	}
	if got := string(AppendDateTime(nil, time.Unix(0, 0).UTC())); got != `"01-Jan-1970 00:00:00 +0000"` {
		t.Error(got)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	b := make([]byte, 0, 1024)
	s, name := []byte(`some "text"`), "Archive/2024"
	at := time.Unix(1e9, 0).UTC()
	if n := testing.AllocsPerRun(100, func() {
		b = AppendString(b[:0], s)
		b = AppendNString(b, s)
		b = AppendMailbox(b, name)
		b = AppendNumber(b, 123456)
		b = AppendDateTime(b, at)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzString states that what AppendString and AppendAString write is read back equal.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "a", `"\`, "NIL", "a\r\n", "{3}", "\x80"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		want := bytes.ReplaceAll(s, []byte{0}, []byte{0x80})
		for _, b := range [][]byte{AppendString(nil, s), AppendAString(nil, s)} {
			d := NewDecoder(append(b, "\r\n"...), DefaultLimits)
			got := d.AString()
			d.End()
			if d.Err() != nil || !bytes.Equal(got, want) {
				t.Errorf("%q was written as %q, read as %q (%v)", s, b, got, d.Err())
			}
		}
	})
}
