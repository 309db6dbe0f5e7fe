package imap

import (
	"slices"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// uidRanges makes ranges of pairs.
func uidRanges(uids ...uint32) (rs []backend.UIDRange) {
	for i := 0; i < len(uids); i += 2 {
		rs = append(rs, backend.UIDRange{First: uids[i], Last: uids[i+1]})
	}
	return rs
}

func TestIntersect(t *testing.T) {
	const most = 1<<32 - 1
	for _, c := range []struct{ a, b, want []backend.UIDRange }{
		{nil, uidRanges(1, 5), nil},
		{uidRanges(1, 5), uidRanges(6, 9), nil},
		{uidRanges(1, 5), uidRanges(5, 9), uidRanges(5, 5)},
		{uidRanges(1, most), uidRanges(3, 4, 9, most), uidRanges(3, 4, 9, most)},
		{uidRanges(1, 3, 5, 9, 20, 30), uidRanges(2, 6, 8, 22), uidRanges(2, 3, 5, 6, 8, 9, 20, 22)},
	} {
		if got := intersect(c.a, c.b); !slices.Equal(got, c.want) {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
		if got := intersect(c.b, c.a); !slices.Equal(got, c.want) {
			t.Errorf("%v and %v: %v, want %v", c.b, c.a, got, c.want)
		}
	}
}

func TestHighest(t *testing.T) {
	for _, c := range []struct {
		told, from, to uint64
		expunged       bool
		want           uint64
	}{
		{0, 5, 5, false, 0},
		{3, 5, 5, false, 0}, // an older message was asked for
		{6, 5, 6, false, 0}, // told by MODSEQ
		{0, 5, 6, false, 6}, // something came
		{5, 5, 6, false, 6},
		{7, 5, 5, false, 5}, // an EXPUNGE of modseq 6 waits
		{7, 5, 7, true, 7},  // RFC 7162 §3.2.7
	} {
		if got := highest(c.told, c.from, c.to, c.expunged); got != c.want {
			t.Errorf("told %d, from %d to %d, expunged %v: %d, want %d", c.told, c.from, c.to, c.expunged, got, c.want)
		}
	}
}

func TestSavedResult(t *testing.T) {
	for _, want := range []imapwire.NumSet{nil, {{Start: 1, Stop: 1}}, {{Start: 2, Stop: 9}, {Start: 11, Stop: 11}, {Start: 1 << 31, Stop: 1<<32 - 1}}} {
		got, ok := decodeResult(appendResult(nil, want))
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%v became %v, %v", want, got, ok)
		}
	}
}

// FuzzSavedResult: decode does not panic, and what it takes is in order, and the same when it is written again.
func FuzzSavedResult(f *testing.F) {
	f.Add([]byte{1, 0, 2, 7})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		uids, ok := decodeResult(b)
		if !ok {
			return
		}
		last := uint64(0)
		for _, u := range uids {
			if uint64(u.Start) <= last || u.Stop < u.Start {
				t.Fatalf("%x: %v", b, uids)
			}
			last = uint64(u.Stop)
		}
		again, ok := decodeResult(appendResult(nil, uids))
		if !ok || !slices.Equal(again, uids) {
			t.Fatalf("%v became %v", uids, again)
		}
	})
}

// FuzzResync reads anything as the parameter QRESYNC, and finds what it matches in a mailbox.
func FuzzResync(f *testing.F) {
	f.Add(" (1 2)")
	f.Add(" (1001 90060115194045000 41:211,214:541 (1,2 3:4))")
	f.Add(" (1 2 (1:4294967295 1:4294967295))")
	ft := newFetchTest(f, testMails[:3])
	f.Fuzz(func(t *testing.T, text string) {
		r := &request{d: imapwire.NewDecoder([]byte(text+"\r\n"), imapwire.DefaultLimits)}
		s := r.parseResync()
		if r.end() != nil {
			return
		}
		if s.uidValidity == 0 || s.seqs.Count() != s.uids.Count() {
			t.Fatalf("%q: %+v", text, s)
		}
		if uid := matched(ft.view, s.seqs, s.uids); uid > 3 {
			t.Fatalf("%q: UID %d matches", text, uid)
		}
		last := uint32(0)
		for _, u := range ft.view.Missing(knownUIDs(ft.view, s.known)) {
			if u.First <= last || u.Last < u.First || u.Last >= uint32(ft.view.UIDNext) {
				t.Fatalf("%q: missing %v", text, u)
			}
			last = u.Last
		}
	})
}
