package dbox

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox/vfs"
)

// wantCorrupt checks that err is a *vfs.CorruptError whose rule contains rule.
func wantCorrupt(t *testing.T, what string, err error, rule string) {
	t.Helper()
	var c *vfs.CorruptError
	if !errors.As(err, &c) || !strings.Contains(c.Rule, rule) {
		t.Errorf("%s: err = %v, want corruption: %s", what, err, rule)
	}
}

func TestFileHeader(t *testing.T) {
	for _, test := range []struct {
		line string
		want FileHeader
	}{
		{"2 M1e C6b04a69c\n", FileHeader{Version: 2, HeaderSize: 30, Created: 0x6b04a69c}},
		{"2 M1e\n", FileHeader{Version: 2, HeaderSize: 30}},
		{"1 M20 C1 A7 Bx\n", FileHeader{Version: 1, HeaderSize: 32, Created: 1, Other: []byte("A7 Bx")}},
	} {
		got, n, err := DecodeFileHeader([]byte(test.line + "\x01\x02N"))
		if err != nil || n != len(test.line) {
			t.Errorf("%q: n = %d, err = %v", test.line, n, err)
			continue
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%q: %s", test.line, d)
		}
		if back := string(got.Append(nil)); back != test.line {
			t.Errorf("%q is written as %q", test.line, back)
		}
	}
}

func TestFileHeaderRefuses(t *testing.T) {
	for line, rule := range map[string]string{
		"":                            "is a line",
		"2 M1e C6b04a69c":             "is a line",
		strings.Repeat("x", 300):      "is a line",
		"3 M1e\n":                     "version 1 or 2",
		"2M1e\n":                      "version 1 or 2",
		"\n":                          "version 1 or 2",
		"2 C6b04a69c\n":               "has the message header size",
		"2 M1d\n":                     "M is 30 to 1024",
		"2 M401\n":                    "M is 30 to 1024",
		"2 M\n":                       "M is 30 to 1024",
		"2 M1e Cxyz\n":                "creation time",
		"2 M1e Cffffffffffffffff\n":   "creation time",
		"2 M10000000000000000001e1\n": "M is 30 to 1024",
	} {
		_, _, err := DecodeFileHeader([]byte(line))
		wantCorrupt(t, line, err, rule)
	}
}

const sampleMessageHeader = "\x01\x02N          0000000000013FB0\n"

func TestMessageHeader(t *testing.T) {
	got, err := DecodeMessageHeader([]byte(sampleMessageHeader))
	if err != nil || got != (MessageHeader{Type: 'N', Size: 81840}) {
		t.Errorf("DecodeMessageHeader = %+v, %v", got, err)
	}
	if back := string(got.Append(nil)); back != sampleMessageHeader {
		t.Errorf("it is written as %q", back)
	}
}

func TestMessageHeaderRefuses(t *testing.T) {
	change := func(at int, to string) []byte {
		return []byte(sampleMessageHeader[:at] + to + sampleMessageHeader[at+len(to):])
	}
	for _, test := range []struct {
		b    []byte
		rule string
	}{
		{make([]byte, 30), "starts with 01 02"}, // being saved
		{change(0, "\x02"), "starts with 01 02"},
		{change(2, "X"), "type is N"},
		{change(13, "000000000001 FB0"), "size is a hexadecimal number"},
		{change(13, "8000000000000000"), "size is a hexadecimal number"},
		{change(29, " "), "ends with LF"},
		{[]byte(sampleMessageHeader[:29]), "has 30 bytes"},
		{nil, "has 30 bytes"},
	} {
		_, err := DecodeMessageHeader(test.b)
		wantCorrupt(t, string(test.b), err, test.rule)
	}
}

const sampleMetadata = "\n\x01\x03\nR65bb6ba0\nV143f5\nG383a49179ca6046b840e000083ecc375\nBINBOX\nQfuture value\nR1\n\n"

func TestMetadata(t *testing.T) {
	got, n, err := DecodeMetadata([]byte(sampleMetadata+"\x01\x02N"), nil)
	if err != nil || n != len(sampleMetadata) {
		t.Fatalf("n = %d, err = %v", n, err)
	}
	for key, want := range map[byte]string{
		KeyReceived: "65bb6ba0", KeyVirtualSize: "143f5", KeyGUID: "383a49179ca6046b840e000083ecc375", KeyMailbox: "INBOX", 'Q': "future value",
	} {
		if v, ok := got.Get(key); !ok || string(v) != want {
			t.Errorf("%c = %q, %v; want %q", key, v, ok, want)
		}
	}
	if v, ok := got.Get(KeyPhysicalSize); ok {
		t.Errorf("Z = %q, although there is none", v)
	}
	if v, ok, err := got.hex(KeyVirtualSize); v != 0x143f5 || !ok || err != nil {
		t.Errorf("hex(V) = %x, %v, %v", v, ok, err)
	}
	if back := string(got.Append(nil)); back != sampleMetadata {
		t.Errorf("it is written as %q", back)
	}
	for i := range len(sampleMetadata) {
		if _, _, err := DecodeMetadata([]byte(sampleMetadata[:i]), nil); err != ErrShort {
			t.Errorf("the first %d bytes: err = %v, want ErrShort", i, err)
		}
	}
	if m, n, err := DecodeMetadata([]byte("\n\x01\x03\nV1\n end\nV2\n\n"), nil); n != 12 || len(m) != 1 || err != nil {
		t.Errorf("line with a space: %d lines, %d bytes, %v", len(m), n, err)
	}
}

func TestMetadataRefuses(t *testing.T) {
	for _, bad := range []string{"\x01\x03\n\n", "\n\x01\x02\n\n", "x", "\nx"} {
		_, _, err := DecodeMetadata([]byte(bad), nil)
		wantCorrupt(t, bad, err, "starts with LF 01 03 LF")
	}
	for _, bad := range []string{"V", "Vxyz", "V-1", "V8000000000000000", "V11111111111111111"} {
		m, _, err := DecodeMetadata([]byte(metadataMagic+bad+"\n\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = m.hex(KeyVirtualSize)
		wantCorrupt(t, bad, err, "V is a hexadecimal number")
	}
}

func TestParseGUID(t *testing.T) {
	for in, want := range map[string]string{
		"383a49179ca6046b840e000083ecc375": "383a49179ca6046b840e000083ecc375",
		"383A49179CA6046B840E000083ECC375": "383a49179ca6046b840e000083ecc375",
		"":                                 "00000000000000000000000000000000",
		// The last 16 bytes of the SHA-1, as sha1sum prints it:
		"abc":                               "4706816aba3e25717850c26c9cd0d89d",
		"383a49179ca6046b840e000083ecc37g":  "6a9cca8f5a9d5abdb6bbe1c3ddcbf500",
		"383a49179ca6046b840e000083ecc3755": "9cff7d678365f87a009e01774cd5e234",
	} {
		if got := ParseGUID([]byte(in)).String(); got != want {
			t.Errorf("ParseGUID(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestAttachments(t *testing.T) {
	const value = "681 5406 B76 1c/96/1c96-00 7000 12 - a b" // the last path ends at the space
	if _, err := DecodeAttachments([]byte(value)); err == nil {
		t.Error("a reference with too few fields is accepted")
	}
	const good = "681 5406 B76 1c/96/1c96-00 7000 12 - a 7012 8 CB72 b/c"
	got, err := DecodeAttachments([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	want := []Attachment{
		{Start: 681, Size: 5406, LineLength: 76, Path: "1c/96/1c96-00"},
		{Start: 7000, Size: 12, Path: "a"},
		{Start: 7012, Size: 8, LineLength: 72, CRLF: true, Path: "b/c"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if back := string(AppendAttachments(nil, got)); back != good {
		t.Errorf("it is written as %q", back)
	}
}

func TestAttachmentsRefuses(t *testing.T) {
	for _, bad := range []string{
		"1 2 -", "1 2 - ", " 1 2 - a", "x 2 - a", "1 x - a", "-1 2 - a", "1 2 B a", "1 2 B0 a", "1 2 B75 a", "1 2 B9000 a",
		"1 2 C a", "1 2 C- a", "1 2 X a", "1 2 - /etc/passwd", "1 2 - ../x", "1 2 - a/../b", "1 2 - a//b", "1 2 - a\x00",
		"1 2 - a 2 1 - b", "5 1 - a 4 1 - b", "1 9223372036854775807 - a", "1 99999999999999999999 - a",
	} {
		got, err := DecodeAttachments([]byte(bad))
		wantCorrupt(t, bad, err, "attachment reference")
		if got != nil {
			t.Errorf("%q: %v with an error", bad, got)
		}
	}
}

func TestDetectCompression(t *testing.T) {
	for in, want := range map[string]Compression{
		"":                                   Uncompressed,
		"From: a\n":                          Uncompressed,
		"\x1f\x8b\x08\x00":                   Gzip,
		"BZh9":                               Bzip2,
		"BZh0":                               Uncompressed,
		"BZh":                                Uncompressed,
		"Dovecot-LZ4\x0d\x2a\x9b\xc5\x00":    LZ4,
		"Dovecot-LZ4: no":                    Uncompressed,
		"\x28\xb5\x2f\xfd":                   Zstd,
		"\xfd7zXZ\x00":                       XZ,
		"CRYPTED\x03\x07":                    Encrypted,
		"\x1f":                               Uncompressed,
		strings.Repeat("\x00", 16):           Uncompressed,
		"\xfd7zXZ":                           Uncompressed,
		string(bytes.Repeat([]byte("B"), 4)): Uncompressed,
	} {
		if got := DetectCompression([]byte(in)); got != want {
			t.Errorf("DetectCompression(%q) = %v, want %v", in, got, want)
		}
	}
}
