package deflate

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// stream decodes with a Decoder that sleeps between pieces of input: nothing is kept but the state.
type stream struct {
	state []byte // nil: awake
	d     *Decoder
	room  int // size of the output buffer, 0: 4096
	dst   []byte
	got   []byte
	most  int // size of the largest state
}

func newStream() *stream { return &stream{d: new(Decoder)} }

// feed decodes p and returns what came out of it. Then the stream sleeps.
func (s *stream) feed(p []byte) ([]byte, error) {
	start := len(s.got)
	err := s.feedAwake(p)
	if err == nil {
		s.state = s.d.AppendState(s.state[:0])
		s.most = max(s.most, len(s.state))
		// The next stream has its way with it.
		s.d.pos, s.d.seen, s.d.phase, s.d.made, s.d.bits, s.d.nbits = s.d.pos+77, WindowSize, phaseCorrupt, madeForSymbols, 1<<50, 60
		s.d.window[s.d.pos&(WindowSize-1)]++
	}
	return s.got[start:], err
}

// feedAwake is feed without sleep.
func (s *stream) feedAwake(p []byte) error {
	if len(s.state) > 0 {
		if err := s.d.LoadState(s.state); err != nil {
			return err
		}
		s.state = s.state[:0]
	}
	if s.dst == nil {
		s.dst = make([]byte, cmp.Or(s.room, 4096))
	}
	dst := s.dst
	for {
		nd, ns, err := s.d.Decode(dst, p)
		if s.got = append(s.got, dst[:nd]...); err != nil {
			return err
		}
		if p = p[ns:]; nd < len(dst) {
			if len(p) > 0 {
				return fmt.Errorf("there was room, but %d octets were not used", len(p))
			}
			return nil
		}
	}
}

var commands = []string{
	"a1 LOGIN demo demo\r\n", "a2 SELECT INBOX\r\n", "a3 UID FETCH 1:* (UID FLAGS)\r\n", "a4 NOOP\r\n", "a5 NOOP\r\n", "a6 NOOP\r\n", "a7 NOOP\r\n",
	strings.Repeat("a8 UID FETCH 1:* (FLAGS UID ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (DATE SUBJECT FROM)])\r\n", 4),
	"a9 LOGOUT\r\n",
}

// TestZlibFlushes decodes what zlib makes of commands with every kind of flush (testdata/zlib.txt: a line of hex for each command,
// the last one with Z_SYNC_FLUSH). Each line is there at once, as soon as its octets are. Z_BLOCK keeps some
// bits back, and no flush at all keeps everything.
func TestZlibFlushes(t *testing.T) {
	file, err := os.ReadFile("testdata/zlib.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(strings.TrimSpace(string(file)), "\n\n") {
		name, hexes, _ := strings.Cut(part, "\n")
		pieces := strings.Split(hexes, "\n")
		if len(pieces) != len(commands) {
			t.Fatalf("%s: %d lines", name, len(pieces))
		}
		for _, bytewise := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, bytewise %v", name, bytewise), func(t *testing.T) {
				s := newStream()
				want := ""
				for i, h := range pieces {
					p, err := hex.DecodeString(strings.Trim(h, "-"))
					if err != nil {
						t.Fatal(err)
					}
					step := max(1, len(p))
					if bytewise {
						step = 1
					}
					for ; len(p) > 0; p = p[min(step, len(p)):] {
						if _, err := s.feed(p[:min(step, len(p))]); err != nil {
							t.Fatal(err)
						}
					}
					want += commands[i]
					partly := strings.HasPrefix(name, "Z_BLOCK") || strings.HasPrefix(name, "Z_NO_FLUSH")
					if partly && i < len(pieces)-1 {
						if !strings.HasPrefix(want, string(s.got)) {
							t.Fatalf("%d: got %q, want %q", i, s.got, want)
						}
						continue
					}
					if string(s.got) != want {
						t.Fatalf("%d: got %q, want %q", i, s.got, want)
					}
				}
				if len(s.state) > stateHead+len(want) {
					t.Errorf("the state behind %d octets has %d bytes", len(want), len(s.state))
				}
			})
		}
	}
}

// mail returns n octets that are somewhat like mail.
func mail(n int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields("the quick brown fox jumps over a lazy dog Subject: From: FETCH BODY[TEXT] UID FLAGS (\\Seen) 0123456789 lorem ipsum")
	var b bytes.Buffer
	for b.Len() < n {
		switch rnd.IntN(40) {
		case 0:
			b.WriteString("\r\n")
		case 1:
			for range rnd.IntN(100) {
				b.WriteByte(byte(rnd.Uint32()))
			}
		case 2:
			b.WriteString(strings.Repeat("=", rnd.IntN(600)))
		default:
			b.WriteString(words[rnd.IntN(len(words))] + " ")
		}
	}
	return b.Bytes()[:n]
}

// deflated compresses p with compress/flate, flushed now and then.
func deflated(t testing.TB, p []byte, level int, every int) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	for len(p) > 0 {
		n := min(len(p), every)
		w.Write(p[:n])
		w.Flush()
		p = p[n:]
	}
	w.Close()
	return b.Bytes()
}

// TestLongStreams goes beyond the window, in pieces of all sizes, with output buffers of all sizes.
func TestLongStreams(t *testing.T) {
	want := mail(100_000, 1)
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 1, 6, 9} {
		z := deflated(t, want, level, 70_000)
		for _, size := range []int{1, 3, 100, 4096, len(z)} {
			for _, room := range []int{1, 7, 100, 4096, 1 << 20} {
				s := newStream()
				s.room = room
				var err error
				piece := 0
				for p := z; len(p) > 0 && err == nil; p = p[min(size, len(p)):] {
					if piece++; piece%100 == 3 || size >= 4096 {
						_, err = s.feed(p[:min(size, len(p))])
					} else {
						err = s.feedAwake(p[:min(size, len(p))])
					}
				}
				if err != io.EOF || !bytes.Equal(s.got, want) {
					t.Fatalf("level %d, pieces of %d, room %d: %v, equal %v", level, size, room, err, bytes.Equal(s.got, want))
				}
				if s.most > MaxState {
					t.Errorf("a state of %d bytes", s.most)
				}
			}
		}
	}
}

// TestEnd: the end of the stream is told with what follows it, again and again.
func TestEnd(t *testing.T) {
	var d Decoder
	z := append(deflated(t, []byte("bye\r\n"), 6, 100), "plain"...)
	dst := make([]byte, 100)
	nd, ns, err := d.Decode(dst, z)
	if string(dst[:nd]) != "bye\r\n" || string(z[ns:]) != "plain" || err != io.EOF {
		t.Fatalf("%q %q %v", dst[:nd], z[ns:], err)
	}
	if err := d.LoadState(d.AppendState(nil)); err != nil {
		t.Fatal(err)
	}
	if nd, ns, err := d.Decode(dst, z); nd != 0 || ns != 0 || err != io.EOF {
		t.Fatal(nd, ns, err)
	}
}

// fromBits makes octets of bits, the first one lowest.
func fromBits(s string) (p []byte) {
	for i, b := range strings.ReplaceAll(s, " ", "") {
		if i%8 == 0 {
			p = append(p, 0)
		}
		p[i/8] |= byte(b-'0') << (i % 8)
	}
	return p
}

// TestCorrupt: what was decoded before the error is there, and the error stays.
func TestCorrupt(t *testing.T) {
	const litA = "10010001" // of the fixed code
	for name, z := range map[string]string{
		"block type 3":                  "1 11",
		"size of a stored block":        "1 00 00000 1000000000000000 1111111111111111",
		"287 literal codes":             "1 01 01111 00000 0000",
		"31 distance codes":             "1 01 00000 01111 0000",
		"code length codes":             "1 01 00000 00000 0000 111 111 111 111",
		"code lengths over-subscribed":  "1 01 00000 00000 0000 100 100 100 000",
		"repetition of nothing":         "1 01 00000 00000 0000 100 100 000 000 0",
		"more lengths than codes":       "1 01 00000 00000 0000 000 100 100 000 1 1111111 1 1111111",
		"distance before the beginning": "1 10 " + litA + " 0000001 00001",
		"symbol 286":                    "1 10 " + litA + " 11000110",
		"distance symbol 30":            "1 10 " + litA + " 0000001 11110",
	} {
		var d Decoder
		p := fromBits(z)
		dst := make([]byte, 100)
		nd, _, err := d.Decode(dst, p)
		want, wantErr := io.ReadAll(flate.NewReader(bytes.NewReader(p)))
		if err != ErrCorrupt || wantErr == nil || !bytes.Equal(dst[:nd], want) {
			t.Errorf("%s: %q %v, want %q (%v)", name, dst[:nd], err, want, wantErr)
		}
		if nd, ns, err := d.Decode(dst, p); nd != 0 || ns != 0 || err != ErrCorrupt {
			t.Errorf("%s, again: %d %d %v", name, nd, ns, err)
		}
	}
}

// TestEveryOctetAtOnce: a match or literal is decoded when its last bit is there, not when the next octet is.
func TestEveryOctetAtOnce(t *testing.T) {
	s := newStream()
	p := fromBits("1 10 10010001 0000001 00000 0000000") // 'a', three more from one octet before, end: 31 bits
	var got []string
	for _, b := range p {
		out, err := s.feed([]byte{b})
		got = append(got, string(out))
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	if want := []string{"", "a", "aaa", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBomb: what a thousandfold expansion costs is the caller's buffer, and the caller can stop at any time.
func TestBomb(t *testing.T) {
	z := deflated(t, make([]byte, 10<<20), 9, 20<<20)
	var d Decoder
	dst := make([]byte, 4096)
	total := 0
	allocs := testing.AllocsPerRun(1, func() {
		d.Reset()
		p := z
		total = 0
		for {
			nd, ns, err := d.Decode(dst, p)
			p = p[ns:]
			if total += nd; err != nil {
				return
			}
		}
	})
	if total != 10<<20 || allocs != 0 {
		t.Errorf("%d octets, %v allocations", total, allocs)
	}
}

// TestAppend: compress/flate reads what Append writes, piece by piece, with as much history as there may be.
func TestAppend(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, history := range []int{0, 1, 5, 100, 4096, MaxHistory, 2 * MaxHistory, 100_000} {
		want := mail(300_000, 7)
		var z []byte
		s := newStream()
		for sent := 0; sent < len(want); {
			n := min([]int{1, 5, 13, 20, 100, 3000, 40_000, 70_000}[rnd.IntN(8)], len(want)-sent)
			before := len(z)
			z = Append(z, want[sent:sent+n], want[max(0, sent-history):sent])
			sent += n
			if _, err := s.feed(z[before:]); err != nil || !bytes.Equal(s.got, want[:sent]) {
				t.Fatalf("history %d, behind %d: %d octets, %v", history, sent, len(s.got), err)
			}
		}
		got, err := io.ReadAll(flate.NewReader(bytes.NewReader(z)))
		if err != io.ErrUnexpectedEOF || !bytes.Equal(got, want) {
			t.Fatalf("history %d: %d octets, %v", history, len(got), err)
		}
	}
}
