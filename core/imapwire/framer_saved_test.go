package imapwire

import (
	"bytes"
	"fmt"
	"testing"
)

// TestSavedFramerGoesOn saves and reads the framer back before every byte of a stream: it finds the same commands.
func TestSavedFramerGoesOn(t *testing.T) {
	stream := []byte("a LOGIN {2}\r\nxy {1+}\r\n\n\r\nb NOOP\nc 45678901234567890 {3+}\r\n\n\n\n x\r\nd X\r\n")
	lim := FrameLimits{Line: 20, Command: 40}
	run := func(save bool) (got []string) {
		var f Framer
		var buf []byte
		for _, c := range stream {
			buf = append(buf, c)
			for {
				if save {
					b := f.Append([]byte("before"))
					g, rest, err := ParseFramer(append(b[6:], "behind"...), len(buf))
					if err != nil || string(rest) != "behind" || g != f {
						t.Fatalf("%+v became %+v, %q, %v", f, g, rest, err)
					}
					f = g
				}
				fr := f.Next(buf, lim)
				if fr.Kind == FrameLiteral {
					f.Accept()
					got = append(got, fmt.Sprintf("literal %d", fr.Size))
					continue
				}
				if fr.Kind != FrameMore {
					got = append(got, fmt.Sprintf("%d %q", fr.Kind, buf[:fr.N]))
				}
				buf = buf[fr.N:]
				if fr.N == 0 || len(buf) == 0 {
					break
				}
			}
		}
		return got
	}
	want, got := run(false), run(true)
	if len(want) < 5 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// FuzzSavedFramer: whatever is read back can be used with a buffer of the size that was told, and saves as it was.
func FuzzSavedFramer(f *testing.F) {
	for _, fr := range []Framer{{}, {pos: 5, start: 2, text: 2}, {lit: 9, phase: phaseDropLiteral}, {pos: 4, start: 4, text: 4, lit: 3, phase: phaseLiteral}} {
		f.Add(fr.Append(nil), []byte("a X {3}\r\n"))
	}
	f.Fuzz(func(t *testing.T, saved, buf []byte) {
		g, _, err := ParseFramer(saved, len(buf))
		if err != nil {
			return
		}
		h, rest, err := ParseFramer(g.Append(nil), len(buf))
		if err != nil || len(rest) > 0 || h != g {
			t.Fatalf("%+v became %+v, %q, %v", g, h, rest, err)
		}
		for range 10 {
			fr := g.Next(bytes.Clone(buf), FrameLimits{Line: 100, Command: 200})
			if fr.N < 0 || fr.N > len(buf) {
				t.Fatalf("frame of %d bytes of %d", fr.N, len(buf))
			}
			buf = buf[fr.N:]
			if fr.Kind == FrameLiteral {
				g.Refuse(true)
			}
		}
	})
}
