package index

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oneMessage is a dovecot.index of Dovecot 2.3.19 with one message.
const oneMessage = `
	0703 7800 f8000000 24000000 01 000000
	9ca6046b 00000000 a9a6046b 02000000
	01000000 00000000 01000000 00000000
	01000000 02000000 00000000 02000000
	0c020000 0c020000 00000000 ffffffff
	9ca6046b 0082036b 01000000 00000000
	000000000000000000000000000000000000000000000000
	18000000 00000000 0000 0000 0000 0900 6d64626f782d686472 00000000000000
	9ca6046b b86d2a199ca6046b840e000083ecc375 00 000000
	00000000 9ca6046b 1800 0400 0400 0500 6361636865 000000
	00000000 00000000 1c00 0800 0400 0500 6d64626f78 000000
	00000000 00000000 0500 1000 0100 0400 67756964 00000000
	01000000 08 205b4d199ca6046b840e000083ecc375 000000 c4010000 1c000000 9ca6046b`

func TestSnapshotOfDovecot(t *testing.T) {
	b := bytesOf(t, oneMessage)
	s, err := DecodeSnapshot(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	h := s.Header()
	if h.IndexID() != 0x6b04a69c || h.UIDValidity() != 0x6b04a6a9 || h.NextUID() != 2 || h.Seen() != 1 || h.FirstRecentUID() != 1 ||
		h.FirstUnseenLowwater() != 2 || h.Log2RotateTime() != 1<<32-1 || h.LastTempFileScan() != 0x6b04a69c || h.DayStamp() != 0x6b038200 ||
		h.DayFirstUID(0) != 1 || h.DayFirstUID(7) != 0 || h.MinorVersion() != 3 || h.Flags() != 0 || h.Deleted() != 0 || h.FirstDeletedLowwater() != 0 {
		t.Errorf("header %x", h.b)
	}
	if s.Pos() != (translog.Pos{FileSeq: 2, Offset: 524}) || h.LogTail() != s.Pos() {
		t.Errorf("stands at %v, tail %v, want 2:524", s.Pos(), h.LogTail())
	}
	if !slices.Equal(s.UIDs(), []uint32{1}) || !slices.Equal(s.Flags(), []uint8{FlagSeen}) {
		t.Errorf("UIDs %v, flags %v", s.UIDs(), s.Flags())
	}
	mh, err := DecodeMdboxHeader(s.Ext(ExtMdboxHeader).Header())
	if err != nil || mh.MapUIDValidity != 0x6b04a69c || mh.MailboxGUID[0] != 0xb8 || mh.Flags != 0 {
		t.Errorf("mdbox-hdr %+v, %v", mh, err)
	}
	mr, err := DecodeMdboxRecord(s.Ext(ExtMdbox).Record(0))
	if err != nil || mr != (MdboxRecord{28, 0x6b04a69c}) {
		t.Errorf("mdbox %+v, %v", mr, err)
	}
	guid, err := DecodeGUID(s.Ext(ExtGUID).Record(0))
	if err != nil || hex.EncodeToString(guid[:]) != "205b4d199ca6046b840e000083ecc375" {
		t.Errorf("guid %x, %v", guid, err)
	}
	if c := s.Ext("cache"); c.ResetID != 0x6b04a69c || binary.LittleEndian.Uint32(c.Column()) != 452 {
		t.Errorf("cache %+v", c)
	}
	if s.HasModSeqs() || len(s.Keywords()) != 0 || s.Ext("vsize") != nil {
		t.Error("has extensions that are not there")
	}
	if got := s.AppendSnapshot(nil); !bytes.Equal(got, b) {
		t.Errorf("encoded\n%x, want\n%x", got, b)
	}
}

func TestSnapshotRules(t *testing.T) {
	put := func(off int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[off:], v); return b }
	}
	put16 := func(off int, v uint16) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint16(b[off:], v); return b }
	}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		offset int64 // of the error, -1 = none
	}{
		{"bytes after the last record", func(b []byte) []byte { return append(b, 1, 2, 3) }, -1},
		{"newer minor version", func(b []byte) []byte { b[1] = 4; return b }, -1},
		{"wrong seen counter", put(40, 0), -1},
		{"empty", func([]byte) []byte { return nil }, 0},
		{"short header", func(b []byte) []byte { return b[:119] }, 0},
		{"major version", func(b []byte) []byte { b[0] = 6; return b }, 0},
		{"base_header_size too small", put16(2, 119), 2},
		{"base_header_size beyond the file", put16(2, 0xffff), 2},
		{"header_size within the base header", put(4, 119), 4},
		{"header_size beyond the file", put(4, 0xffffffff), 4},
		{"record_size", put(8, 4), 8},
		{"big-endian", func(b []byte) []byte { b[12] = 0; return b }, 12},
		{"flag corrupted", put(20, 1), 20},
		{"uid_validity 0", put(24, 0), 24},
		{"next_uid 0", put(28, 0), 28},
		{"messages beyond the file", put(32, 2), 32},
		{"so many messages that the size wraps", put(32, 0x40000000), 32},
		{"first_recent_uid 0", put(48, 0), 48},
		{"first_recent_uid beyond next_uid", put(48, 3), 48},
		{"unseen lowwater", put(52, 3), 52},
		{"deleted lowwater", put(56, 3), 56},
		{"tail beyond head", put(64, 525), 64},
		{"ext header data beyond the header", put(0x78, 0x1000), 0x78},
		{"ext header data size wraps", put(0x78, 0xffffffff), 0x78},
		{"ext without data", put(0x78, 0), 0x78},
		{"ext name not printable", func(b []byte) []byte { b[0x88] = 7; return b }, 0x88},
		{"ext name_size 0", put16(0x78+14, 0), 0x78 + 14},
		{"ext name_size beyond the header", put16(0x78+14, 0xffff), 0x78 + 14},
		{"two extensions of one name", func(b []byte) []byte { copy(b[0xd8:], "cache"); return b }, 0xc8},
		{"ext record beyond the record", put16(0xb0+8, 36), 0xb0 + 8},
		{"ext record over the UID", put16(0xe0+8, 4), 0xe0 + 8},
		{"ext record not aligned", put16(0xb0+8, 23), 0xb0 + 8},
		{"ext record_align 0", put16(0xb0+12, 0), 0xb0 + 12},
		{"ext record_align 9", put16(0xb0+12, 9), 0xb0 + 12},
		{"UID 0", put(0xf8, 0), 0xf8},
		{"UID not below next_uid", put(0xf8, 2), 0xf8},
	} {
		_, err := DecodeSnapshot(c.change(bytesOf(t, oneMessage)), 0)
		var corrupt *vfs.CorruptError
		if c.offset < 0 {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if !errors.As(err, &corrupt) || corrupt.Offset != c.offset {
			t.Errorf("%s: %v, want a CorruptError at %d", c.name, err, c.offset)
		}
	}
}

func TestOldMinorVersionsAreUpgraded(t *testing.T) {
	for minor := range uint8(3) {
		b := bytesOf(t, oneMessage)
		b[1] = minor
		b[0xf8+4] |= flagOldRecent
		if minor == 0 {
			copy(b[48:52], make([]byte, 4))
		}
		s, err := DecodeSnapshot(b, 0)
		if err != nil {
			t.Errorf("minor version %d: %v", minor, err)
			continue
		}
		h := s.Header()
		if h.MinorVersion() != 3 || h.FirstRecentUID() != 1 || h.Log2RotateTime() != 0 || h.LastTempFileScan() != 0 {
			t.Errorf("minor version %d: header %x", minor, h.b)
		}
		want := FlagSeen
		if minor == 2 { // it had no \Recent any more, and the bit was free
			want |= flagOldRecent
		}
		if s.Flags()[0] != want {
			t.Errorf("minor version %d: flags %#x, want %#x", minor, s.Flags()[0], want)
		}
	}
}

func TestKeywordHeader(t *testing.T) {
	names := []string{"$Forwarded", "Work", "x"}
	b := bytesOf(t, `03000000 00000000 00000000 00000000 0b000000 00000000 10000000
		24466f7277617264656400 576f726b00 7800 0000`)
	got, err := DecodeKeywords(b)
	if err != nil || !slices.Equal(got, names) {
		t.Errorf("DecodeKeywords = %q, %v", got, err)
	}
	if enc := AppendKeywords(nil, names); !bytes.Equal(enc, b) {
		t.Errorf("AppendKeywords = %x, want %x", enc, b)
	}
	if got, err := DecodeKeywords(append(b, make([]byte, 128)...)); err != nil || !slices.Equal(got, names) {
		t.Errorf("with spare bytes: %q, %v", got, err)
	}
	for name, s := range map[string]string{
		"cut off":             "0300",
		"count beyond data":   "ffffffff 00000000",
		"name beyond data":    "01000000 00000000 05000000 61620000",
		"name without end":    "01000000 00000000 00000000 61626364",
		"empty name":          "01000000 00000000 00000000 00000000",
		"name offset maximal": "01000000 00000000 ffffffff 61620000",
	} {
		var corrupt *vfs.CorruptError
		if got, err := DecodeKeywords(bytesOf(t, s)); !errors.As(err, &corrupt) {
			t.Errorf("%s: %q, %v, want a CorruptError", name, got, err)
		}
	}
}

func TestExtensionCodecs(t *testing.T) {
	check := func(name string, enc []byte, want string, dec func([]byte) (any, error), v any) {
		t.Helper()
		if b := bytesOf(t, want); !bytes.Equal(enc, b) {
			t.Errorf("%s: encoded %x, want %x", name, enc, b)
		}
		if got, err := dec(enc); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%s: decoded %+v, %v, want %+v", name, got, err, v)
		}
		var corrupt *vfs.CorruptError
		if _, err := dec(enc[1:]); !errors.As(err, &corrupt) {
			t.Errorf("%s: without the first byte: %v, want a CorruptError", name, err)
		}
	}
	m := ModSeqHeader{Highest: 1<<32 + 5, Log: translog.Pos{FileSeq: 3, Offset: 0x100}}
	check("modseq", m.Append(nil), "05000000 01000000 03000000 00010000",
		func(b []byte) (any, error) { return DecodeModSeqHeader(b) }, m)
	v := VSizeHeader{VSize: 1<<32 + 7, HighestUID: 9, MessageCount: 4}
	check("hdr-vsize", v.Append(nil), "07000000 01000000 09000000 04000000",
		func(b []byte) (any, error) { return DecodeVSizeHeader(b) }, v)
	h := MdboxHeader{MapUIDValidity: 5, MailboxGUID: [16]byte{1, 15: 2}, Flags: MdboxHavePOP3UIDLs}
	check("mdbox-hdr", h.Append(nil), "05000000 01000000000000000000000000000002 01 000000",
		func(b []byte) (any, error) { return DecodeMdboxHeader(b) }, h)
	sh := SdboxHeader{RebuildCount: 5, MailboxGUID: [16]byte{1, 15: 2}, Flags: MdboxHavePOP3Orders}
	if got := hex.EncodeToString(sh.Append(nil)); got != "05000000"+"01000000000000000000000000000002"+"02000000" {
		t.Errorf("dbox-hdr: %s", got)
	}
	for n, want := range map[int]SdboxHeader{4: {RebuildCount: 5}, 20: {RebuildCount: 5, MailboxGUID: sh.MailboxGUID}, 24: sh} {
		if got, err := DecodeSdboxHeader(sh.Append(nil)[:n]); err != nil || got != want {
			t.Errorf("dbox-hdr of %d bytes: %+v, %v, want %+v", n, got, err, want)
		}
	}
	for _, n := range []int{0, 3, 25} {
		if got, err := DecodeSdboxHeader(make([]byte, n)); err == nil {
			t.Errorf("dbox-hdr of %d bytes: %+v", n, got)
		}
	}
	r := MdboxRecord{MapUID: 28, SaveDate: 0x6b04a69c}
	check("mdbox", r.Append(nil), "1c000000 9ca6046b",
		func(b []byte) (any, error) { return DecodeMdboxRecord(b) }, r)

	for _, n := range []int{4, 20} {
		got, err := DecodeMdboxHeader(h.Append(nil)[:n])
		want := h
		want.Flags = 0
		if n == 4 {
			want.MailboxGUID = [16]byte{}
		}
		if err != nil || got != want {
			t.Errorf("mdbox-hdr of %d bytes: %+v, %v, want %+v", n, got, err, want)
		}
	}
	for size, want := range map[uint64]string{0: "01000000", 9: "0a000000", 0xfffffffd: "feffffff", 0xfffffffe: "00000000", 1 << 40: "00000000"} {
		b := AppendVSize(nil, size)
		got, ok := DecodeVSize(b)
		if hex.EncodeToString(b) != want || ok && uint64(got) != size || ok == (want == "00000000") {
			t.Errorf("vsize %d: %x, decoded %d, %v", size, b, got, ok)
		}
	}
}

// goldenSnapshots returns the snapshots of the golden stores by path.
func goldenSnapshots(t testing.TB) map[string][]byte {
	t.Helper()
	res := map[string][]byte{}
	err := filepath.WalkDir("../../testdata", func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), "dovecot.") && (strings.HasSuffix(path, ".index") || strings.HasSuffix(path, ".backup")) {
			res[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || len(res) == 0 {
		t.Fatalf("no golden snapshots: %v", err)
	}
	return res
}

// A snapshot of Dovecot, decoded and encoded, is what it was: layout, order and
// padding are Dovecot's. Only tail and head differ, since ours are one.
func TestGoldenSnapshotsEncodeAsTheyWere(t *testing.T) {
	for path, b := range goldenSnapshots(t) {
		s, err := DecodeSnapshot(b, 0)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		want := slices.Clone(b)
		copy(want[offLogTailOffset:], want[offLogHeadOffset:offLogHeadOffset+4])
		if got := s.AppendSnapshot(nil); !bytes.Equal(got, want) {
			t.Errorf("%s: encoded\n%x, want\n%x", path, got, want)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzSnapshot(f *testing.F) {
	f.Add(bytesOf(f, oneMessage))
	for _, b := range goldenSnapshots(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSnapshot(b, 1<<24)
		if err != nil {
			return
		}
		s.finish()
		enc := s.AppendSnapshot(nil)
		again, err := DecodeSnapshot(enc, 1<<24)
		if err != nil {
			t.Fatalf("%x: encoded %x: %v", b, enc, err)
		}
		if !bytes.Equal(enc, again.AppendSnapshot(nil)) || !slices.Equal(s.UIDs(), again.UIDs()) || !slices.Equal(s.Keywords(), again.Keywords()) {
			t.Errorf("%x: encoded %x, decodes to another state", b, enc)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(bytesOf(f, oneMessage)[:HeaderSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(b)
		if err != nil {
			return
		}
		again, err := DecodeHeader(h.Append(nil))
		if err != nil || !bytes.Equal(h.b, again.b) {
			t.Errorf("%x became %x, %v", h.b, again.b, err)
		}
	})
}

func FuzzExtHeader(f *testing.F) {
	f.Add(bytesOf(f, "18000000 00000000 0000 0000 0000 0900 6d64626f782d686472 00000000000000 9ca6046b b86d2a199ca6046b840e000083ecc375 00 000000"))
	f.Add(bytesOf(f, "00000000 9ca6046b 1800 0400 0400 0500 6361636865 000000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, data, size, err := DecodeExtHeader(b)
		if err != nil {
			return
		}
		enc := h.Append(nil, data)
		again, data2, size2, err := DecodeExtHeader(enc)
		if err != nil || h != again || size != size2 || !bytes.Equal(data, data2) {
			t.Errorf("%x became %x: %+v, %v", b, enc, again, err)
		}
	})
}

func FuzzKeywords(f *testing.F) {
	f.Add(AppendKeywords(nil, []string{"$Forwarded", "Work"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		names, err := DecodeKeywords(b)
		if err != nil {
			return
		}
		again, err := DecodeKeywords(AppendKeywords(nil, names))
		if err != nil || !slices.Equal(names, again) {
			t.Errorf("%q became %q, %v", names, again, err)
		}
	})
}

// FuzzExtData covers the fixed-size codecs of extension data.
func FuzzExtData(f *testing.F) {
	f.Add(make([]byte, 8))
	f.Add(make([]byte, 16))
	f.Add(make([]byte, 24))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := DecodeModSeqHeader(b); err == nil && !bytes.Equal(v.Append(nil), b) {
			t.Errorf("modseq header %x", b)
		}
		if v, err := DecodeVSizeHeader(b); err == nil && !bytes.Equal(v.Append(nil), b) {
			t.Errorf("hdr-vsize %x", b)
		}
		if v, err := DecodeMdboxRecord(b); err == nil && !bytes.Equal(v.Append(nil), b) {
			t.Errorf("mdbox record %x", b)
		}
		if v, err := DecodeMdboxHeader(b); err == nil {
			if again, err := DecodeMdboxHeader(v.Append(nil)); err != nil || again != v {
				t.Errorf("mdbox-hdr %x", b)
			}
		}
		if v, err := DecodeSdboxHeader(b); err == nil {
			if again, err := DecodeSdboxHeader(v.Append(nil)); err != nil || again != v {
				t.Errorf("dbox-hdr %x", b)
			}
		}
		if v, err := ParsePosition(b); err == nil && !bytes.Equal(v.Append(nil), b) {
			t.Errorf("position %x", b)
		}
		if v, ok := DecodeVSize(b); ok && v < 0xfffffffe && !bytes.Equal(AppendVSize(nil, uint64(v)), b) {
			t.Errorf("vsize %x", b)
		}
	})
}
