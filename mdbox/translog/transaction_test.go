package translog

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/vfs"
)

func TestAppendTransaction(t *testing.T) {
	flags := FlagUpdates{{UIDs: UIDRange{3, 3}, Add: 1}}
	one := []byte{0x80, 0x80, 0x80, 0x85, 4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0}
	got, err := AppendTransaction([]byte("x"), NewRecord{Payload: flags})
	if err != nil || !bytes.Equal(got, append([]byte("x"), one...)) {
		t.Errorf("one record: % x, %v", got, err)
	}
	two := []byte{
		0x80, 0x80, 0x80, 0x83, 0, 0, 0x08, 0x10, 48, 0, 0, 0, // boundary: 12 + 20 + 16 bytes, external
		0x80, 0x80, 0x80, 0x85, 4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0,
		0x80, 0x80, 0x80, 0x84, 2, 0, 0, 0x10, 7, 0, 0, 0, 8, 0, 0, 0,
	}
	got, err = AppendTransaction(nil, NewRecord{Payload: flags}, NewRecord{External: true, Payload: Appends{{UID: 7, Flags: 8}}})
	if err != nil || !bytes.Equal(got, two) {
		t.Errorf("two records: %v\n% x, want\n% x", err, got, two)
	}
	if got, err := AppendTransaction([]byte("x")); err != nil || string(got) != "x" {
		t.Errorf("no record: %q, %v", got, err)
	}
}

func TestAppendTransactionRefuses(t *testing.T) {
	for name, p := range map[string]Payload{
		"nothing":                  nil,
		"a boundary":               Boundary{Size: 12},
		"an empty payload":         Appends{},
		"no intro":                 ExtIntros{},
		"a UID twice":              Appends{{UID: 7}, {UID: 7}},
		"a range backwards":        Expunges{{9, 8}},
		"ranges that overlap":      FlagUpdates{{UIDs: UIDRange{1, 5}}, {UIDs: UIDRange{5, 6}}},
		"a GUID of no message":     ExpungeGUIDs{{}},
		"a keyword without name":   KeywordUpdate{UIDs: []UIDRange{{1, 1}}},
		"a keyword with NUL":       KeywordUpdate{Name: "x\x00y", UIDs: []UIDRange{{1, 1}}},
		"a keyword without UID":    KeywordUpdate{Name: "x"},
		"a long keyword":           KeywordUpdate{Name: strings.Repeat("x", 1<<16), UIDs: []UIDRange{{1, 1}}},
		"a far header update":      ExtHdrUpdates{{Offset: 1 << 16, Data: []byte{1}}},
		"a large header update":    HeaderUpdates{{Data: make([]byte, 1<<16)}},
		"records without an intro": NewExtRecUpdates(4),
		"records of another size":  recUpdates(7),
		"an odd alignment":         ExtIntros{{ExtID: ExtIDByName, Name: "x", RecordSize: 6, RecordAlign: 6}},
		"a name that is no name":   ExtIntros{{ExtID: ExtIDByName, Name: strings.Repeat("x", 1<<16)}},
	} {
		records := []NewRecord{{Payload: ExtIntros{{ExtID: 0, RecordSize: 4}}}, {Payload: p}}
		b, err := AppendTransaction([]byte("x"), records...)
		if err == nil || string(b) != "x" {
			t.Errorf("%s: %q, %v", name, b[:min(len(b), 100)], err)
		}
	}
}

func recUpdates(size uint16) ExtRecUpdates {
	u := NewExtRecUpdates(size)
	u.Add(1, []byte{1})
	return u
}

// FuzzTransaction: the records of any log, written as one transaction, are the same records.
func FuzzTransaction(f *testing.F) {
	two, err := AppendTransaction(nil, NewRecord{Payload: ExtIntros{{ExtID: 0, RecordSize: 4}}}, NewRecord{Payload: recUpdates(4)},
		NewRecord{External: true, Payload: HeaderUpdates{{Offset: 64, Data: []byte{1, 2, 3, 4}}}},
		NewRecord{Payload: KeywordUpdate{Name: "k", UIDs: []UIDRange{{1, 2}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(two)
	f.Fuzz(func(t *testing.T, b []byte) {
		records, ok := decodeAll(b)
		if !ok || len(records) == 0 {
			return
		}
		out, err := AppendTransaction(nil, records...)
		if err != nil {
			var c *vfs.CorruptError
			if errors.As(err, &c) {
				t.Fatalf("what was decoded can not be: %v", err)
			}
			return
		}
		s := NewScanner(out, Pos{})
		n := 0
		for {
			if _, ok := s.Next(); !ok {
				break
			}
			n++
		}
		if s.Err() != nil || int(s.Pos().Offset) != len(out) {
			t.Fatalf("%d records, %v, %d of %d bytes", n, s.Err(), s.Pos().Offset, len(out))
		}
		again, ok := decodeAll(out)
		if d := cmp.Diff(records, again, cmp.AllowUnexported(ExtRecUpdates{})); d != "" || !ok {
			t.Errorf("written and read again: %s", d)
		}
	})
}

// decodeAll decodes the records of b but for boundaries. ok is false if b is not sound.
func decodeAll(b []byte) (records []NewRecord, ok bool) {
	s := NewScanner(b, Pos{})
	var size uint16
	for {
		r, more := s.Next()
		if !more {
			return records, s.Err() == nil
		}
		p, err := r.Decode(size)
		if err != nil {
			return nil, false
		}
		switch p := p.(type) {
		case Boundary:
			continue
		case ExtIntros:
			size = p[len(p)-1].RecordSize
		}
		records = append(records, NewRecord{External: r.Header.External, Payload: p})
	}
}
