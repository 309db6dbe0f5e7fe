package dbox

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// toLF is the conversion written apart from the code under test.
func toLF(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func FuzzSave(f *testing.F) {
	for _, s := range []string{"", "\r", "\n", "\r\n", "\r\r\n", "\r\n\r\n", "a\rb\r\nc\nd\r", "\r\r", strings.Repeat("\r", readSize) + "\n",
		strings.Repeat("x", readSize-1) + "\r\n", strings.Repeat("x", readSize-1) + "\r" + "y\r\n", strings.Repeat("\r\n", readSize)} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, oneByte bool) {
		s := newFiles(t, nil)
		var body io.Reader = strings.NewReader(text)
		if oneByte {
			body = iotest.OneByteReader(body)
		}
		a := s.NewAppender(candidatesOf())
		defer a.Abort()
		st, err := a.Save(NewMessage{}, body)
		want := toLF(text)
		if DetectCompression([]byte(want)) != Uncompressed {
			if err != ErrLooksCompressed {
				t.Fatalf("saved a text that looks compressed: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Name(1); err != nil {
			t.Fatal(err)
		}
		if err := a.Release(); err != nil {
			t.Fatal(err)
		}
		crlf := toCRLF(want)
		if st.Physical != uint64(len(want)) || st.Virtual != uint64(len(crlf)) {
			t.Errorf("sizes %d and %d, want %d and %d", st.Physical, st.Virtual, len(want), len(crlf))
		}
		got, err := read(s, Ref{1, st.Offset, st.Size}, 0, 0)
		if err != nil || got != crlf {
			t.Errorf("read back %d bytes, want %d: %v", len(got), len(crlf), err)
		}
	})
}
