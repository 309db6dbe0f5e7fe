package dbox

import (
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

// mixedText has bare LFs, CRLFs, lone CRs and long lines, about size bytes.
func mixedText(rnd *rand.Rand, size int) string {
	var b strings.Builder
	b.WriteString("Subject: x\n\n")
	for b.Len() < size {
		b.WriteString(strings.Repeat("x", rnd.Intn(120)))
		b.WriteString([]string{"\n", "\n", "\n", "\r\n", "\r", "\n\n", "\r\r\n"}[rnd.Intn(7)])
	}
	return b.String()
}

// Ranges of a message are those of the whole, in whatever order they are read:
// onwards, where each continues the one before, or at random.
func TestRangesOfLargeMessages(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	text := mixedText(rnd, 500_000)
	crlfText := toCRLF(text)
	s := newFiles(t, nil)
	refs := writeMails(t, s.Path(1), 1, stored{body: text}, stored{body: crlfText}, packed(text, gzipped(t, text)))
	for i, ref := range refs {
		check := func(offset, length int) {
			t.Helper()
			want := crlfText[offset:min(len(crlfText), offset+length)]
			if got, err := read(s, ref, uint64(offset), uint64(length)); err != nil || got != want {
				t.Fatalf("message %d, range %d, %d: %d bytes, %v", i, offset, length, len(got), err)
			}
		}
		for offset := 0; offset < len(crlfText); offset += 9973 {
			check(offset, 9973)
		}
		for range 100 {
			check(rnd.Intn(len(crlfText)), 1+rnd.Intn(100_000))
		}
		for offset := 200_000; offset < 200_300; offset++ {
			check(offset, 1)
		}
	}
}

// readingFS counts the bytes that are read.
type readingFS struct {
	vfs.FS
	bytes int
}

type readingFile struct {
	vfs.File
	fs *readingFS
}

func (r *readingFS) Open(name string) (vfs.File, error) {
	f, err := r.FS.Open(name)
	return readingFile{f, r}, err
}

func (f readingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.fs.bytes += n
	return n, err
}

func TestPiecesAreNotReadAgain(t *testing.T) {
	text := mixedText(rand.New(rand.NewSource(2)), 4<<20)
	reading := &readingFS{FS: vfs.OS}
	s := newFiles(t, func(c *Config) { c.FS = reading })
	refs := writeMails(t, s.Path(1), 1, stored{body: text})
	size := len(toCRLF(text))
	const piece = 100_000
	for offset := 0; offset < size; offset += piece {
		if _, err := read(s, refs[0], uint64(offset), piece); err != nil {
			t.Fatal(err)
		}
	}
	if limit := 4 * len(text); reading.bytes > limit {
		t.Errorf("%d bytes were read for a message of %d in pieces of %d", reading.bytes, len(text), piece)
	}
}

func TestHeaderIsReadAlone(t *testing.T) {
	header := "Subject: x\nX-Long: " + strings.Repeat("y", 20_000) + "\n\n"
	text := header + strings.Repeat("body\n", 2<<20)
	reading := &readingFS{FS: vfs.OS}
	s := newFiles(t, func(c *Config) { c.FS = reading })
	refs := writeMails(t, s.Path(1), 1, stored{body: text})
	m, err := s.Open(refs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	got, err := m.AppendHeader(nil)
	if err != nil || string(got) != toCRLF(header) {
		t.Errorf("header of %d bytes, %v; want %d", len(got), err, len(toCRLF(header)))
	}
	if reading.bytes > 200_000 {
		t.Errorf("%d bytes were read for a header of %d", reading.bytes, len(header))
	}
}

func TestSmallMessagesAreOneRead(t *testing.T) {
	reads := &failingFS{FS: vfs.OS, left: 1 << 30}
	s := newFiles(t, func(c *Config) { c.FS = reads })
	refs := writeMails(t, s.Path(1), 1, stored{body: strings.Repeat("line\n", 1000)}, stored{body: "x\n"})
	if _, err := read(s, refs[1], 0, 0); err != nil {
		t.Fatal(err)
	}
	before := reads.left
	if _, err := read(s, refs[0], 0, 0); err != nil {
		t.Fatal(err)
	}
	if n := before - reads.left; n != 2 {
		t.Errorf("%d file operations, want 2: stat and read", n)
	}
}

func TestMessageWithoutVirtualSize(t *testing.T) {
	text := mixedText(rand.New(rand.NewSource(3)), 200_000)
	s := newFiles(t, nil)
	refs := writeMails(t, s.Path(1), 1, stored{body: text, meta: map[byte]string{'V': ""}})
	if got, err := read(s, refs[0], 0, 0); err != nil || got != toCRLF(text) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func BenchmarkReadMessage(b *testing.B) {
	line := strings.Repeat("x", 69) + "\n"
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20, 16 << 20} {
		text := strings.Repeat(line, size/len(line))
		for name, mail := range map[string]stored{
			"LF": {body: text}, "CRLF": {body: toCRLF(text)}, "gzip": packed(text, gzipped(b, text)),
		} {
			b.Run(fmt.Sprintf("size=%d/stored=%s", size, name), func(b *testing.B) {
				s := newFiles(b, nil)
				refs := writeMails(b, s.Path(1), 1, mail)
				buf := make([]byte, 256<<10)
				b.SetBytes(int64(len(toCRLF(text))))
				b.ReportAllocs()
				for b.Loop() {
					m, err := s.Open(refs[0])
					if err != nil {
						b.Fatal(err)
					}
					r, err := m.NewReader(0, 0)
					if err != nil {
						b.Fatal(err)
					}
					for err == nil {
						_, err = r.Read(buf)
					}
					if err != io.EOF {
						b.Fatal(err)
					}
					r.Close()
					m.Close()
				}
			})
		}
	}
}
