package imapwire

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

// frameAll feeds stream in pieces of the sizes that cut yields, and describes what the framer found. Literals
// of more than accept octets are refused. Those announced behind "S" are taken out of the buffer; of those
// behind "D" the first half is, and then they are refused.
func frameAll(t testing.TB, stream []byte, lim FrameLimits, accept uint64, cut func() int) []string {
	var f Framer
	var got []string
	var buf, taken []byte
	half := -1 // octets of a literal until it is refused; -1: it is not
	for len(stream) > 0 {
		n := min(max(cut(), 1), len(stream))
		if left, head := f.Spooling(); left > 0 && head == len(buf) && n%2 == 0 && half < 0 { // without the buffer
			n = int(min(uint64(n), left))
			taken, stream = append(taken, stream[:n]...), stream[n:]
			f.Took(n)
			continue
		}
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
				if len(taken) > 0 {
					got = append(got, fmt.Sprintf("taken %q", taken))
				}
				taken = nil
			case FrameLiteral:
				got = append(got, fmt.Sprintf("literal %q %d %v", buf[:fr.N], fr.Size, fr.NonSync))
				open := bytes.LastIndexByte(buf[:fr.N], '{')
				switch how := buf[max(open-1, 0)]; {
				case fr.Size > accept || how != 'S' && how != 'D' && !lim.Fits(fr):
					f.Refuse(fr.NonSync)
					taken = nil
				case how == 'S':
					f.Spool()
					drop = 0
				case how == 'D' && fr.Size > 1:
					f.Spool()
					drop, half = 0, int(fr.Size/2)
				default:
					f.Accept()
					drop = 0
				}
			case FrameSpool:
				if left, head := f.Spooling(); fr.N == 0 || uint64(fr.N) > left || head != fr.Head {
					t.Fatalf("frame %+v with %d left", fr, left)
				}
				if half >= 0 && fr.N >= half {
					f.Took(half)
					f.Refuse(true)
					got = append(got, fmt.Sprintf("dropped behind %q", buf[:fr.Head+half]))
					drop, half, taken = fr.Head+half, -1, nil
					break
				}
				if half >= 0 {
					drop, more = 0, false // until the half is there
					break
				}
				taken = append(taken, buf[fr.Head:][:fr.N]...)
				buf = append(buf[:fr.Head], buf[fr.Head+fr.N:]...)
				f.Took(fr.N)
				drop = 0
			case FrameLineTooLong:
				taken = nil
				got = append(got, fmt.Sprintf("line too long %q", buf[:fr.Head]))
			case FrameCommandTooLong:
				taken = nil
				got = append(got, fmt.Sprintf("command too long %q", buf[:fr.Head]))
			}
			buf = buf[drop:]
		}
		if f.Dropping() && len(buf) != 0 {
			t.Fatalf("%d bytes kept while dropping", len(buf))
		}
		if kept := max(lim.Command, lim.Line) + max(half, 0); len(buf) > kept {
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
		{"size beyond 63 bits", "a X {99999999999999999999}\r\nb\n", wide, 5, []string{fmt.Sprintf(`literal "a X {99999999999999999999}\r\n" %d false`, uint64(math.MaxInt64)), `command "b\n"`}},
		{"line too long", "a 456789\r\nb NOOP\r\n", FrameLimits{Line: 8, Command: 200}, 50, []string{`line too long "a 456789"`, `command "b NOOP\r\n"`}},
		{"line just fits", "a 4567\r\n", FrameLimits{Line: 8, Command: 200}, 50, []string{`command "a 4567\r\n"`}},
		{"line too long with a literal", "a 456789 {3+}\r\n\n\n\n x\r\nb\n", FrameLimits{Line: 8, Command: 200}, 50, []string{`line too long "a 456789"`, `command "b\n"`}},
		{"lines together too long", "a {3+}\r\nxyz56\r\nb\r\n", FrameLimits{Line: 10, Command: 200}, 50, []string{`literal "a {3+}\r\n" 3 true`, `line too long "a {3+}\r\nxyz56"`, `command "b\r\n"`}},
		{"command too long", "a {3+}\r\nxyz5678\r\nb\r\n", FrameLimits{Line: 100, Command: 15}, 50, []string{`literal "a {3+}\r\n" 3 true`, `command too long "a {3+}\r\nxyz5678"`, `command "b\r\n"`}},
		{"single lines", "DONE {3}\r\nabc\r\n", FrameLimits{Line: 100, Command: 100, Lines: true}, 50, []string{`command "DONE {3}\r\n"`, `command "abc\r\n"`}},
		{"taken out", "a S{5}\r\n1\n345 x\r\nb\r\n", wide, 50, []string{`literal "a S{5}\r\n" 5 false`, `command "a S{5}\r\n x\r\n"`, `taken "1\n345"`, `command "b\r\n"`}},
		{"two taken out", "a S{2+}\r\n12 S{1+}\r\n3\r\n", wide, 50, []string{`literal "a S{2+}\r\n" 2 true`, `literal "a S{2+}\r\n S{1+}\r\n" 1 true`,
			`command "a S{2+}\r\n S{1+}\r\n\r\n"`, `taken "123"`}},
		{"nothing taken out", "a S{0+}\r\n\r\n", wide, 50, []string{`literal "a S{0+}\r\n" 0 true`, `command "a S{0+}\r\n\r\n"`}},
		{"one taken out, one kept", "a S{2+}\r\n{} {3+}\r\n{3}\r\n", wide, 50, []string{`literal "a S{2+}\r\n" 2 true`, `literal "a S{2+}\r\n {3+}\r\n" 3 true`,
			`command "a S{2+}\r\n {3+}\r\n{3}\r\n"`, `taken "{}"`}},
		{"taken out beyond the limit for commands", "a S{30+}\r\n123456789012345678901234567890\r\nb\r\n", FrameLimits{Line: 12, Command: 15}, 50, []string{
			`literal "a S{30+}\r\n" 30 true`, `command "a S{30+}\r\n\r\n"`, `taken "123456789012345678901234567890"`, `command "b\r\n"`}},
		{"the second is refused", "a S{2+}\r\n12 {3+}\r\n345\r\nb\r\n", wide, 2, []string{`literal "a S{2+}\r\n" 2 true`, `literal "a S{2+}\r\n {3+}\r\n" 3 true`, `command "b\r\n"`}},
		{"the second is refused, client waits", "a S{2}\r\n12 {3}\r\nb\r\n", wide, 2, []string{`literal "a S{2}\r\n" 2 false`, `literal "a S{2}\r\n {3}\r\n" 3 false`, `command "b\r\n"`}},
		{"refused in the middle", "a D{6}\r\n123456 {1+}\r\n7 {9}\r\nb\r\n", wide, 50, []string{`literal "a D{6}\r\n" 6 false`, `dropped behind "a D{6}\r\n123"`, `command "b\r\n"`}},
		{"line too long behind one taken out", "a S{2+}\r\n12345678901\r\nb\r\n", FrameLimits{Line: 12, Command: 200}, 50, []string{`literal "a S{2+}\r\n" 2 true`,
			`line too long "a S{2+}\r\n345"`, `command "b\r\n"`}},
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
	f.Add([]byte("a S{6+}\r\n12\n456 {3+}\r\nxyz S{9}\r\n123456789 x\r\nb NOOP\r\n"), []byte{2, 1, 4}, uint8(30), uint8(60), false)
	f.Add([]byte("a D{6+}\r\n12\n456 {3+}\r\nxyz D{9}\r\nb NOOP\r\n"), []byte{2, 1}, uint8(30), uint8(60), false)
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
