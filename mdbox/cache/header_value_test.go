package cache

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOccurrencesOfFoldedHeader(t *testing.T) {
	data := []byte("\x02\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00X-A: 1\n folded\n folded2\nX-A: 2\n")
	got, err := AppendOccurrences(nil, data)
	if err != nil {
		t.Fatal(err)
	}
	want := []Occurrence{{2, []byte("X-A: 1\n folded\n folded2\n")}, {6, []byte("X-A: 2\n")}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if back := AppendHeaderValue(nil, got); !bytes.Equal(back, data) {
		t.Errorf("AppendHeaderValue = %q", back)
	}
}

func TestOccurrencesRefuses(t *testing.T) {
	for name, data := range map[string]string{
		"line numbers without end":     "\x01\x00\x00\x00",
		"more numbers than headers":    "\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00A: b\n",
		"more headers than numbers":    "\x01\x00\x00\x00\x00\x00\x00\x00A: b\nA: c\n",
		"text without line numbers":    "\x00\x00\x00\x00A: b\n",
		"value shorter than a number":  "\x01\x00",
		"number without any text left": "\x01\x00\x00\x00\x00\x00\x00\x00",
	} {
		if got, err := AppendOccurrences(nil, []byte(data)); err == nil {
			t.Errorf("%s: accepted as %v", name, got)
		}
	}
}
