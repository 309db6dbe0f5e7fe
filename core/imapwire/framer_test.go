package imapwire

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// frameAll feeds stream in pieces of the sizes that cut yields, and describes what the framer found. Literals
// of more than accept octets are refused.
func frameAll(t testing.TB, stream []byte, lim FrameLimits, accept uint64, cut func() int) []string {
	var f Framer
	var got []string
	var buf []byte
	for len(stream) > 0 {
		n := min(max(cut(), 1), len(stream))
		buf = append(buf, stream[:n]...)
		stream = stream[n:]
		for more := true; more; {
			fr := f.Next(buf, lim)
			if fr.N < 0 || fr.N > len(buf) || fr.Head > len(buf) {
				t.Fatalf("frame %+v of %d bytes", fr, len(buf))
			}
			drop := fr.N
			switch fr.Kind {
			case FrameMore:
				more = fr.N > 0 && fr.N < len(buf)
			case FrameCommand:
				got = append(got, fmt.Sprintf("command %q", buf[:fr.N]))
			case FrameLiteral:
				got = append(got, fmt.Sprintf("literal %q %d %v", buf[:fr.N], fr.Size, fr.NonSync))
				if fr.Size <= accept && lim.Fits(fr) {
					f.Accept()
					drop = 0
				} else {
					f.Refuse(fr.NonSync)
				}
			case FrameLineTooLong:
				got = append(got, fmt.Sprintf("line too long %q", buf[:fr.Head]))
			case FrameCommandTooLong:
				got = append(got, fmt.Sprintf("command too long %q", buf[:fr.Head]))
			}
			buf = buf[drop:]
		}
		if f.Dropping() && len(buf) != 0 {
			t.Fatalf("%d bytes kept while dropping", len(buf))
		}
		if kept := max(lim.Command, lim.Line); len(buf) > kept {
			t.Fatalf("%d bytes kept, limit %d", len(buf), kept)
		}
		if len(buf) == 0 && !f.Dropping() && f.Midway() {
			t.Fatalf("state %+v with nothing received", f)
		}
	}
	if len(buf) > 0 {
		got = append(got, fmt.Sprintf("rest %d", len(buf)))
	}
	if f.Dropping() {
		got = append(got, "dropping")
	}
	return got
}

func TestFramer(t *testing.T) {
	wide := FrameLimits{Line: 100, Command: 200}
	for _, tt := range []struct {
		name   string
		stream string
		lim    FrameLimits
		accept uint64
		want   []string
	}{
		{"line", "a NOOP\r\n", wide, 50, []string{`command "a NOOP\r\n"`}},
		{"bare LF", "a NOOP\nb", wide, 50, []string{`command "a NOOP\n"`, "rest 1"}},
		{"empty line", "\r\n", wide, 50, []string{`command "\r\n"`}},
		{"pipelined", "a NOOP\r\nb NOOP\r\n", wide, 50, []string{`command "a NOOP\r\n"`, `command "b NOOP\r\n"`}},
		{"literal", "a LOGIN {2}\r\nxy {1}\r\n\n\r\n", wide, 50, []string{
			`literal "a LOGIN {2}\r\n" 2 false`, `literal "a LOGIN {2}\r\nxy {1}\r\n" 1 false`, `command "a LOGIN {2}\r\nxy {1}\r\n\n\r\n"`}},
		{"empty literal", "a X {0+}\r\n\r\n", wide, 50, []string{`literal "a X {0+}\r\n" 0 true`, `command "a X {0+}\r\n\r\n"`}},
		{"no digits", "a X {}\r\n", wide, 50, []string{`command "a X {}\r\n"`}},
		{"not at the end", "a X {3} \r\n", wide, 50, []string{`command "a X {3} \r\n"`}},
		{"plus before digits", "a X {+3}\r\n", wide, 50, []string{`command "a X {+3}\r\n"`}},
		{"two braces", "a X {{3}\r\n123\n", wide, 50, []string{`literal "a X {{3}\r\n" 3 false`, `command "a X {{3}\r\n123\n"`}},
		{"refused, client waits", "a X {60}\r\nb NOOP\r\n", wide, 50, []string{`literal "a X {60}\r\n" 60 false`, `command "b NOOP\r\n"`}},
		{"refused, client sends", "a X {6+}\r\n12\n456 {3+}\r\nxyz {9}\r\nb NOOP\r\n", wide, 5, []string{`literal "a X {6+}\r\n" 6 true`, `command "b NOOP\r\n"`}},
		{"refused, still sending", "a X {60+}\r\n12", wide, 5, []string{`literal "a X {60+}\r\n" 60 true`, "dropping"}},
		{"size beyond 63 bits", "a X {99999999999999999999}\r\nb\n", wide, 5, []string{fmt.Sprintf(`literal "a X {99999999999999999999}\r\n" %d false`, math.MaxInt64), `command "b\n"`}},
		{"line too long", "a 456789\r\nb NOOP\r\n", FrameLimits{Line: 8, Command: 200}, 50, []string{`line too long "a 456789"`, `command "b NOOP\r\n"`}},
		{"line just fits", "a 4567\r\n", FrameLimits{Line: 8, Command: 200}, 50, []string{`command "a 4567\r\n"`}},
		{"line too long with a literal", "a 456789 {3+}\r\n\n\n\n x\r\nb\n", FrameLimits{Line: 8, Command: 200}, 50, []string{`line too long "a 456789"`, `command "b\n"`}},
		{"lines together too long", "a {3+}\r\nxyz56\r\nb\r\n", FrameLimits{Line: 10, Command: 200}, 50, []string{`literal "a {3+}\r\n" 3 true`, `line too long "a {3+}\r\nxyz56"`, `command "b\r\n"`}},
		{"command too long", "a {3+}\r\nxyz5678\r\nb\r\n", FrameLimits{Line: 100, Command: 15}, 50, []string{`literal "a {3+}\r\n" 3 true`, `command too long "a {3+}\r\nxyz5678"`, `command "b\r\n"`}},
		{"single lines", "DONE {3}\r\nabc\r\n", FrameLimits{Line: 100, Command: 100, Lines: true}, 50, []string{`command "DONE {3}\r\n"`, `command "abc\r\n"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.stream); size++ {
				got := frameAll(t, []byte(tt.stream), tt.lim, tt.accept, func() int { return size })
				if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
					t.Fatalf("in pieces of %d:\ngot  %q\nwant %q", size, got, tt.want)
				}
			}
		})
	}
}

// FuzzFramer checks that the way a stream is cut into pieces changes nothing, and that nothing beyond the limits is kept.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("a LOGIN {2}\r\nxy {1+}\r\n\n\r\nb NOOP\n"), []byte{1, 2, 3}, uint8(30), uint8(60), false)
	f.Add([]byte("a X {6+}\r\n12\n456 {3+}\r\nxyz {9}\r\nb NOOP\r\n"), []byte{7, 1}, uint8(12), uint8(12), false)
	f.Add([]byte("a 456789 {3+}\r\n\n\n\n x\r\nb\n"), []byte{2}, uint8(8), uint8(200), true)
	f.Fuzz(func(t *testing.T, stream, cuts []byte, line, command uint8, lines bool) {
		lim := FrameLimits{Line: int(line), Command: int(command), Lines: lines}
		// Only what is in the buffer when a limit is checked may be kept, so the yardstick is one byte at a time.
		want := frameAll(t, stream, lim, 20, func() int { return 1 })
		i := 0
		got := frameAll(t, stream, lim, 20, func() int {
			if len(cuts) == 0 {
				return len(stream)
			}
			i++
			return int(cuts[i%len(cuts)])
		})
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	})
}
