package dbox

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzFileHeader(f *testing.F) {
	f.Add([]byte("2 M1e C6b04a69c\n"))
	f.Add([]byte("1 M20 C1 A7 Bx\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _, err := DecodeFileHeader(b)
		if err != nil {
			return
		}
		again, _, err := DecodeFileHeader(h.Append(nil))
		if err != nil || !cmp.Equal(h, again) {
			t.Fatalf("%q: %+v, then %+v, %v", b, h, again, err)
		}
	})
}

func FuzzMessageHeader(f *testing.F) {
	f.Add([]byte(sampleMessageHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeMessageHeader(b)
		if err != nil {
			return
		}
		if again, err := DecodeMessageHeader(h.Append(nil)); err != nil || h != again {
			t.Fatalf("%q: %+v, then %+v, %v", b, h, again, err)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(sampleMetadata))
	f.Add([]byte("\n\x01\x03\nV1\n end\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, n, err := DecodeMetadata(b, nil)
		if err != nil {
			return
		}
		again, _, err := DecodeMetadata(m.Append(nil), nil)
		if err != nil || n > len(b) || !cmp.Equal(m, again) {
			t.Fatalf("%q: %v, then %v, %v", b, m, again, err)
		}
	})
}

func FuzzAttachments(f *testing.F) {
	f.Add([]byte("681 5406 B76 1c/96/1c96-00 7000 12 - a 7012 8 CB72 b/c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		refs, err := DecodeAttachments(b)
		if err != nil {
			return
		}
		again, err := DecodeAttachments(AppendAttachments(nil, refs))
		if err != nil || !cmp.Equal(refs, again) {
			t.Fatalf("%q: %v, then %v, %v", b, refs, again, err)
		}
	})
}

func FuzzConvert(f *testing.F) {
	f.Add([]byte("a\n\r\nb\r\r\n\n"), 1, 2)
	f.Fuzz(func(t *testing.T, b []byte, srcStep, dstStep int) {
		if srcStep < 1 || dstStep < 1 || dstStep > 1<<20 {
			return
		}
		want := toCRLF(string(b))
		if got := convertInSteps(string(b), srcStep, dstStep); got != want {
			t.Fatalf("%q in steps of %d and %d = %q", b, srcStep, dstStep, got)
		}
		var c crlf
		skipped, ns := c.skip(uint64(dstStep), b)
		if rest := c.append(nil, b[ns:]); skipped > uint64(dstStep) || !bytes.Equal(rest, []byte(want[skipped:])) {
			t.Fatalf("%q: %d of %d skipped, then %q", b, skipped, dstStep, rest)
		}
	})
}
