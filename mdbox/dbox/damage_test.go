package dbox

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/roostmail/roost/mdbox/vfs"
)

func TestDamagedMessages(t *testing.T) {
	const text = "Subject: x\n\nbody\nof lines\n"
	gz := gzipped(t, text)
	zeroed := func(b []byte) []byte { return make([]byte, len(b)) }
	zstdEncoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zstdFrame := zstdEncoder.EncodeAll([]byte(strings.Repeat(text, 10)), nil)
	longer := func(b []byte) []byte { return MessageHeader{Type: TypeNormal, Size: 1 << 40}.Append(nil) }
	for name, test := range map[string]struct {
		mail stored
		rule string
	}{
		"header of an unfinished save": {stored{body: text, head: zeroed}, "message header starts with 01 02"},
		"size beyond the file":         {stored{body: text, head: longer}, "metadata lies inside the file"},
		"no metadata magic":            {stored{body: text, end: "no metadata here\n\n"}, "metadata starts with"},
		"metadata without end":         {stored{body: text, end: metadataMagic + "V1\n"}, "metadata key is a printable character"},
		"virtual size no number":       {stored{body: text, meta: map[byte]string{'V': "x"}}, "metadata V"},
		"physical size no number":      {stored{body: text, meta: map[byte]string{'Z': "x"}}, "metadata Z"},
		"physical size of other body":  {stored{body: text, meta: map[byte]string{'Z': "5"}}, "physical size 5 is the size"},
		"physical size beyond a limit": {stored{body: text, meta: map[byte]string{'Z': "65bb6ba0"}}, "is the size"},
		"compressed, shorter than Z":   {packed(text+"more\n", gz), "has the physical size"},
		"compressed, longer than Z":    {packed(text[:20], gz), "has the physical size"},
		"compressed, cut":              {packed(text, gz[:len(gz)-9]), "well-formed gzip"},
		"compressed, header only":      {packed(text, gz[:5]), "well-formed gzip"},
		"bad checksum":                 {packed(text, gz[:len(gz)-8]+"\x00\x00\x00\x00"+gz[len(gz)-4:]), "well-formed gzip"},
		"lz4 with a huge chunk":        {packed(text, lz4Magic+"\x10\x00\x00\x00"), "well-formed lz4"},
		"lz4 with a zero chunk":        {packed(text, lz4Magic+"\x00\x01\x00\x00\x00\x00\x00\x00"), "well-formed lz4"},
		"lz4 with a short chunk":       {packed(text, lz4Magic+"\x00\x01\x00\x00\x00\x00\x00\x05abc"), "well-formed lz4"},
		"lz4 with garbage":             {packed(text, lz4Magic+"\x00\x01\x00\x00\x00\x00\x00\x03\xff\xff\xff"), "well-formed lz4"},
		"bzip2 with garbage":           {packed(text, "BZh9 garbage and more of it"), "well-formed bzip2"},
		"zstd with garbage":            {packed(text, string(zstdFrame[:10])+"garbage in the only block"), "well-formed zstd"},
		"xz with garbage":              {packed(text, xzMagic+" garbage and more of it"), "well-formed xz"},
		"attachments no references":    {stored{body: text, meta: map[byte]string{'X': "1 2"}}, "attachment reference"},
		"attachment without file":      {stored{body: text, meta: map[byte]string{'X': "5 2 - a", 'Z': fmt.Sprintf("%x", len(text)+2), 'V': fmt.Sprintf("%x", len(toCRLF(text))+2)}}, "attachment file exists"},
		"attachment behind the end":    {stored{body: text, meta: map[byte]string{'X': "5000 2 - a", 'Z': fmt.Sprintf("%x", len(text)+2), 'V': fmt.Sprintf("%x", len(toCRLF(text))+2)}}, "lies inside the message"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFiles(t, nil)
			refs := writeMails(t, s.Path(3), 3, test.mail, stored{body: text})
			for _, size := range []uint32{refs[0].Size, 0} {
				got, err := read(s, Ref{3, refs[0].Offset, size}, 0, 0)
				wantCorrupt(t, fmt.Sprintf("size %d: read %q", size, got), err, test.rule)
				var c *vfs.CorruptError
				if errors.As(err, &c) && (c.File == "" || c.Offset > 1<<50) {
					t.Errorf("file %q and offset %d are not those of the damage", c.File, c.Offset)
				}
			}
			if got, err := read(s, refs[1], 0, 0); err != nil || got != toCRLF(text) {
				t.Errorf("the message behind it: %q, %v", got, err)
			}
		})
	}
}

func TestOffsetBehindTheFile(t *testing.T) {
	s := newFiles(t, nil)
	writeMails(t, s.Path(1), 1, stored{body: "x\n"})
	_, err := read(s, Ref{File: 1, Offset: 1 << 20}, 0, 0)
	wantCorrupt(t, "offset behind the file", err, "message header lies inside the file")
}

func TestNoFileHeader(t *testing.T) {
	s := newFiles(t, nil)
	writeMails(t, s.Path(1), 1)
	truncate(t, s.Path(1), 5)
	_, err := read(s, Ref{File: 1, Offset: 16}, 0, 0)
	wantCorrupt(t, "cut file header", err, "file header is a line")
}

func TestEncryptedMessagesAreRefused(t *testing.T) {
	s := newFiles(t, nil)
	refs := writeMails(t, s.Path(1), 1, stored{body: "CRYPTED\x03\x07 and so on"})
	if _, err := read(s, refs[0], 0, 0); !errors.Is(err, ErrEncrypted) {
		t.Errorf("err = %v, want ErrEncrypted", err)
	}
}

func TestAttachmentsNeedADirectory(t *testing.T) {
	s := newFiles(t, func(c *Config) { c.AttachmentDir = "" })
	refs := writeMails(t, s.Path(1), 1, stored{body: "body", meta: map[byte]string{'X': "4 1 - a", 'Z': "5", 'V': "5"}})
	if _, err := read(s, refs[0], 0, 0); !errors.Is(err, ErrNoAttachmentDir) {
		t.Errorf("err = %v, want ErrNoAttachmentDir", err)
	}
}

func TestLimitsNameThemselves(t *testing.T) {
	text := "Subject: " + strings.Repeat("x", 5000) + "\n\n" + strings.Repeat("\x00", 1<<20)
	z, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	for setting, test := range map[string]struct {
		change func(c *Config)
		mail   stored
	}{
		"MaxMessageSize":  {func(c *Config) { c.MaxMessageSize = 1 << 20 }, packed(text, gzipped(t, text))},
		"MaxMetadataSize": {func(c *Config) { c.MaxMetadataSize = 2000 }, stored{body: "x", meta: map[byte]string{'G': strings.Repeat("g", 3000)}}},
		"MaxHeaderSize":   {func(c *Config) { c.MaxHeaderSize = 4000 }, stored{body: text}},
		"MaxWindowSize":   {func(c *Config) { c.MaxWindowSize = 1 << 16 }, packed(text, string(z.EncodeAll([]byte(text), nil)))},
	} {
		s := newFiles(t, test.change)
		refs := writeMails(t, s.Path(1), 1, test.mail)
		refs[0].Size = 0
		m, err := s.Open(refs[0])
		if err == nil {
			_, err = m.AppendHeader(nil)
			m.Close()
		}
		if err == nil {
			_, err = read(s, refs[0], 0, 0)
		}
		var limit *LimitError
		if !errors.As(err, &limit) || limit.Setting != setting || !strings.Contains(err.Error(), setting) {
			t.Errorf("err = %v, want a *LimitError of %s", err, setting)
		}
	}
}

// A body that decompresses to a thousand times its size, and to more than its
// metadata says, is read only so far.
func TestBombIsReadOnlyUpToItsSize(t *testing.T) {
	s := newFiles(t, nil)
	bomb := packed(strings.Repeat("\x00", 1000), gzipped(t, strings.Repeat("\x00", 8<<20)))
	refs := writeMails(t, s.Path(1), 1, bomb)
	got, err := read(s, refs[0], 0, 0)
	wantCorrupt(t, "bomb", err, "has the physical size 1000, not more")
	if len(got) > readSize {
		t.Errorf("%d bytes came", len(got))
	}
}
