package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"
)

func BenchmarkDecode(b *testing.B) {
	text := mail(1<<20, 1)
	z := deflated(b, text, 6, 64<<10)
	dst := make([]byte, 32<<10)
	b.Run("decoder", func(b *testing.B) {
		var d Decoder
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			d.Reset()
			for p := z; ; {
				_, ns, err := d.Decode(dst, p)
				if p = p[ns:]; err != nil {
					break
				}
			}
		}
	})
	b.Run("compress/flate", func(b *testing.B) {
		in := bytes.NewReader(z)
		r := flate.NewReader(in)
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			in.Reset(z)
			r.(flate.Resetter).Reset(in, nil)
			io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, dst)
		}
	})
}

// BenchmarkWake is a command of a sleeping session: load, decode, save.
func BenchmarkWake(b *testing.B) {
	for name, before := range map[string]int{"2 KB": 2 << 10, "32 KB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			var z bytes.Buffer
			w, _ := flate.NewWriter(&z, 6)
			w.Write(mail(before, 1))
			w.Flush()
			var d Decoder
			dst := make([]byte, 64<<10)
			d.Decode(dst, z.Bytes())
			state := d.AppendState(nil)
			z.Reset()
			w.Write([]byte("a77 UID FETCH 1234:* (UID FLAGS)\r\n"))
			w.Flush()
			saved := make([]byte, 0, MaxState)
			b.ReportAllocs()
			for b.Loop() {
				if err := d.LoadState(state); err != nil {
					b.Fatal(err)
				}
				if nd, _, err := d.Decode(dst, z.Bytes()); err != nil || nd != 34 {
					b.Fatal(nd, err)
				}
				saved = d.AppendState(saved[:0])
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	text := mail(32<<10, 1)
	out := make([]byte, 0, 64<<10)
	for name, c := range map[string]struct{ n, history int }{
		"32 KB": {32 << 10, 0}, "32 KB, history 8 KB": {24 << 10, 8 << 10}, "30 B": {30, 0}, "30 B, history 1 KB": {30, 1 << 10},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(c.n))
			b.ReportAllocs()
			for b.Loop() {
				Append(out, text[c.history:c.history+c.n], text[:c.history])
			}
		})
	}
}
