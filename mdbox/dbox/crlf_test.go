package dbox

import (
	"bytes"
	"math/rand"
	"strings"
	"testing"
)

// toCRLF is the rule in its plainest form.
func toCRLF(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if s[i] == '\n' && (i == 0 || s[i-1] != '\r') {
			out.WriteByte('\r')
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func TestConvertInPiecesEqualsWhole(t *testing.T) {
	inputs := []string{"", "\n", "\r\n", "\r", "a\n\nb", "a\r\n\r\nb\r", "\r\r\n", "\n\r\n\r", "no line end",
		strings.Repeat("x", 100) + "\n" + strings.Repeat("y", 50) + "\r\n\n\n"}
	for _, in := range inputs {
		want := toCRLF(in)
		for srcStep := 1; srcStep <= len(in)+1; srcStep++ {
			for dstStep := 1; dstStep <= len(want)+1; dstStep++ {
				if got := convertInSteps(in, srcStep, dstStep); got != want {
					t.Fatalf("convert(%q) in steps of %d and %d = %q, want %q", in, srcStep, dstStep, got, want)
				}
			}
		}
	}
}

func convertInSteps(in string, srcStep, dstStep int) string {
	var c crlf
	var out []byte
	dst := make([]byte, dstStep)
	for len(in) > 0 {
		src := []byte(in[:min(srcStep, len(in))])
		in = in[len(src):]
		for len(src) > 0 {
			nd, ns := c.convert(dst, src)
			out = append(out, dst[:nd]...)
			src = src[ns:]
		}
	}
	return string(out)
}

func TestSkipThenConvertEqualsTail(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	var in []byte
	for len(in) < 3*skipBlock {
		in = append(in, []string{"a", "\n", "\r\n", "\r", "line of text", "\n\n"}[rnd.Intn(6)]...)
	}
	want := toCRLF(string(in))
	for range 500 {
		var c crlf
		target := rnd.Intn(len(want) + 1)
		var skipped uint64
		src := in
		for skipped < uint64(target) {
			piece := src[:min(len(src), 1+rnd.Intn(skipBlock*2))]
			n, ns := c.skip(uint64(target)-skipped, piece)
			skipped += n
			src = src[ns:]
		}
		if got := string(c.append(nil, src)); got != want[target:] {
			t.Fatalf("after skipping %d: %d bytes differ from the tail of %d", target, len(got), len(want)-target)
		}
	}
}

func TestHeaderEndIsFoundAcrossPieces(t *testing.T) {
	for _, test := range []struct{ in, header string }{
		{"A: b\n\nbody\n", "A: b\n\n"},
		{"A: b\r\n\r\nbody", "A: b\r\n\r\n"},
		{"A: b\n\r\nbody", "A: b\n\r\n"},
		{"\nbody", "\n"},
		{"\r\nbody", "\r\n"},
		{"A: b\n c\r\r\n\nx", "A: b\n c\r\r\n\n"},
		{"A: b\n\r\r\nx\n\n", "A: b\n\r\r\nx\n\n"},
		{"only header\n", "only header\n"},
		{"", ""},
	} {
		for step := 1; step <= len(test.in)+1; step++ {
			var h headerEnd
			pos := 0
			for pos < len(test.in) {
				piece := test.in[pos:min(len(test.in), pos+step)]
				n, found := h.in([]byte(piece))
				pos += n
				if found {
					break
				}
			}
			if test.in[:pos] != test.header {
				t.Errorf("header of %q in steps of %d = %q, want %q", test.in, step, test.in[:pos], test.header)
			}
		}
	}
}

func BenchmarkConvertCRLF(b *testing.B) {
	text := bytes.Repeat([]byte(strings.Repeat("x", 69)+"\n"), 1000)
	crlfText := []byte(toCRLF(string(text)))
	for _, bench := range []struct {
		name string
		src  []byte
	}{{"LF", text}, {"CRLF", crlfText}} {
		b.Run("stored="+bench.name, func(b *testing.B) {
			dst := make([]byte, 2*len(text))
			b.SetBytes(int64(len(bench.src)))
			for b.Loop() {
				var c crlf
				c.convert(dst, bench.src)
			}
		})
		b.Run("skip/stored="+bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.src)))
			for b.Loop() {
				var c crlf
				c.skip(1<<40, bench.src)
			}
		})
	}
}
