package dbox

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// toLF is the conversion written apart from the code under test.
func toLF(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func FuzzToLF(f *testing.F) {
	for _, s := range []string{"", "\r", "\n", "\r\n", "\r\r\n", "\r\n\r\n", "a\rb\r\nc\nd\r", "\r\r", "x\r\ny\r\n\r\rz\r\n"} {
		for chunk := range uint8(4) {
			f.Add(s, chunk)
		}
	}
	f.Fuzz(func(t *testing.T, text string, chunk uint8) {
		var c lf
		var got strings.Builder
		size := int(chunk) + 1
		buf := make([]byte, 1+size)
		for rest := text; ; {
			n := copy(buf[1:], rest)
			rest = rest[n:]
			got.Write(c.convert(buf[:1+n], n == 0))
			if n == 0 {
				break
			}
		}
		want := toLF(text)
		if got.String() != want {
			t.Fatalf("%q in pieces of %d became %q, want %q", text, size, got.String(), want)
		}
		if c.physical != uint64(len(want)) || c.virtual != uint64(len(toCRLF(want))) {
			t.Errorf("%q: sizes %d and %d, want %d and %d", text, c.physical, c.virtual, len(want), len(toCRLF(want)))
		}
	})
}

func TestSavedLineEndsComeBack(t *testing.T) {
	x := strings.Repeat("x", readSize-1)
	for i, text := range []string{"", "\r", "\r\n", strings.Repeat("\r", readSize) + "\n", x + "\r\n", x + "\r" + "y\r\n", x + "y\r\n",
		strings.Repeat("\r\n", 2*readSize), strings.Repeat(x+"\r\n", 5)} {
		for _, body := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			s := newFiles(t, nil)
			a := s.NewAppender(candidatesOf())
			st, err := a.Save(NewMessage{}, body)
			if err := errors.Join(err, a.Name(1), a.Release()); err != nil {
				t.Fatal(err)
			}
			want := toCRLF(toLF(text))
			if got, err := read(s, Ref{1, st.Offset, st.Size}, 0, 0); err != nil || got != want || st.Virtual != uint64(len(want)) {
				t.Errorf("text %d: read back %d bytes, want %d: %v", i, len(got), len(want), err)
			}
		}
	}
}
