package dbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

// wrongSizes are messages of which V is wrong, by what is wrong.
func wrongSizes(t testing.TB) map[string]struct {
	mail stored
	text string
} {
	small := "Subject: x\n\nbody\nof lines\n"
	large := "Subject: x\n\n" + strings.Repeat("a line of a large message\n", 5000)
	late := "Subject: x\r\n\r\n" + strings.Repeat("a line of a large message\r\n", 5000) + "the only bare line end\nis here" // nothing in memory tells
	v := func(body string, size int) stored {
		return stored{body: body, meta: map[byte]string{KeyVirtualSize: fmt.Sprintf("%x", size)}}
	}
	z := func(text string, size int) stored {
		m := packed(text, gzipped(t, text))
		m.meta[KeyVirtualSize] = fmt.Sprintf("%x", size)
		return m
	}
	return map[string]struct {
		mail stored
		text string
	}{
		"below physical":            {v(small, 1), small},
		"above double":              {v(small, 0xffff), small},
		"one too small":             {v(small, len(toCRLF(small))-1), small},
		"one too large":             {v(small, len(toCRLF(small))+1), small},
		"physical":                  {v(small, len(small)), small},
		"empty":                     {v("", 5), ""},
		"large, below physical":     {v(large, 1), large},
		"large, above double":       {v(large, 1<<40), large},
		"large, one too small":      {v(large, len(toCRLF(large))-1), large},
		"large, one too large":      {v(large, len(toCRLF(large))+1), large},
		"large, physical":           {v(large, len(large)), large},
		"large, late, physical":     {v(late, len(late)), late},
		"large, late, too large":    {v(late, len(late)+2), late},
		"compressed, one too large": {z(small, len(toCRLF(small))+1), small},
		"compressed, one too small": {z(small, len(toCRLF(small))-1), small},
		"compressed, above double":  {z(large, 1<<40), large},
		"compressed, large":         {z(large, len(toCRLF(large))-7), large},
	}
}

// readRight reads a range as who has told nobody the size does: again, if that is found to be wrong. It checks that what Len says is what comes.
func readRight(t *testing.T, m *Message, offset, length uint64) string {
	t.Helper()
	for range 2 {
		r, err := m.NewReader(offset, length)
		if err != nil {
			t.Fatalf("range %d+%d: %v", offset, length, err)
		}
		want := r.Len()
		b, err := io.ReadAll(r)
		r.Close()
		if errors.Is(err, ErrVirtualSize) {
			continue
		}
		if err != nil || uint64(len(b)) != want {
			t.Fatalf("range %d+%d: %d bytes, Len was %d, error %v", offset, length, len(b), want, err)
		}
		return string(b)
	}
	t.Fatalf("range %d+%d: the size is found to be wrong again and again", offset, length)
	return ""
}

// A message of which the virtual size is noted wrong is read as one of which it is right, whatever is read of it first.
func TestWrongVirtualSizeIsCounted(t *testing.T) {
	for name, test := range wrongSizes(t) {
		want := toCRLF(test.text)
		n := uint64(len(want))
		for _, ranged := range [][2]uint64{{0, 0}, {0, 1 << 40}, {n / 2, 0}, {n - min(n, 3), 10}, {n, 5}, {n + 100, 0}, {n + 70000, 5}} {
			if name == "large, late, physical" && ranged[0] > 0 && ranged[1] > 0 {
				continue // a note that says "no line end is changed" is believed by who wants a range: to check it takes reading all before that
			}
			s := newFiles(t, nil)
			refs := writeMails(t, s.Path(3), 3, test.mail, stored{body: "behind\n"})
			for _, hint := range []uint32{refs[0].Size, 0} {
				m, err := s.Open(Ref{3, refs[0].Offset, hint})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				from := min(ranged[0], n)
				to := n
				if ranged[1] > 0 {
					to = min(n, from+ranged[1])
				}
				if got := readRight(t, m, ranged[0], ranged[1]); got != want[from:to] {
					t.Errorf("%s: range %v: %d bytes, want %d: %.60q", name, ranged, len(got), to-from, got)
				}
				if got := readRight(t, m, 0, 0); got != want {
					t.Errorf("%s: %d bytes, want %d", name, len(got), n)
				}
				size, err := m.VirtualSize()
				found, ok := m.FoundVirtualSize()
				if err != nil || size != n || found != n || !ok {
					t.Errorf("%s: size %d (%v), found %d %t; want %d", name, size, err, found, ok, n)
				}
				m.Close()
			}
			if got, err := read(s, refs[1], 0, 0); err != nil || got != "behind\r\n" {
				t.Errorf("%s: the message behind it: %q, %v", name, got, err)
			}
		}
	}
}

// Whoever does not need the size before reads to the end at once.
func TestTextEndsWhereTheMessageDoes(t *testing.T) {
	for name, test := range wrongSizes(t) {
		s := newFiles(t, nil)
		refs := writeMails(t, s.Path(3), 3, test.mail)
		m, err := s.Open(Ref{3, refs[0].Offset, 0})
		if err != nil {
			t.Fatal(err)
		}
		r, err := m.NewText()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := io.ReadAll(r)
		if err != nil || string(b) != toCRLF(test.text) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(b), err, len(toCRLF(test.text)))
		}
		r.Close()
		m.Close()
	}
}

// The error of a wrong size says which message it is, and it is damage to who does not read again.
func TestWrongVirtualSizeNamesTheMessage(t *testing.T) {
	s := newFiles(t, nil)
	text := strings.Repeat("a line of a large message\n", 5000)
	refs := writeMails(t, s.Path(3), 3, stored{body: text, meta: map[byte]string{KeyVirtualSize: fmt.Sprintf("%x", len(toCRLF(text))+1)}})
	_, err := read(s, refs[0], 0, 0)
	wantCorrupt(t, "wrong size", err, "has the virtual size 135001, not 135000")
	var c *vfs.CorruptError
	if !errors.Is(err, ErrVirtualSize) || !errors.As(err, &c) || c.File != s.Path(3) {
		t.Errorf("error %v, want ErrVirtualSize of %s", err, s.Path(3))
	}
}

// The noted size of a message that is only partly in memory is used without reading all of it: there is no more than one look at its head.
func TestRightVirtualSizeIsNotCounted(t *testing.T) {
	s := newFiles(t, nil)
	text := strings.Repeat("a line of a large message\n", 50_000)
	refs := writeMails(t, s.Path(3), 3, stored{body: text})
	m, err := s.Open(refs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if size, err := m.VirtualSize(); err != nil || size != uint64(len(toCRLF(text))) {
		t.Fatalf("size %d, %v", size, err)
	}
	if _, found := m.FoundVirtualSize(); found {
		t.Error("the message was read to count")
	}
	if got := readRight(t, m, 0, 0); got != toCRLF(text) {
		t.Errorf("%d bytes", len(got))
	}
	if n, found := m.FoundVirtualSize(); !found || n != uint64(len(toCRLF(text))) {
		t.Errorf("read to the end: %d, %t", n, found)
	}
}

// A text that is shorter or longer than its physical size is damage still: the physical size is the truth.
func TestWrongPhysicalSizeIsDamage(t *testing.T) {
	s := newFiles(t, nil)
	text := strings.Repeat("a line of a large message\n", 5000)
	gz := packed(text, gzipped(t, text))
	gz.meta[KeyPhysicalSize] = fmt.Sprintf("%x", len(text)+1)
	refs := writeMails(t, s.Path(3), 3, gz, stored{body: text})
	_, err := read(s, refs[0], 0, 0)
	wantCorrupt(t, "compressed", err, "has the physical size")
	if errors.Is(err, ErrVirtualSize) {
		t.Errorf("%v is no wrong virtual size", err)
	}
	m, err := s.Open(refs[1])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	truncate(t, s.Path(3), int64(refs[1].Offset)+100_000)
	r, err := m.NewReader(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = io.ReadAll(r)
	wantCorrupt(t, "cut file", err, "body lies inside the file")
}

// A message that is a whole file, compressed: what the name says of its sizes may be wrong or missing.
func TestPlainCompressedEndsWhereTheTextDoes(t *testing.T) {
	text := "Subject: x\n\n" + strings.Repeat("a line of a large message\n", 5000)
	s := newFiles(t, nil)
	path := filepath.Join(t.TempDir(), "mail")
	if err := os.WriteFile(path, []byte(gzipped(t, text)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, physical := range []int{0, 1, len(text) - 1, len(text), len(text) + 1, 1 << 40} {
		f, err := vfs.OS.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.OpenPlain(f, Plain{GUID: "g", Physical: uint64(physical)})
		if err != nil {
			t.Fatal(err)
		}
		if size, err := m.VirtualSize(); err != nil || size != uint64(len(toCRLF(text))) {
			t.Errorf("S=%d: size %d, %v", physical, size, err)
		}
		if got := readRight(t, m, 0, 0); got != toCRLF(text) || m.PhysicalSize() != uint64(len(text)) {
			t.Errorf("S=%d: %d bytes, physical size %d", physical, len(got), m.PhysicalSize())
		}
		m.Close()
	}
	limited := newFiles(t, func(c *Config) { c.MaxMessageSize = 1000 })
	f, err := vfs.OS.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := limited.OpenPlain(f, Plain{GUID: "g", Physical: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var limit *LimitError
	if _, err := m.VirtualSize(); !errors.As(err, &limit) {
		t.Errorf("a text beyond the limit: %v", err)
	}
}
