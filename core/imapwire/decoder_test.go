package imapwire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func dec(s string) *Decoder {
	d := NewDecoder([]byte(s), DefaultLimits)
	return &d
}

// TestTokens reads one token with each method and states what is left.
func TestTokens(t *testing.T) {
	str := func(b []byte) any { return string(b) }
	for _, c := range []struct {
		name string
		read func(d *Decoder) any
		in   string
		want any
		rest string
	}{
		{"tag", func(d *Decoder) any { return str(d.Tag()) }, "a.1] NOOP", "a.1]", " NOOP"},
		{"atom stops at ]", func(d *Decoder) any { return str(d.Atom()) }, "BODY[TEXT]", "BODY[TEXT", "]"},
		{"word", func(d *Decoder) any { return d.Word() }, "uId FETCH", "UID", " FETCH"},
		{"name", func(d *Decoder) any { return d.Name() }, "body.peek[]<0.1>", "BODY.PEEK", "[]<0.1>"},
		{"name of digits", func(d *Decoder) any { return d.Name() }, "rfc822.size)", "RFC822.SIZE", ")"},
		{"astring atom", func(d *Decoder) any { return str(d.AString()) }, "a]b c", "a]b", " c"},
		{"quoted", func(d *Decoder) any { return str(d.AString()) }, `"a b" c`, "a b", " c"},
		{"quoted empty", func(d *Decoder) any { return str(d.String()) }, `""`, "", ""},
		{"quoted escapes", func(d *Decoder) any { return str(d.String()) }, `"a\"\\b"x`, `a"\b`, "x"},
		{"quoted 8-bit", func(d *Decoder) any { return str(d.String()) }, "\"gr\xc3\xbc\xc3\x9fe\"", "grüße", ""},
		{"literal", func(d *Decoder) any { return str(d.AString()) }, "{5}\r\na\r\nb) x", "a\r\nb)", " x"},
		{"literal non-synchronizing", func(d *Decoder) any { return str(d.String()) }, "{1+}\r\nab", "a", "b"},
		{"literal after bare LF", func(d *Decoder) any { return str(d.String()) }, "{1}\nab", "a", "b"},
		{"literal empty", func(d *Decoder) any { return str(d.String()) }, "{0}\r\n\r\n", "", "\r\n"},
		{"nstring nil", func(d *Decoder) any { s, ok := d.NString(); return fmt.Sprintf("%s %t", s, ok) }, "nil)", " false", ")"},
		{"nstring", func(d *Decoder) any { s, ok := d.NString(); return fmt.Sprintf("%s %t", s, ok) }, `"NIL"`, "NIL true", ""},
		{"number", func(d *Decoder) any { return d.Number() }, "4294967295 ", uint32(4294967295), " "},
		{"number64", func(d *Decoder) any { return d.Number64() }, "9223372036854775807", uint64(1<<63 - 1), ""},
		{"set", func(d *Decoder) any { return d.NumSet() }, "1,5:*,*:7,9:8 x", NumSet{{1, 1}, {5, Star}, {Star, 7}, {9, 8}}, " x"},
		{"flag", func(d *Decoder) any { return str(d.Flag()) }, `\Seen)`, `\Seen`, ")"},
		{"keyword", func(d *Decoder) any { return str(d.Flag()) }, `$Work x`, `$Work`, " x"},
		{"mailbox", func(d *Decoder) any { return str(d.Mailbox()) }, `&AOQ-/x y`, `&AOQ-/x`, " y"},
		{"pattern", func(d *Decoder) any { return str(d.ListMailbox()) }, `a/%*] `, `a/%*]`, " "},
		{"list", func(d *Decoder) any {
			var s []string
			n := d.List(func() { s = append(s, string(d.Atom())) })
			return fmt.Sprint(n, s)
		}, "(a b c) d", "3 [a b c]", " d"},
		{"list empty", func(d *Decoder) any { return d.List(func() {}) }, "()x", 0, "x"},
		{"date", func(d *Decoder) any { return d.Date().Format(time.DateOnly) }, "1-Feb-1994 ", "1994-02-01", " "},
		{"date quoted", func(d *Decoder) any { return d.Date().Format(time.DateOnly) }, `"29-fEB-2024"`, "2024-02-29", ""},
		{"date-time", func(d *Decoder) any { return d.DateTime().Format(time.RFC3339) }, `" 7-Feb-1994 22:43:04 -0830"`, "1994-02-07T22:43:04-08:30", ""},
		{"date-time two digits", func(d *Decoder) any { return d.DateTime().Format(time.RFC3339) }, `"17-Feb-1994 00:00:00 +0000"`, "1994-02-17T00:00:00Z", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := dec(c.in)
			got := c.read(d)
			if err := d.Err(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if rest := c.in[d.Pos():]; rest != c.rest {
				t.Errorf("rest %q, want %q", rest, c.rest)
			}
		})
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct {
		read func(d *Decoder)
		in   string
		want string
	}{
		{func(d *Decoder) { d.Tag() }, "+ NOOP", "invalid tag at byte 1"},
		{func(d *Decoder) { d.Tag(); d.SP(); d.Atom(); d.SP() }, "a1 SELECT\r\n", "expected SP at byte 10"},
		{func(d *Decoder) { d.Tag(); d.SP(); d.Atom(); d.End() }, "a1 NOOP x\r\n", "expected end of command at byte 9"},
		{func(d *Decoder) { d.Atom(); d.End() }, "NOOP\rx", "expected end of command at byte 5"},
		{func(d *Decoder) { d.Atom() }, "\xe4", "expected atom at byte 1"},
		{func(d *Decoder) { d.Word() }, strings.Repeat("x", 65), "word is too long at byte 1"},
		{func(d *Decoder) { d.AString() }, "(", "expected astring at byte 1"},
		{func(d *Decoder) { d.String() }, `"a`, "quoted string is not closed at byte 3"},
		{func(d *Decoder) { d.String() }, "\"a\r\n", "quoted string is not closed at byte 3"},
		{func(d *Decoder) { d.String() }, `"\a"`, "invalid escape in quoted string at byte 2"},
		{func(d *Decoder) { d.String() }, `"\`, "invalid escape in quoted string at byte 2"},
		{func(d *Decoder) { d.String() }, "\"a\x00\"", "quoted string is not closed at byte 3"},
		{func(d *Decoder) { d.String() }, "{3}\r\nab", "literal is cut off at byte 6"},
		{func(d *Decoder) { d.String() }, "{2}\r\na\x00", "NUL in literal at byte 7"},
		{func(d *Decoder) { d.String() }, "{x}", "expected number at byte 2"},
		{func(d *Decoder) { d.String() }, "{9223372036854775808}\r\n", "number is too large at byte 2"},
		{func(d *Decoder) { d.String() }, "{1}a", `expected '\n' at byte 4`},
		{func(d *Decoder) { d.Number() }, "4294967296", "number is too large at byte 1"},
		{func(d *Decoder) { d.NZNumber() }, "0", "expected a number above 0 at byte 1"},
		{func(d *Decoder) { d.NumSet() }, "1,", "expected sequence number or * at byte 3"},
		{func(d *Decoder) { d.NumSet() }, "0:4", "expected a number above 0 at byte 1"},
		{func(d *Decoder) { d.NumSet() }, "1:x", "expected sequence number or * at byte 3"},
		{func(d *Decoder) { d.Flag() }, `\*`, "expected flag name at byte 2"},
		{func(d *Decoder) { d.FlagList() }, `(\Seen{x)`, "expected SP or ) at byte 7"},
		{func(d *Decoder) { d.FlagList() }, `(\Seen `, "expected flag at byte 8"},
		{func(d *Decoder) { d.FlagList() }, `\Seen`, "expected ( at byte 1"},
		{func(d *Decoder) { d.Date() }, "30-Feb-2024", "no such day in this month at byte 3"},
		{func(d *Decoder) { d.Date() }, "1-Foo-2024", "expected month name at byte 3"},
		{func(d *Decoder) { d.Date() }, `"1-Jan-2024`, `expected '"' at byte 12`},
		{func(d *Decoder) { d.Date() }, "1-Jan-24", "expected digit at byte 9"},
		{func(d *Decoder) { d.DateTime() }, `" 1-Jan-2024 24:00:00 +0000"`, "invalid time at byte 14"},
		{func(d *Decoder) { d.DateTime() }, `" 1-Jan-2024 23:00:00 0000"`, "expected time zone at byte 23"},
		{func(d *Decoder) { d.DateTime() }, `" 1-Jan-2024 23:00:00 +0060"`, "invalid time zone at byte 23"},
		{func(d *Decoder) { d.Date() }, "0-Jan-2024", "no such day in this month at byte 2"},
	} {
		d := dec(c.in)
		c.read(d)
		if err := d.Err(); err == nil || err.Error() != c.want {
			t.Errorf("%q: error %v, want %q", c.in, err, c.want)
		}
	}
}

// TestErrorIsSticky states that nothing is read after the first error.
func TestErrorIsSticky(t *testing.T) {
	d := dec("a b")
	d.Number()
	first := d.Err()
	if first == nil {
		t.Fatal("no error")
	}
	if a := d.Atom(); a != nil || d.Pos() != 0 || d.TryByte('a') || d.TryWord("A") || d.NumSet() != nil || d.AtEnd() {
		t.Errorf("something was read after the error: %q, pos %d", a, d.Pos())
	}
	if d.Err() != first {
		t.Errorf("error changed to %v", d.Err())
	}
}

func TestLimitsNameThemselves(t *testing.T) {
	l := Limits{Depth: 2, Items: 3}
	var nest func(d *Decoder)
	nest = func(d *Decoder) {
		if d.Peek() == '(' {
			d.List(func() { nest(d) })
		} else {
			d.Atom()
		}
	}
	for _, c := range []struct {
		read     func(d *Decoder)
		in, want string
	}{
		{nest, "((a) (b) (c))", ""},
		{nest, "(((a)))", "nesting exceeds [limits] nesting = 2 at byte 4"},
		{nest, "(a b c d)", "list exceeds [limits] list_items = 3 at byte 8"},
		{func(d *Decoder) { d.NumSet() }, "1,2,3", ""},
		{func(d *Decoder) { d.NumSet() }, "1,2,3,4", "sequence set exceeds [limits] list_items = 3 at byte 7"},
	} {
		d := NewDecoder([]byte(c.in), l)
		c.read(&d)
		got := ""
		if err := d.Err(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: error %q, want %q", c.in, got, c.want)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		in      string
		largest uint32
		want    string
	}{
		{"1", 10, "1"},
		{"*", 10, "10"},
		{"*", 0, ""},
		{"1:*", 0, "1"},
		{"5:*", 3, "3:5"},
		{"559:*", 560, "559:560"},
		{"3:1,2:6,8,7,20:10", 100, "1:8,10:20"},
		{"1,1,1", 9, "1"},
		{"4294967295:*,1", 4294967295, "1,4294967295"},
		{"4294967294,4294967295", 1, "4294967294:4294967295"},
	} {
		d := dec(c.in)
		s := d.NumSet()
		if d.Err() != nil {
			t.Fatal(d.Err())
		}
		if got := string(AppendNumSet(nil, s.Ranges(c.largest))); got != c.want {
			t.Errorf("%q of %d: %q, want %q", c.in, c.largest, got, c.want)
		}
	}
}

func TestNumbersEndsAtTheLargestNumber(t *testing.T) {
	var got []uint32
	for n := range Numbers([]NumRange{{1, 2}, {4294967294, 4294967295}}) {
		got = append(got, n)
	}
	if diff := cmp.Diff([]uint32{1, 2, 4294967294, 4294967295}, got); diff != "" {
		t.Error(diff)
	}
	for range Numbers([]NumRange{{1, 5}}) {
		break
	}
}
