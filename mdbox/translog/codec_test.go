package translog

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

// bytesOf decodes hexadecimal text with blanks, as in the format's documentation.
func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOffsetEncoding(t *testing.T) {
	for _, c := range []struct {
		v uint32
		b [4]byte
	}{
		{0, [4]byte{0x80, 0x80, 0x80, 0x80}},
		{4, [4]byte{0x80, 0x80, 0x80, 0x81}},
		{12, [4]byte{0x80, 0x80, 0x80, 0x83}},
		{16, [4]byte{0x80, 0x80, 0x80, 0x84}},
		{1024, [4]byte{0x80, 0x80, 0x82, 0x80}},
		{MaxOffset, [4]byte{0xff, 0xff, 0xff, 0xff}},
	} {
		if got := EncodeOffset(c.v); got != c.b {
			t.Errorf("EncodeOffset(%d) = %x, want %x", c.v, got, c.b)
		}
		if got := DecodeOffset(c.b); got != c.v {
			t.Errorf("DecodeOffset(%x) = %d, want %d", c.b, got, c.v)
		}
	}
	for i := range 4 {
		b := EncodeOffset(MaxOffset)
		b[i] &= 0x7f
		if got := DecodeOffset(b); got != 0 {
			t.Errorf("DecodeOffset(%x) = %d, want 0: a byte is not written yet", b, got)
		}
	}
}

// The log of a new mailbox as Dovecot 2.3.19 wrote it, up to the end of its first transaction.
const firstTransaction = `
	0103 2800 9ca6046b 02000000 00000000 00000000 9ca6046b 0100000000000000 01 00000000000000
	80808084 20000010 5000 0400 9ca6046b
	80808083 00000810 70000000
	8080808a 40000010 ffffffff 00000000 18000000 0000 0000 0000 0900 6d64626f782d686472 000000
	80808089 00010010 0000 1800 9ca6046b b86d2a199ca6046b840e000083ecc375 00000000
	80808086 20000010 1800 0400 a9a6046b 4c00 0400 ffffffff`

func TestHeaderOfDovecot(t *testing.T) {
	b := bytesOf(t, firstTransaction)
	h, err := DecodeHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	want := Header{MinorVersion: 3, HdrSize: 40, IndexID: 0x6b04a69c, FileSeq: 2, CreateStamp: 0x6b04a69c, InitialModSeq: 1, CompatFlags: 1}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("DecodeHeader = %+v, want %+v", h, want)
	}
	if got := h.Append(nil); !reflect.DeepEqual(got, b[:HeaderSize]) {
		t.Errorf("Append = %x, want %x", got, b[:HeaderSize])
	}
}

func TestHeaderRules(t *testing.T) {
	valid := bytesOf(t, firstTransaction)[:HeaderSize]
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		offset int64 // of the error, -1 = none
	}{
		{"as it is", func(b []byte) []byte { return b }, -1},
		{"marked as corrupted", func(b []byte) []byte { copy(b[4:8], "\x00\x00\x00\x00"); return b }, -1},
		{"newer and longer", func(b []byte) []byte { b[1], b[2] = 4, 48; return append(b, make([]byte, 8)...) }, -1},
		{"version 1.0, 24 bytes", func(b []byte) []byte { b[1], b[2] = 0, 24; return b[:24] }, -1},
		{"major version", func(b []byte) []byte { b[0] = 2; return b }, 0},
		{"empty", func([]byte) []byte { return nil }, 0},
		{"truncated", func(b []byte) []byte { return b[:39] }, 2},
		{"hdr_size too small", func(b []byte) []byte { b[2] = 20; return b }, 2},
		{"big-endian", func(b []byte) []byte { b[32] = 0; return b }, 32},
		{"file_seq 0", func(b []byte) []byte { b[8] = 0; return b }, 8},
		{"prev_file_seq not before file_seq", func(b []byte) []byte { b[12] = 2; return b }, 12},
	} {
		b := c.change(append([]byte(nil), valid...))
		h, err := DecodeHeader(b)
		var corrupt *vfs.CorruptError
		switch {
		case c.offset < 0 && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.offset < 0:
			if got := h.Append(nil); !reflect.DeepEqual(got, b[:h.HdrSize]) {
				t.Errorf("%s: Append = %x, want %x", c.name, got, b[:h.HdrSize])
			}
		case !errors.As(err, &corrupt) || corrupt.Offset != c.offset:
			t.Errorf("%s: %v, want a CorruptError at %d", c.name, err, c.offset)
		}
	}
}

// payloads are records as Dovecot writes them, with what they mean.
var payloads = []struct {
	name       string
	record     string
	header     RecordHeader
	recordSize uint16 // of the intro before
	payload    Payload
}{
	{"header-update", "80808084 20000010 5000 0400 9ca6046b",
		RecordHeader{16, TypeHeaderUpdate, true, false}, 0,
		HeaderUpdates{{80, []byte{0x9c, 0xa6, 0x04, 0x6b}}}},
	{"header-update of two fields, padded each", "80808086 20000010 1800 0200 a9a60000 4c00 0400 ffffffff",
		RecordHeader{24, TypeHeaderUpdate, true, false}, 0,
		HeaderUpdates{{24, []byte{0xa9, 0xa6}}, {76, []byte{0xff, 0xff, 0xff, 0xff}}}},
	{"boundary", "80808083 00000810 70000000",
		RecordHeader{12, TypeBoundary, true, false}, 0, Boundary{0x70}},
	{"ext-intro by name", "8080808a 40000010 ffffffff 00000000 18000000 0000 0000 0000 0900 6d64626f782d686472 000000",
		RecordHeader{40, TypeExtIntro, true, false}, 0,
		ExtIntros{{ExtID: ExtIDByName, HdrSize: 24, Name: "mdbox-hdr"}}},
	{"ext-intro by id", "80808087 40000000 01000000 05000000 00000000 0200 0200 0100 0000",
		RecordHeader{28, TypeExtIntro, false, false}, 0,
		ExtIntros{{ExtID: 1, ResetID: 5, RecordSize: 2, RecordAlign: 2, NoShrink: true}}},
	{"ext-hdr-update", "80808089 00010010 0000 1800 9ca6046b b86d2a199ca6046b840e000083ecc375 00000000",
		RecordHeader{36, TypeExtHdrUpdate, true, false}, 0,
		ExtHdrUpdates{{0, []byte("\x9c\xa6\x04\x6b\xb8\x6d\x2a\x19\x9c\xa6\x04\x6b\x84\x0e\x00\x00\x83\xec\xc3\x75\x00\x00\x00\x00")}}},
	{"ext-hdr-update32", "80808085 00000110 04000100 01000000 ff000000",
		RecordHeader{20, TypeExtHdrUpdate32, true, false}, 0,
		ExtHdrUpdates32{{0x10004, []byte{0xff}}}},
	{"ext-reset", "80808084 80000010 9ca6046b 00 000000",
		RecordHeader{16, TypeExtReset, true, false}, 0, ExtReset{NewResetID: 0x6b04a69c}},
	{"ext-reset that keeps the data", "80808084 80000010 9ca6046b 01 000000",
		RecordHeader{16, TypeExtReset, true, false}, 0, ExtReset{NewResetID: 0x6b04a69c, PreserveData: true}},
	{"append", "80808086 02000010 01000000 08 000000 05000000 00 000000",
		RecordHeader{24, TypeAppend, true, false}, 0, Appends{{1, 8}, {5, 0}}},
	{"ext-rec-update, padded", "80808084 00020000 46000000 0100 0000",
		RecordHeader{16, TypeExtRecUpdate, false, false}, 2,
		ExtRecUpdates{2, []byte{0x46, 0, 0, 0, 1, 0, 0, 0}}},
	{"flag-update", "80808085 04000000 03000000 03000000 01 00 00 00",
		RecordHeader{20, TypeFlagUpdate, false, false}, 0, FlagUpdates{{UIDs: UIDRange{3, 3}, Add: 1}}},
	{"flag-update of dsync", "80808085 04000030 03000000 07000000 01 08 01 00",
		RecordHeader{20, TypeFlagUpdate, true, true}, 0, FlagUpdates{{UIDRange{3, 7}, 1, 8, 1}}},
	{"expunge request", "80808087 90ed0000 0b000000 00000000000000000000000000000000",
		RecordHeader{28, TypeExpungeGUID, false, false}, 0, ExpungeGUIDs{{UID: 11}}},
	{"expunge of two messages", "8080808c 90ed0010 0b000000 d026d9160000000000000000000000ff 0a000000 00000000000000000000000000000000",
		RecordHeader{48, TypeExpungeGUID, true, false}, 0,
		ExpungeGUIDs{{11, [16]byte{0xd0, 0x26, 0xd9, 0x16, 15: 0xff}}, {UID: 10}}},
	{"expunge of ranges", "80808086 91cd0010 01000000 03000000 05000000 05000000",
		RecordHeader{24, TypeExpunge, true, false}, 0, Expunges{{1, 3}, {5, 5}}},
	{"keyword-update", "80808087 00040000 00 00 0500 24576f726b 000000 02000000 04000000",
		RecordHeader{28, TypeKeywordUpdate, false, false}, 0, KeywordUpdate{Name: "$Work", UIDs: []UIDRange{{2, 4}}}},
	{"keyword-update that removes", "80808086 00040000 01 00 0400 6b657930 02000000 04000000",
		RecordHeader{24, TypeKeywordUpdate, false, false}, 0, KeywordUpdate{Remove: true, Name: "key0", UIDs: []UIDRange{{2, 4}}}},
	{"keyword-reset", "80808084 00080000 02000000 04000000",
		RecordHeader{16, TypeKeywordReset, false, false}, 0, KeywordReset{{2, 4}}},
	{"ext-atomic-inc", "80808084 00100000 0c000000 ffffffff",
		RecordHeader{16, TypeExtAtomicInc, false, false}, 0, ExtAtomicIncs{{12, -1}}},
	{"modseq-update", "80808085 00800000 0c000000 02000000 01000000",
		RecordHeader{20, TypeModSeqUpdate, false, false}, 0, ModSeqUpdates{{12, 1<<32 + 2}}},
	{"index-deleted", "80808083 00000200 00000000",
		RecordHeader{12, TypeIndexDeleted, false, false}, 0, IndexDeleted{}},
	{"index-undeleted", "80808083 00000410 00000000",
		RecordHeader{12, TypeIndexUndeleted, true, false}, 0, IndexUndeleted{}},
	{"attribute-update", "80808088 00001000 2b7061626300 2d737800 00 00 11000000 05000000 12000000",
		RecordHeader{32, TypeAttributeUpdate, false, false}, 0,
		AttributeUpdates{{Name: "abc", Timestamp: 0x11, Length: 5}, {Removed: true, Shared: true, Name: "x", Timestamp: 0x12}}},
}

func TestRecords(t *testing.T) {
	for _, c := range payloads {
		b := bytesOf(t, c.record)
		s := NewScanner(b, Pos{7, 100})
		r, ok := s.Next()
		if !ok && c.header.Type == TypeBoundary {
			r, ok = Record{Header: c.header, Payload: b[RecordHeaderSize:]}, true // the transaction is not there
		}
		if !ok {
			t.Errorf("%s: no record: %v", c.name, s.Err())
			continue
		}
		if r.Header != c.header {
			t.Errorf("%s: header %+v, want %+v", c.name, r.Header, c.header)
		}
		p, err := r.Decode(c.recordSize)
		if err != nil || !reflect.DeepEqual(p, c.payload) {
			t.Errorf("%s: %+v, %v, want %+v", c.name, p, err, c.payload)
			continue
		}
		if got := AppendRecord(nil, c.header, p); !reflect.DeepEqual(got, b) {
			t.Errorf("%s: encoded %x, want %x", c.name, got, b)
		}
		if p.Type() != c.header.Type {
			t.Errorf("%s: Type() = %v, want %v", c.name, p.Type(), c.header.Type)
		}
	}
}

func TestPayloadRules(t *testing.T) {
	for _, c := range []struct {
		name       string
		typ        Type
		recordSize uint16
		payload    string
		offset     int64 // of the error in the payload
	}{
		{"append of half a message", TypeAppend, 0, "01000000", 0},
		{"append of UID 0", TypeAppend, 0, "00000000 00000000", 0},
		{"append in descending order", TypeAppend, 0, "02000000 00000000 01000000 00000000", 8},
		{"expunge of nothing", TypeExpunge, 0, "", 0},
		{"expunge of UID 0", TypeExpunge, 0, "00000000 01000000", 0},
		{"range backwards", TypeExpunge, 0, "02000000 01000000", 0},
		{"ranges overlap", TypeExpunge, 0, "01000000 05000000 05000000 06000000", 8},
		{"expunge-guid of 24 bytes", TypeExpungeGUID, 0, "01000000 00000000 00000000 00000000 00000000 00000000", 0},
		{"expunge-guid of UID 0", TypeExpungeGUID, 0, "00000000 00000000 00000000 00000000 00000000", 0},
		{"flags of ranges that overlap", TypeFlagUpdate, 0, "01000000 05000000 01000000 05000000 06000000 01000000", 12},
		{"header-update beyond the record", TypeHeaderUpdate, 0, "0000 0500 01020304", 0},
		{"header-update, second beyond the record", TypeHeaderUpdate, 0, "0000 0100 01000000 0000 ffff", 8},
		{"ext-hdr-update32 that wraps", TypeExtHdrUpdate32, 0, "00000000 fcffffff 00000000", 0},
		{"ext-intro cut off", TypeExtIntro, 0, "ffffffff 00000000 18000000 0000 0000 0000", 0},
		{"ext-intro with a long name", TypeExtIntro, 0, "ffffffff 00000000 18000000 0000 0000 0000 0900 61626364", 0},
		{"ext-reset without payload", TypeExtReset, 0, "0102", 0},
		{"ext-rec-update of another size", TypeExtRecUpdate, 8, "01000000 00000000", 0},
		{"ext-atomic-inc cut off", TypeExtAtomicInc, 0, "01000000 00000000 01000000", 0},
		{"keyword of unknown modify_type", TypeKeywordUpdate, 0, "02 00 0400 6b657930 02000000 04000000", 0},
		{"keyword without name", TypeKeywordUpdate, 0, "00 00 0000 02000000 04000000", 2},
		{"keyword name beyond the record", TypeKeywordUpdate, 0, "00 00 ffff 02000000 04000000", 2},
		{"keyword without UIDs", TypeKeywordUpdate, 0, "00 00 0400 6b657930", 0},
		{"modseq-update of 16 bytes", TypeModSeqUpdate, 0, "0c000000 02000000 01000000 00000000", 0},
		{"boundary smaller than itself", TypeBoundary, 0, "08000000", 0},
		{"attribute-update without end", TypeAttributeUpdate, 0, "2b706162", 0},
		{"attribute-update without times", TypeAttributeUpdate, 0, "2b706100 00000000", 8},
		{"expunge with one bit flipped", TypeExpunge ^ 0x10, 0, "01000000 01000000", 0},
		{"unknown type", 0x00200000, 0, "01000000", 0},
	} {
		_, err := DecodePayload(c.typ, bytesOf(t, c.payload), c.recordSize)
		var corrupt *vfs.CorruptError
		if !errors.As(err, &corrupt) || corrupt.Offset != c.offset {
			t.Errorf("%s: %v, want a CorruptError at %d", c.name, err, c.offset)
		}
	}
}
