package dbox

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// lz4Packed is text in Dovecot's framing, in chunks of size bytes.
func lz4Packed(t testing.TB, text string, size int) string {
	t.Helper()
	b := binary.BigEndian.AppendUint32([]byte(lz4Magic), uint32(size))
	for len(text) > 0 {
		part := text[:min(size, len(text))]
		text = text[len(part):]
		block := make([]byte, lz4.CompressBlockBound(len(part)))
		n, err := lz4.CompressBlock([]byte(part), block, nil)
		if err != nil || n == 0 {
			t.Fatalf("lz4: %d, %v", n, err)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(n))
		b = append(b, block[:n]...)
	}
	return string(b)
}

func xzPacked(t testing.TB, text string, c xz.WriterConfig) string {
	t.Helper()
	var b bytes.Buffer
	w, err := c.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressedInManyPieces(t *testing.T) {
	text := mixedText(rand.New(rand.NewSource(4)), 300_000)
	for name, body := range map[string]string{
		"gzip":              gzipped(t, text),
		"gzip, two members": gzipped(t, text[:1000]) + gzipped(t, text[1000:]),
		"lz4":               lz4Packed(t, text, 65536),
		"lz4, 1 MiB chunks": lz4Packed(t, text, lz4MaxChunk),
		"lz4, small chunks": lz4Packed(t, text, 100_000),
		"xz, CRC64":         xzPacked(t, text, xz.WriterConfig{CheckSum: xz.CRC64}),
		"xz, CRC32, blocks": xzPacked(t, text, xz.WriterConfig{CheckSum: xz.CRC32, BlockSize: 10_001}),
		"xz, SHA-256":       xzPacked(t, text, xz.WriterConfig{CheckSum: xz.SHA256, BlockSize: 100_000}),
		"xz, no check":      xzPacked(t, text, xz.WriterConfig{NoCheckSum: true}),
	} {
		s := newFiles(t, nil)
		refs := writeMails(t, s.Path(1), 1, packed(text, body), stored{body: "next\n"})
		if got, err := read(s, refs[0], 0, 0); err != nil || got != toCRLF(text) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// Written by xz 5.4.
const xzSample = "fd377a585a000004e6d6b4460200210116000000742fe5a3e0001f001a5d00299d4846ca80ef586859a494242f7965163f4f0dedd11f9eb580000000f73b1b5e7563d558000136209604f4921fb6f37d010000000004595a"

func TestXZSample(t *testing.T) {
	b, err := hex.DecodeString(xzSample)
	if err != nil {
		t.Fatal(err)
	}
	const text = "Subject: x\n\nhello, hello, hello\n"
	s := newFiles(t, nil)
	refs := writeMails(t, s.Path(1), 1, packed(text, string(b)))
	if got, err := read(s, refs[0], 0, 0); err != nil || got != toCRLF(text) {
		t.Errorf("%q, %v", got, err)
	}
	// A changed byte is noticed, or makes no difference to the text.
	for i := range b {
		changed := append([]byte(nil), b...)
		changed[i] ^= 0x10
		refs := writeMails(t, s.Path(FileID(i+2)), FileID(i+2), packed(text, string(changed)))
		if got, err := read(s, refs[0], 0, 0); err == nil && got != toCRLF(text) {
			t.Errorf("byte %d is changed, and the text is %q", i, got)
		}
	}
}

func TestXZDictionaryIsBounded(t *testing.T) {
	body := xzPacked(t, strings.Repeat("text\n", 1000), xz.WriterConfig{DictCap: 8 << 20})
	s := newFiles(t, func(c *Config) { c.MaxWindowSize = 1 << 20 })
	refs := writeMails(t, s.Path(1), 1, packed(strings.Repeat("text\n", 1000), body))
	_, err := read(s, refs[0], 0, 0)
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Setting != "MaxWindowSize" {
		t.Errorf("err = %v, want a *LimitError of MaxWindowSize", err)
	}
}

func FuzzDecompress(f *testing.F) {
	const text = "Subject: x\n\nhello, hello, hello\n"
	f.Add([]byte(gzipped(f, text)))
	f.Add([]byte(lz4Packed(f, strings.Repeat(text, 10), 65536)))
	f.Add([]byte(xzPacked(f, text, xz.WriterConfig{CheckSum: xz.CRC32})))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x58"))
	f.Add([]byte("BZh9"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := DetectCompression(b)
		if c == Encrypted {
			return
		}
		z, err := newDecompressor(c, bytes.NewReader(b), 1<<20)
		if err != nil {
			return
		}
		defer z.release()
		n, err := io.Copy(io.Discard, io.LimitReader(z, 1<<20))
		if c == Uncompressed && (err != nil || n != int64(len(b))) {
			t.Fatalf("%d of %d bytes, %v", n, len(b), err)
		}
	})
}
