package deflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"testing"
)

// FuzzDecoder decodes any octets in any pieces, asleep between them, and compares with compress/flate.
func FuzzDecoder(f *testing.F) {
	for _, z := range [][]byte{
		deflated(f, mail(3000, 1), 9, 500), deflated(f, mail(3000, 2), flate.HuffmanOnly, 3000), deflated(f, mail(300, 3), 0, 100),
		deflated(f, []byte("a NOOP\r\n"), 1, 3), deflated(f, make([]byte, 5000), 9, 5000), Append(nil, mail(500, 4), nil),
	} {
		f.Add(z, []byte{1}, uint16(100))
		f.Add(z, []byte{200, 3, 0, 7}, uint16(1))
		f.Add(z[:len(z)*2/3], []byte{50}, uint16(5000))
	}
	f.Fuzz(func(t *testing.T, z, cuts []byte, room uint16) {
		if len(z) > 1<<16 {
			return
		}
		const most = 1 << 18 // of output
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(z)), most))
		if len(want) == most {
			return
		}
		s := newStream()
		s.room = int(room)%8192 + 1
		var err error
		for p, i := z, 0; len(p) > 0 && err == nil; i++ {
			n := len(p)
			if i < len(cuts) {
				n = min(n, int(cuts[i])+1)
			} else if len(cuts) > 0 && len(p) < 300 {
				n = min(n, int(cuts[i%len(cuts)])+1)
			}
			_, err = s.feed(p[:n])
			p = p[n:]
			if len(s.got) > most {
				t.Fatal("more output than compress/flate has")
			}
		}
		var corrupt flate.CorruptInputError
		switch {
		case wantErr == nil:
			if err != io.EOF || !bytes.Equal(s.got, want) {
				t.Fatalf("%v, %d octets, want %d", err, len(s.got), len(want))
			}
		case errors.As(wantErr, &corrupt):
			if err != ErrCorrupt || !bytes.Equal(s.got, want) {
				t.Fatalf("%v, %d octets, want %d and %v", err, len(s.got), len(want), wantErr)
			}
		default: // not all of it is there; compress/flate does not look at the last bits
			if err != nil && err != ErrCorrupt || !bytes.HasPrefix(s.got, want) {
				t.Fatalf("%v, %d octets, want %d and %v", err, len(s.got), len(want), wantErr)
			}
		}
	})
}

// FuzzState loads any bytes for a state. They are refused, or they are the state that the decoder then has, from which it
// decodes something or nothing.
func FuzzState(f *testing.F) {
	for _, z := range [][]byte{deflated(f, mail(900, 1), 9, 5000), deflated(f, mail(300, 2), 0, 300), deflated(f, make([]byte, 900), 6, 10)} {
		for _, n := range []int{0, 1, 2, 5, 10, 20, 60, 100, len(z) - 1} {
			s := newStream()
			s.feed(z[:n])
			f.Add(s.state, z[n:])
		}
	}
	f.Fuzz(func(t *testing.T, state, z []byte) {
		var d Decoder
		if err := d.LoadState(state); err != nil {
			if err != ErrState || d.phase != phaseBlock || d.seen != 0 {
				t.Fatal(err)
			}
			return
		}
		if again := d.AppendState(nil); !bytes.Equal(again, state) {
			t.Fatalf("loaded %x, saved %x", state, again)
		}
		dst := make([]byte, 300)
		for total := 0; total < 1<<20; {
			nd, ns, err := d.Decode(dst, z)
			if total += nd; err != nil || nd < len(dst) {
				break
			}
			z = z[ns:]
		}
		if b := d.AppendState(nil); len(b) > MaxState {
			t.Fatalf("a state of %d bytes", len(b))
		}
	})
}

// FuzzAppend compresses anything behind anything.
func FuzzAppend(f *testing.F) {
	f.Add([]byte("a OK NOOP completed\r\n"), []byte("a OK SELECT completed\r\n"))
	f.Add(mail(3000, 1), mail(9000, 1))
	f.Add(make([]byte, 40_000), []byte(nil))
	f.Fuzz(func(t *testing.T, p, history []byte) {
		s := newStream()
		if len(history) > 0 {
			s.feed(Append(nil, history, nil))
		}
		got, err := s.feed(Append(nil, p, history))
		if err != nil || !bytes.Equal(got, p) {
			t.Fatalf("%v, %d octets of %d", err, len(got), len(p))
		}
	})
}
