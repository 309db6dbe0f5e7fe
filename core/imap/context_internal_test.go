package imap

import (
	"bytes"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/roostmail/roost/core/imapwire"
)

var someContexts = []searchContext{
	{tag: "a", charset: "UTF-8", program: "UID 1:3 FLAGGED", found: []imapwire.NumRange{{Start: 1, Stop: 3}, {Start: 7, Stop: 7}}},
	{tag: "b", uid: true, fetch: "(FLAGS)", criteria: "(REVERSE DATE)", charset: "US-ASCII", program: "ALL", order: []uint32{9, 1, 4294967295, 2}},
	{tag: "c", charset: "ISO-8859-1", program: "SUBJECT {2+}\r\n\xe4x"},
}

func TestContextsInBytes(t *testing.T) {
	b := appendContexts(nil, someContexts)
	got, ok := decodeContexts(b)
	if !ok || !reflect.DeepEqual(got, someContexts) {
		t.Errorf("%+v, %v", got, ok)
	}
	for i := range b {
		if list, ok := decodeContexts(b[:i]); ok && bytes.Equal(appendContexts(nil, list), b) {
			t.Errorf("%d of %d bytes are the same contexts", i, len(b))
		}
	}
}

// FuzzContexts: decodeContexts does not panic, and what it takes is the same when it is written again.
func FuzzContexts(f *testing.F) {
	f.Add(appendContexts(nil, someContexts))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, ok := decodeContexts(b)
		if !ok {
			return
		}
		again, ok := decodeContexts(appendContexts(nil, list))
		if !ok || !reflect.DeepEqual(again, list) {
			t.Errorf("%+v became %+v, %v", list, again, ok)
		}
	})
}

// TestFrozenPrograms: a program that is kept means the messages that had its numbers.
func TestFrozenPrograms(t *testing.T) {
	ft := newFetchTest(t, searchMails)
	ft.box.Expunge(2)
	ft.reload(t)
	saved := func() msgSet { return msgSet{uid: true, NumSet: imapwire.NumSet{{Start: 3, Stop: 4}}} }
	for program, want := range map[string]string{
		"ALL":                                 "ALL",
		"1":                                   "UID 1",
		"2:3 SEEN":                            "UID 3:4 SEEN",
		"*":                                   "UID 6",
		"$":                                   "UID 3:4",
		"UID $":                               "UID 3:4",
		"NOT UID $ OR 1 (2 NOT 5:*)":          "NOT UID 3:4 OR UID 1 (UID 3 NOT UID 6)",
		"UID 5:*":                             "UID 5:*",
		"SUBJECT {3+}\r\n1:2 1":               "SUBJECT {3+}\r\n1:2 UID 1",
		"HEADER Subject \"2 (\" 2 LARGER 1":   "HEADER Subject \"2 (\" UID 3 LARGER 1",
		"((1,3) KEYWORD x) SENTON 1-Feb-2024": "((UID 1,4) KEYWORD x) SENTON 1-Feb-2024",
	} {
		d := imapwire.NewDecoder([]byte(" "+program+"\r\n"), imapwire.DefaultLimits)
		p := searchParser{d: &d, view: ft.view, saved: saved}
		if _, err := p.parse([]byte("UTF-8")); err != nil || p.text() != want {
			t.Errorf("%q: %q, %v; want %q", program, p.text(), err, want)
		}
	}
}

// TestPositionsInSortedContexts: what a client makes of pairs of positions and sets is the new result.
func TestPositionsInSortedContexts(t *testing.T) {
	c := searchContext{criteria: "(DATE)", uid: true, order: []uint32{5, 1, 9, 2, 3, 4}}
	l := contextLine{c: &c}
	l.remove([]uint32{1, 3, 4})
	l.add([]uint32{6, 7, 8}, []uint32{7, 8, 5, 9, 6, 2})
	if want := " REMOVEFROM (5 3:4 2 1) ADDTO (1 7:8 5 6)"; string(l.text) != want {
		t.Errorf("%q, want %q", l.text, want)
	}
	if want := []uint32{7, 8, 5, 9, 6, 2}; !reflect.DeepEqual(c.order, want) {
		t.Errorf("%v, want %v", c.order, want)
	}
}

// TestNumbersInRanges compares ranges with a list.
func TestNumbersInRanges(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 2000 {
		var in, out []uint32
		for n := uint32(1); n <= 30; n++ {
			if rnd.Intn(2) == 0 {
				in = append(in, n)
			} else {
				out = append(out, n)
			}
		}
		pick := func(list []uint32) (some, rest []uint32) {
			for _, n := range list {
				if rnd.Intn(3) == 0 {
					some = append(some, n)
				} else {
					rest = append(rest, n)
				}
			}
			return some, rest
		}
		ranges := imapwire.RangesOf(in)
		some, rest := pick(in)
		if got := withoutNumbers(ranges, some); !slices.Equal(got, imapwire.RangesOf(rest)) {
			t.Fatalf("%v without %v: %v", in, some, got)
		}
		some, _ = pick(out)
		all := append(slices.Clone(in), some...)
		slices.Sort(all)
		if got := withNumbers(ranges, some); !slices.Equal(got, imapwire.RangesOf(all)) {
			t.Fatalf("%v with %v: %v", in, some, got)
		}
		c := searchContext{found: ranges}
		for n := uint32(0); n < 32; n++ {
			if c.has(n) != slices.Contains(in, n) {
				t.Fatalf("%v has %d: %v", in, n, c.has(n))
			}
		}
	}
}
