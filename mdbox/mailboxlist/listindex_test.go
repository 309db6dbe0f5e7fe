package mailboxlist

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples are bytes of a list index written by Dovecot 2.3.19.

func TestListHeader(t *testing.T) {
	b := append(unhex(t, "00 01000000"), "Archive\x00\x02\x00\x00\x002023\x00\x08\x00\x00\x00Entw&APw-rfe &- Ideen\x00\x00\x00\x00\x00"...)
	want := ListHeader{Names: []ListName{{1, "Archive"}, {2, "2023"}, {8, "Entw&APw-rfe &- Ideen"}}}
	for _, padding := range []int{0, 1, 3, 4, 100} {
		got, err := DecodeListHeader(append(b[:len(b):len(b)], make([]byte, padding)...))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(b, got.Append(nil)); d != "" {
			t.Error(d)
		}
	}
	if got, err := DecodeListHeader([]byte{1}); err != nil || !got.Refresh || len(got.Names) != 0 {
		t.Errorf("header of one byte: %+v, %v", got, err)
	}
}

func TestListHeaderRefuses(t *testing.T) {
	for name, b := range map[string]string{
		"empty":            "",
		"name without NUL": "\x00\x01\x00\x00\x00abc",
		"empty name":       "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00",
		"ids descend":      "\x00\x02\x00\x00\x00a\x00\x01\x00\x00\x00b\x00",
		"id twice":         "\x00\x02\x00\x00\x00a\x00\x02\x00\x00\x00b\x00",
	} {
		if got, err := DecodeListHeader([]byte(b)); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}

// codecTest decodes bytes, compares, and encodes again; one byte less is an error.
func codecTest[T comparable](t *testing.T, bytes string, want T, decode func([]byte) (T, error), encode func(T, []byte) []byte) {
	t.Helper()
	b := unhex(t, bytes)
	got, err := decode(b)
	if err != nil || got != want {
		t.Errorf("%s: %+v, %v; want %+v", bytes, got, err, want)
	}
	if d := cmp.Diff(b, encode(got, nil)); d != "" {
		t.Errorf("%s: %s", bytes, d)
	}
	if got, err := decode(b[:len(b)-1]); err == nil {
		t.Errorf("%s without its last byte: %+v", bytes, got)
	}
}

func TestListRecords(t *testing.T) {
	codecTest(t, "01000000 00000000 b0fb7c139ca6046b840e000083ecc375 9ca6046b",
		ListRecord{NameID: 1, GUID: [16]byte(unhex(t, "b0fb7c139ca6046b840e000083ecc375")), UIDValidity: 0x6b04a69c},
		DecodeListRecord, ListRecord.Append)
	codecTest(t, "03000000 02000000 00000000 05000000", MessageCounts{Messages: 3, Unseen: 2, UIDNext: 5},
		DecodeMessageCounts, MessageCounts.Append)
	codecTest(t, "0700000000000000", 7, DecodeHighestModSeq, func(v uint64, b []byte) []byte { return AppendHighestModSeq(b, v) })
	codecTest(t, "48040000 9ca6046b", IndexSync{Size: 1096, Mtime: 0x6b04a69c}, DecodeIndexSync, IndexSync.Append)
	codecTest(t, "b918000000000000 01000000 01000000", SizeSum{6329, 1, 1}, DecodeSizeSum, SizeSum.Append)
	codecTest(t, "00000000 ffffffff", FirstSaved{0, 0xffffffff}, DecodeFirstSaved, FirstSaved.Append)
}

func FuzzListHeader(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x00Archive\x00\x02\x00\x00\x002023\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeListHeader(b)
		if err != nil {
			return
		}
		again, err := DecodeListHeader(h.Append(nil))
		if err != nil || !cmp.Equal(h, again) {
			t.Fatalf("%x: %+v, then %+v, %v", b, h, again, err)
		}
	})
}
