package translog

import (
	"errors"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

// transaction appends a transaction of records, with a boundary if there are several.
func transaction(b []byte, external bool, ps ...Payload) []byte {
	var body []byte
	for _, p := range ps {
		body = AppendRecord(body, RecordHeader{External: external}, p)
	}
	if len(ps) > 1 {
		b = AppendRecord(b, RecordHeader{External: true}, Boundary{uint32(len(body)) + 12})
	}
	return append(b, body...)
}

func types(s *Scanner) (ts []Type) {
	for {
		r, ok := s.Next()
		if !ok {
			return ts
		}
		ts = append(ts, r.Header.Type)
	}
}

// A reader without lock may see a file at any length while a transaction is
// written to it. It must stop before the transaction until all of it is there.
func TestScannerStopsBeforeWhatIsNotComplete(t *testing.T) {
	first := transaction(nil, false, FlagUpdates{{UIDs: UIDRange{1, 1}, Add: 1}})
	both := transaction(slices.Clone(first), true, Appends{{UID: 9}}, HeaderUpdates{{64, []byte{1, 2, 3, 4}}})
	for n := range len(both) + 1 {
		s := NewScanner(both[:n], Pos{3, 40})
		got := types(s)
		want, end := []Type(nil), 40
		if n >= len(first) {
			want, end = append(want, TypeFlagUpdate), end+len(first)
		}
		if n == len(both) {
			want, end = append(want, TypeBoundary, TypeAppend, TypeHeaderUpdate), 40+len(both)
		}
		if !slices.Equal(got, want) || s.Err() != nil || s.Pos() != (Pos{3, uint32(end)}) {
			t.Fatalf("%d of %d bytes: records %v up to %v, error %v; want %v up to %d", n, len(both), got, s.Pos(), s.Err(), want, end)
		}
	}
	s := NewScanner(append(slices.Clone(first), make([]byte, 100)...), Pos{3, 40})
	if got := types(s); len(got) != 1 || s.Err() != nil {
		t.Errorf("a record, then zeros: records %v, error %v", got, s.Err())
	}
}

// A disk may have lost the end of a transaction, but not its size.
func TestScannerStopsBeforeTornTransaction(t *testing.T) {
	first := transaction(nil, false, FlagUpdates{{UIDs: UIDRange{1, 1}, Add: 1}})
	whole := transaction(slices.Clone(first), true, Appends{{UID: 9}}, HeaderUpdates{{64, []byte{1, 2, 3, 4}}})
	end := Pos{3, 40 + uint32(len(first))}
	for n := len(first); n <= len(whole)-12; n += 4 { // beyond, all headers are there
		b := slices.Clone(whole)
		clear(b[n:])
		s := NewScanner(b, Pos{3, 40})
		if got := types(s); len(got) != 1 || s.Err() != nil || s.Pos() != end {
			t.Errorf("%d of %d bytes: records %v up to %v, error %v", n, len(b), got, s.Pos(), s.Err())
		}
	}
}

// What is not complete but has a transaction behind it was complete once.
func TestScannerTellsDamageFromUnfinishedWrites(t *testing.T) {
	one := transaction(nil, false, FlagUpdates{{UIDs: UIDRange{1, 1}, Add: 1}})
	two := transaction(nil, true, Appends{{UID: 9}}, HeaderUpdates{{64, []byte{1, 2, 3, 4}}})
	for name, b := range map[string][]byte{
		"zeros":                       append(make([]byte, 20), two...),
		"zeros in a transaction":      slices.Concat(two[:12], make([]byte, 32), two),
		"a large record":              slices.Concat([]byte{0x80, 0x80, 0x81}, one[3:], two),
		"a large transaction":         slices.Concat(two[:9], []byte{1, 0, 0}, two[12:], two),
		"a large record, then others": slices.Concat([]byte{0x80, 0x80, 0x81}, one[3:], one, one, two, one),
		"a record that goes beyond":   slices.Concat(two[:15], []byte{0x94}, two[16:]),
	} {
		s := NewScanner(b, Pos{3, 40})
		if got := types(s); len(got) != 0 || s.Err() == nil || s.Pos() != (Pos{3, 40}) {
			t.Errorf("%s: records %v up to %v, error %v, want an error", name, got, s.Pos(), s.Err())
		}
	}
}

func TestScannerReportsBrokenRecords(t *testing.T) {
	good := transaction(nil, false, FlagUpdates{{UIDs: UIDRange{1, 1}, Add: 1}})
	for name, bad := range map[string]string{
		"size 4":              "80808081 02000000",
		"size 8, no payload":  "80808082 02000000",
		"boundary too small":  "80808083 00000810 08000000",
		"boundary of 8 bytes": "80808084 00000810 08000000 00000000",
	} {
		s := NewScanner(append(slices.Clone(good), bytesOf(t, bad)...), Pos{3, 40})
		got := types(s)
		var c *vfs.CorruptError
		if !errors.As(s.Err(), &c) || c.Offset != int64(40+len(good)) || len(got) != 1 {
			t.Errorf("%s: records %v, error %v, want one record and a CorruptError at %d", name, got, s.Err(), 40+len(good))
		}
	}
}

func TestNextModSeq(t *testing.T) {
	for _, c := range []struct {
		name     string
		p        Payload
		external bool
		minor    uint8
		from, to uint64
	}{
		{"append", Appends{{UID: 1}, {UID: 2}}, true, 3, 5, 6},
		{"expunge request", ExpungeGUIDs{{UID: 1}}, false, 3, 5, 5},
		{"expunge", ExpungeGUIDs{{UID: 1}, {UID: 2}}, true, 3, 5, 6},
		{"expunge of ranges", Expunges{{1, 2}}, true, 3, 5, 6},
		{"flags", FlagUpdates{{UIDs: UIDRange{1, 2}, Add: 1}}, false, 3, 5, 6},
		{"internal flags", FlagUpdates{{UIDs: UIDRange{1, 2}, Add: 0x40}}, false, 3, 5, 5},
		{"internal flags that count", FlagUpdates{{UIDs: UIDRange{1, 2}, Add: 0x40, ModSeqInc: 1}}, false, 3, 5, 6},
		{"internal and other flags", FlagUpdates{{UIDs: UIDRange{1, 2}, Add: 0x40}, {UIDs: UIDRange{3, 4}, Remove: 8}}, false, 3, 5, 6},
		{"internal flags in an old log", FlagUpdates{{UIDs: UIDRange{1, 2}, Add: 0x40}}, false, 2, 5, 6},
		{"keyword", KeywordUpdate{Name: "k", UIDs: []UIDRange{{1, 2}}}, false, 3, 5, 6},
		{"keyword-reset", KeywordReset{{1, 2}}, false, 3, 5, 6},
		{"attribute", AttributeUpdates{{Name: "n"}}, false, 3, 5, 6},
		{"modseq-update", ModSeqUpdates{{1, 7}, {0, 9}, {3, 2}}, false, 3, 5, 9},
		{"lower modseq-update", ModSeqUpdates{{1, 2}}, false, 3, 5, 5},
		{"header", HeaderUpdates{{64, []byte{1, 2, 3, 4}}}, true, 3, 5, 5},
		{"intro", ExtIntros{{ExtID: ExtIDByName, Name: "modseq", HdrSize: 16}}, false, 3, 5, 5},
		{"before modseqs: append", Appends{{UID: 1}}, true, 0, 0, 0},
		{"before modseqs: another intro", ExtIntros{{ExtID: ExtIDByName, Name: "cache", RecordSize: 4}}, false, 0, 0, 0},
		{"before modseqs: intro", ExtIntros{{ExtID: ExtIDByName, Name: "modseq", HdrSize: 16}}, false, 0, 0, 1},
	} {
		r, ok := NewScanner(AppendRecord(nil, RecordHeader{External: c.external}, c.p), Pos{}).Next()
		if !ok {
			t.Fatalf("%s: no record", c.name)
		}
		if got := NextModSeq(c.from, &r, c.minor); got != c.to {
			t.Errorf("%s: NextModSeq(%d) = %d, want %d", c.name, c.from, got, c.to)
		}
	}
}

// TestScanNamesTheFile: also of damage that is found in a record's payload.
func TestScanNamesTheFile(t *testing.T) {
	const path = "../../testdata/dovecot-2.3/small/mdbox/mailboxes/INBOX/dbox-Mails/dovecot.index.log"
	f, err := OpenFile(vfs.OS, path, DefaultMaxLogBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	start := f.Header.Start().Offset
	_, err = f.Scan(start, f.Info.Size, func(r *Record) error {
		r.Payload = r.Payload[:1]
		_, err := r.Decode(0)
		return err
	})
	var damage *vfs.CorruptError
	if !errors.As(err, &damage) || damage.File != path || damage.Offset < int64(start) {
		t.Errorf("got %v, want damage of the file", err)
	}
}
