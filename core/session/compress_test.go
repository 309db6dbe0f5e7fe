package session

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// zconn is the client's end of a compressed connection.
type zconn struct {
	net.Conn
	w *flate.Writer
	b *bytes.Buffer // what w has written
	r io.Reader
}

func newZconn(c net.Conn, plain io.Reader) zconn {
	b := new(bytes.Buffer)
	w, err := flate.NewWriter(b, 6)
	if err != nil {
		panic(err)
	}
	return zconn{c, w, b, flate.NewReader(plain)}
}

func (z zconn) Read(p []byte) (int, error) { return z.r.Read(p) }

// Write writes once: a command may be answered, and be the last one, before the end of its flush.
func (z zconn) Write(p []byte) (int, error) {
	z.w.Write(p) // the buffer has no errors
	z.w.Flush()
	defer z.b.Reset()
	if n, err := z.Conn.Write(z.b.Bytes()); err != nil {
		return min(n, len(p)), err
	}
	return len(p), nil
}

// compress makes the connection compressed by the command.
func (c *client) compress(command string) {
	c.t.Helper()
	c.send("z " + command + "\r\n")
	c.want("z ok")
	z := newZconn(c.Conn, c.r)
	c.Conn, c.r = z, bufio.NewReader(z)
}

// taken waits until all that clients have sent was read, and every session sleeps.
func (s *server) taken(t testing.TB) {
	t.Helper()
	eventually(t, "the input is read", func() bool {
		done := true
		s.Each(func(i Info) bool {
			if !i.Busy {
				n, err := unix.IoctlGetInt(int(s.slab.at(i.Handle.slot()).fd), unix.TIOCINQ)
				done = err == nil && n == 0
			} else {
				done = false
			}
			return done
		})
		return done
	})
}

// fixedCodes are octets compressed with the fixed codes, without matches, as bits; the sender flushes as zlib does.
type fixedCodes struct {
	bits []byte // not sent yet, one each
}

func (f *fixedCodes) add(bits string) {
	for _, b := range bits {
		f.bits = append(f.bits, byte(b-'0'))
	}
}

// block adds a block with p.
func (f *fixedCodes) block(p string, last bool) {
	f.add(map[bool]string{false: "0", true: "1"}[last] + "10")
	for _, b := range []byte(p) {
		if b < 144 {
			f.add(fmt.Sprintf("%08b", int(b)+0x30))
		} else {
			f.add(fmt.Sprintf("%09b", int(b)+0x100))
		}
	}
	f.add("0000000")
}

// octets takes the whole octets that there are; all fills up the last one.
func (f *fixedCodes) octets(all bool) (p []byte) {
	for all && len(f.bits)%8 != 0 {
		f.bits = append(f.bits, 0)
	}
	for ; len(f.bits) >= 8; f.bits = f.bits[8:] {
		b := byte(0)
		for i, bit := range f.bits[:8] {
			b |= bit << i
		}
		p = append(p, b)
	}
	return p
}

// TestCompressedCommands sends commands with every kind of flush, octet by octet, and lets the session fall asleep behind each. Where the
// octets determine the whole command it is answered without further ones.
func TestCompressedCommands(t *testing.T) {
	s := startServer(t, Config{}, nil)
	for name, flush := range map[string]func(f *fixedCodes) []byte{
		"Z_PARTIAL_FLUSH": func(f *fixedCodes) []byte { f.add("0100000000"); return f.octets(false) },
		"Z_SYNC_FLUSH":    func(f *fixedCodes) []byte { f.add("000"); return append(f.octets(true), 0, 0, 0xff, 0xff) },
		"Z_BLOCK":         func(f *fixedCodes) []byte { return f.octets(false) },
	} {
		for _, command := range []string{"ZIP", "ZIPRUN"} {
			t.Run(name+"/"+command, func(t *testing.T) {
				c := s.dial(t)
				raw := c.Conn
				c.compress(command)
				s.quiet(t)
				if st := s.Stats(); st.Compressed != 1 || st.Extras != 1 || st.FlowBytes < flowRaw || st.FlowBytes > 2*flowRaw {
					t.Fatalf("%+v", st)
				}
				var f fixedCodes
				for i := range 5 {
					f.block(fmt.Sprintf("a%d ECHO {3+}\r\n\xe9\xff\x00 %d\r\nb RUN x\r\n", i, i), false)
					for _, b := range flush(&f) {
						if _, err := raw.Write([]byte{b}); err != nil {
							t.Fatal(err)
						}
						s.taken(t)
					}
					c.want(fmt.Sprintf(`a%d "{3+}\r\n\xe9\xff\x00 %d"`, i, i), `b ran "x"`)
				}
				f.block("z BYE\r\n", true)
				raw.Write(f.octets(true))
				c.want("z bye")
				c.wantEnd()
			})
			eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
		}
	}
}

// TestCompressedTransfers sends and receives much, plaintext and with TLS, by loop and worker, into memory and spool files.
func TestCompressedTransfers(t *testing.T) {
	test := func(t *testing.T, s *server, c *client) {
		c.compress("ZIPRUN")
		c.send("a ZIP\r\n")
		c.want("a already")
		for _, n := range []int{1, 511, 512, 513, 32 << 10, 100_000} {
			c.send(fmt.Sprintf("l LOOP %d\r\nb BULK %d\r\n", n, n))
			c.want(strings.Repeat("x", n)+"l ok", "bulk", string(bulk()[:n])+fmt.Sprintf(`b ran "%d"`, n))
			long := message(n)
			c.send(fmt.Sprintf("e ECHO {%d+}\r\n%s\r\n", n, long))
			c.want(fmt.Sprintf("e %q", fmt.Sprintf("{%d+}\r\n%s", n, long)))
			bodies := []string{message(n), message(n / 2)}
			c.send(fill("p SPOOL {%d+}\r\n# {%d+}\r\n#\r\n", bodies...))
			c.want(answer("p SPOOL {%d+}\r\n# {%d+}\r\n#\r\n", bodies...)...)
		}
		c.send("m SPEW 3000000\r\nz BYE\r\n")
		if _, err := io.CopyN(io.Discard, c.r, 3000000); err != nil {
			t.Fatal(err)
		}
		c.want(`m ran "3000000"`, "z bye")
		c.wantEnd()
	}
	cfg := Config{SpoolDir: t.TempDir(), SpoolAbove: 1000, SpoolMemory: 1 << 20}
	t.Run("plaintext", func(t *testing.T) {
		s := startServer(t, cfg, nil)
		c := s.dial(t)
		c.send("x LOGIN\r\n")
		c.want("x ok")
		test(t, s, c)
	})
	forEachTLS(t, cfg, test)
}

// TestInputBehindCompress: octets that are read together with the command are compressed input.
func TestInputBehindCompress(t *testing.T) {
	s := startServer(t, Config{}, nil)
	for _, n := range []int{0, 1, 3, 10_000} {
		for _, command := range []string{"ZIP", "ZIPRUN"} {
			c := s.dial(t)
			var all bytes.Buffer
			fmt.Fprintf(&all, "a ECHO before\r\nz %s\r\n", command)
			w, _ := flate.NewWriter(&all, flate.NoCompression) // more than is read at once
			for i := range n {
				fmt.Fprintf(w, "b%d ECHO x\r\nc RUN y\r\n", i)
				if i%3 == 0 {
					w.Flush()
				}
			}
			w.Write([]byte("z BYE\r\n"))
			w.Flush()
			go c.Write(all.Bytes()) // an error shows in what is read
			c.want(`a "before"`, "z ok")
			c.r = bufio.NewReader(flate.NewReader(c.r))
			for i := range n {
				c.want(fmt.Sprintf(`b%d "x"`, i), `c ran "y"`)
			}
			c.want("z bye")
			c.wantEnd()
		}
	}
}

// TestEndOfCompressedInput: the client's last block is the end of its input, and what it asked for before is answered.
func TestEndOfCompressedInput(t *testing.T) {
	s := startServer(t, Config{}, nil)
	c := s.dial(t)
	c.compress("ZIP")
	z := c.Conn.(zconn)
	z.w.Write([]byte("a RUN x\r\nb ECHO y\r\nc EC"))
	z.w.Close()
	z.b.WriteTo(z.Conn) // an error shows in what is read
	z.Conn.Write([]byte("d ECHO plain\r\n"))
	c.want(`a ran "x"`, `b "y"`)
	c.wantEnd()
	if st := s.Stats(); st.BadStreams != 0 {
		t.Errorf("%+v", st)
	}
}

// damages are what DAMAGE does to the flow of its session.
var damages = []func(x *extra){
	func(x *extra) { x.flow = x.flow[:flowRaw-1] },
	func(x *extra) { x.flow[5] = 1 },
	func(x *extra) { x.flow[7] = 0xff },
	func(x *extra) { x.flow[flowRaw] = 99 },
	func(x *extra) { x.flow = append(x.flow, make([]byte, 40<<10)...) },
}

// TestInvalidStreamEndsTheSessionOnly sends what cannot be decoded, and damages what a sleeping session keeps.
func TestInvalidStreamEndsTheSessionOnly(t *testing.T) {
	s := startServer(t, Config{}, nil)
	other := s.dial(t)
	other.compress("ZIP")
	s.quiet(t)
	ended := func() { eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 1 }) }
	for i, junk := range []string{"\xff\xff\xff", "\x00\x01\x00\xff\xff", "\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		c := s.dial(t)
		c.compress("ZIP")
		c.Conn.(zconn).Conn.Write([]byte(junk))
		ended()
		if st := s.Stats(); st.BadStreams != uint64(i+1) {
			t.Errorf("%d bad streams, want %d", st.BadStreams, i+1)
		}
	}
	for i := range damages {
		c := s.dial(t)
		c.compress("ZIP")
		c.send(fmt.Sprintf("a DAMAGE %d\r\n", i))
		eventually(t, "the session ends with its next input", func() bool {
			io.WriteString(c, "b ECHO x\r\n") // an error says the same
			return s.Stats().Sessions == 1
		})
	}
	other.send("a ECHO x\r\n")
	other.want(`a "x"`)
}

// TestCompressedSessionsAreBounded: one more than the setting allows is refused, until one has ended.
func TestCompressedSessionsAreBounded(t *testing.T) {
	s := startServer(t, Config{MaxCompressed: 1}, nil)
	first, second := s.dial(t), s.dial(t)
	first.compress("ZIP")
	second.send("a ZIP\r\nb ECHO x\r\n")
	second.want("a too many", `b "x"`)
	if st := s.Stats(); st.Compressed != 1 || st.RefusedCompress != 1 {
		t.Errorf("%+v", st)
	}
	first.Close()
	eventually(t, "the first session ends", func() bool { return s.Stats().Sessions == 1 })
	second.compress("ZIP")
	second.send("c ECHO x\r\n")
	second.want(`c "x"`)
}

// TestCompressedEvents: a sleeping session is told of its mailbox, and what it has told before helps to say it in few octets.
func TestCompressedEvents(t *testing.T) {
	s := startServer(t, Config{}, nil)
	c := s.dial(t)
	counted := &countedReads{Conn: c.Conn}
	c.Conn, c.r = counted, bufio.NewReader(counted)
	c.compress("ZIP")
	c.send("a BOX 1234567\r\n")
	c.want("a ok")
	s.quiet(t)
	before := counted.n
	for range 20 {
		s.SignalMailbox(1234567)
		c.want("event 1234567")
		s.quiet(t)
	}
	if n, plain := counted.n-before, int64(20*len("event 1234567\r\n")); n > plain {
		t.Errorf("%d octets for %d", n, plain)
	}
}

type countedReads struct {
	net.Conn
	n int64
}

func (c *countedReads) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n += int64(n)
	return n, err
}

// TestCompressedSessionKeepsItsWindow: what a sleeping session keeps grows with its input up to the window, and stays.
func TestCompressedSessionKeepsItsWindow(t *testing.T) {
	s := startServer(t, Config{MaxCommand: 4 << 20, MaxLiteralUnauth: 2 << 20, MaxLiteral: 2 << 20}, nil)
	c := s.dial(t)
	c.compress("ZIP")
	sent := 0
	for range 60 {
		cmd := fmt.Sprintf("a ECHO %d\r\n", rand.Uint64())
		sent += len(cmd)
		c.send(cmd)
		c.want(fmt.Sprintf("a %q", strings.TrimSpace(cmd[7:])))
		s.quiet(t)
		if st := s.Stats(); st.FlowBytes > int64(flowRaw+13+sent)*9/8+64 {
			t.Fatalf("%d bytes are kept of %d", st.FlowBytes, sent)
		}
	}
	c.send(fmt.Sprintf("a SUM {1000000+}\r\n%s\r\n", message(1000000)))
	if line, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "a 1000020 ") {
		t.Fatalf("%q %v", line, err)
	}
	s.quiet(t)
	if st := s.Stats(); st.FlowBytes < 32<<10 || st.FlowBytes > 38<<10 || st.ExtraBytes > 39<<10 {
		t.Errorf("%+v", st)
	}
}

// stormStream makes a storm's connection compressed, by a command on the loop or by a worker.
func stormStream(c net.Conn, rnd *rand.Rand) (net.Conn, error) {
	if _, err := io.WriteString(c, []string{"z ZIP\r\n", "z ZIPRUN\r\n"}[rnd.IntN(2)]); err != nil {
		return nil, err
	}
	var answer [6]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return nil, err
	}
	if string(answer[:]) != "z ok\r\n" {
		return nil, fmt.Errorf("%w: %q", errWrongAnswer, answer)
	}
	return newZconn(c, c), nil
}

// FuzzFlow reads any bytes as a flow.
func FuzzFlow(f *testing.F) {
	f.Add([]byte(newFlow(nil)), []byte("a NOOP\r\n"))
	f.Add([]byte(newFlow([]byte("raw"))), make([]byte, 1000))
	f.Fuzz(func(t *testing.T, b, sent []byte) {
		fl := append(flow(nil), b...)
		raw, state, _, ok := fl.input()
		if !ok {
			fl.remember(sent)
			if got := fl.sent(); len(b) < flowRaw && got != nil {
				t.Fatalf("remembered %q", got)
			}
			return
		}
		if len(raw)+len(state) != len(b)-flowRaw {
			t.Fatalf("%d and %d octets of %d", len(raw), len(state), len(b))
		}
		before := append([]byte(nil), fl.sent()...)
		fl.remember(sent)
		want := append(before, sent...)
		if want = want[max(0, len(want)-sentKept):]; !bytes.Equal(fl.sent(), want) {
			t.Fatalf("remembered %q, want %q", fl.sent(), want)
		}
		if r, s, _, ok := fl.input(); !ok || len(r) != len(raw) || len(s) != len(state) {
			t.Fatal("the rest has changed")
		}
	})
}

// BenchmarkCompressedCommand is a command of a sleeping session and its answer.
func BenchmarkCompressedCommand(b *testing.B) {
	for _, tlsOn := range []bool{false, true} {
		for _, zip := range []bool{false, true} {
			b.Run(fmt.Sprintf("tls=%v/compressed=%v", tlsOn, zip), func(b *testing.B) {
				s, imaps := startTLSServer(b, Config{}, nil)
				raw, err := net.Dial("tcp", map[bool]string{false: s.addr, true: imaps}[tlsOn])
				if err != nil {
					b.Fatal(err)
				}
				if tlsOn {
					raw = tls.Client(raw, clientTLS(tls.VersionTLS13))
				}
				c := newClient(b, raw)
				c.want("hello")
				c.SetDeadline(time.Time{})
				if zip {
					c.compress("ZIP")
				}
				var buf [4]byte
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Conn.Write([]byte("NOOP\r\n")); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(c.r, buf[:]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
