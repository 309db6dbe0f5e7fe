package session

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/conn/tls13"
)

// dialRecords connects with TLS 1.3 through wrap, which may be nil.
func dialRecords(t testing.TB, imaps string, cfg *tls.Config, wrap func(net.Conn) net.Conn) (*client, *tls.Conn) {
	t.Helper()
	raw, err := net.Dial("tcp", imaps)
	if err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		raw = wrap(raw)
	}
	conn := tls.Client(raw, cfg)
	c := newClient(t, conn)
	c.want("hello")
	return c, conn
}

// wantBare checks that the sleeping session has its record and its TLS slot, and nothing else.
func wantBare(t testing.TB, s *server) {
	t.Helper()
	s.quiet(t)
	if st := s.Stats(); st.TLSRecords != 1 || st.TLSHeld != 0 || st.Extras != 0 || st.ExtraBytes != 0 {
		t.Fatalf("the session holds more than its slots: %+v", st)
	}
}

func TestSleepsBetweenAnyTwoCommands(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	c, conn := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
	suite := tls.CipherSuiteName(conn.ConnectionState().CipherSuite)
	if want := os.Getenv(suiteEnv); want != "" && suite != want {
		t.Fatalf("the suite is %s, want %s", suite, want)
	}
	c.send("x LOGIN\r\n")
	c.want("x ok")
	for i := range 500 {
		wantBare(t, s)
		switch i % 4 {
		case 0:
			c.send(fmt.Sprintf("a%d ECHO 1\r\n", i))
			c.want(fmt.Sprintf(`a%d "1"`, i))
		case 1:
			c.send(fmt.Sprintf("a%d RUN 1\r\n", i))
			c.want(fmt.Sprintf(`a%d ran "1"`, i))
		case 2:
			c.send(fmt.Sprintf("b%d BOX 7\r\n", i))
			c.want(fmt.Sprintf("b%d ok", i))
			s.SignalMailbox(7)
			c.want("event 7")
		case 3:
			c.send(fmt.Sprintf("a%d SPEW 40000\r\n", i))
			if _, err := io.CopyN(io.Discard, c.r, 40000); err != nil {
				t.Fatal(err)
			}
			c.want(fmt.Sprintf(`a%d ran "40000"`, i))
		}
	}
}

// suiteEnv names the suite that TestSleepsBetweenAnyTwoCommands must have.
const suiteEnv = "ROOST_TEST_TLS_SUITE"

// Between two of crypto/tls, it is ChaCha20-Poly1305 where the processor has no AES. (It takes AES-256 from others only:
// TestOtherTLSLibraries, TestKeyUpdates.)
func TestSleepsWithChaCha20(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestSleepsBetweenAnyTwoCommands$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=cpu.aes=off,cpu.pclmulqdq=off", suiteEnv+"=TLS_CHACHA20_POLY1305_SHA256")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestSleepsBetweenAnyTwoCommands") {
		t.Errorf("%v: %s", err, out)
	}
}

// fdConn is a client's connection that costs this process's heap nothing when it is forgotten, but for its descriptor.
type fdConn struct {
	net.Conn // nil
	fd       int
}

func (c fdConn) Read(p []byte) (int, error)  { return unix.Read(c.fd, p) }
func (c fdConn) Write(p []byte) (int, error) { return unix.Write(c.fd, p) }

func TestSleepingTLSCostsItsSlotsOnly(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	addr, err := net.ResolveTCPAddr("tcp", imaps)
	if err != nil {
		t.Fatal(err)
	}
	fds := make([]int, 0, 1000)
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	open := func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: addr.AddrPort().Addr().As4(), Port: addr.Port}); err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(fdConn{fd: fd}, clientTLS(tls.VersionTLS13))
		r := bufio.NewReader(conn)
		io.WriteString(conn, "a RUN 1\r\n")
		for _, want := range []string{"hello\r\n", "a ran \"1\"\r\n"} {
			if line, err := r.ReadString('\n'); err != nil || line != want {
				t.Fatal(line, err)
			}
		}
	}
	heap := func() int64 {
		s.quiet(t)
		runtime.GC()
		runtime.GC() // what pools and finalizers held
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for range 50 {
		open()
	}
	before := heap()
	const n = 500
	for range n {
		open()
	}
	grown := float64(heap()-before) / n
	t.Logf("%.0f bytes of heap per session", grown)
	if st := s.Stats(); st.TLSRecords != n+50 || st.Extras != 0 || grown > 200 {
		t.Errorf("%.0f bytes of heap per session: %+v", grown, st)
	}
}

func TestTLSInfo(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	_, conn := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
	s.own(t, func(w *Session) {
		if v, cipher := w.TLSInfo(); v != tls.VersionTLS13 || cipher != conn.ConnectionState().CipherSuite {
			t.Errorf("%#x %#x", v, cipher)
		}
	})
}

// own calls f as the owner of the only session, in slot 1, once it sleeps.
func (s *server) own(t testing.TB, f func(w *Session)) {
	t.Helper()
	r := s.slab.at(1)
	gen := r.word.generation()
	eventually(t, "the session sleeps", func() bool {
		out, b := r.word.signal(gen, 0)
		if out != signalOwned {
			return false
		}
		var w Session
		w.attach(s.Engine, 1, gen, nil)
		f(&w)
		if b |= r.release(); b != 0 {
			s.submit(task{slot: 1, gen: gen, b: b})
		}
		return true
	})
}

func TestSecretsAreWiped(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
	wantBare(t, s)
	s.own(t, func(w *Session) {
		if w.r.tls != 1 || *s.tlsSlots.At(1) == (tls13.State{}) {
			t.Fatal("the first slot is not in use")
		}
	})
	c.Close()
	eventually(t, "the slot is free", func() bool { return s.Stats().TLSRecords == 0 })
	if *s.tlsSlots.At(1) != (tls13.State{}) {
		t.Error("secrets are left")
	}
}

// The client's close_notify, or the end of its connection between two records, is the end of its input: what it asked for before is answered, and close_notify comes
// back.
func TestEndOfInput(t *testing.T) {
	for _, notify := range []bool{true, false} {
		t.Run(fmt.Sprintf("close_notify=%v", notify), func(t *testing.T) {
			s, imaps := startTLSServer(t, Config{}, nil)
			var raw net.Conn
			c, conn := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(r net.Conn) net.Conn { raw = r; return r })
			c.send("a ECHO 1\r\nb RUN 2\r\n")
			var err error
			if notify {
				err = conn.CloseWrite()
			} else {
				err = raw.(*net.TCPConn).CloseWrite()
			}
			if err != nil {
				t.Fatal(err)
			}
			c.want(`a "1"`, `b ran "2"`)
			c.wantEnd()
			eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
		})
	}
}

func TestShutdownSaysCloseNotify(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
	wantBare(t, s)
	if err := s.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.want("shutdown")
	c.wantEnd()
}

func TestBlockedOutputIsSealedOnce(t *testing.T) {
	s, imaps := startTLSServer(t, Config{MaxOutput: 64 << 20}, nil)
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
	wantBare(t, s) // the worker of the handshake would wait for the client
	const n = 8 << 20
	c.send(fmt.Sprintf("a LOOP %d\r\nb ECHO 2\r\n", n)) // more than the socket takes
	eventually(t, "output waits", func() bool { return s.Stats().ExtraBytes > 1<<20 })
	c.send("c RUN 3\r\n")
	got := make([]byte, n)
	if _, err := io.ReadFull(c.r, got); err != nil || strings.Trim(string(got), "x") != "" {
		t.Fatal("output is damaged", err)
	}
	c.want("a ok", `b "2"`, `c ran "3"`)
	wantBare(t, s)
}

// Records that are in the way of ModeHold, or come in one segment with many commands, are kept and used later.
func TestManyRecordsAtOnce(t *testing.T) {
	clock := newClock()
	s, imaps := startTLSServer(t, Config{}, clock.now)
	var g *gather
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(r net.Conn) net.Conn { g = &gather{Conn: r}; return g })
	g.on = true
	c.send("w WAIT 5\r\n")
	for i := range 100 {
		c.send(fmt.Sprintf("a%d ECHO 1\r\n", i))
		c.send(fmt.Sprintf("b%d RUN 2\r\n", i))
	}
	g.Conn.Write(g.sent)
	c.want("w waits")
	s.quiet(t)
	clock.advance(s, 6*time.Second)
	c.want("timeout")
	for i := range 100 {
		c.want(fmt.Sprintf(`a%d "1"`, i), fmt.Sprintf(`b%d ran "2"`, i))
	}
	wantBare(t, s)
}

// gather keeps what is written, once it is on.
type gather struct {
	net.Conn
	on   bool
	sent []byte
}

func (g *gather) Write(p []byte) (int, error) {
	if !g.on {
		return g.Conn.Write(p)
	}
	g.sent = append(g.sent, p...)
	return len(p), nil
}

// TestWakingAllocatesCiphersOnly compares with crypto/tls's state, which keeps its ciphers.
func TestWakingAllocatesCiphersOnly(t *testing.T) {
	allocs := func(hold bool, cmd string) float64 {
		_, imaps := startTLSServer(t, Config{HoldTLS: hold}, nil)
		c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
		buf := make([]byte, 4)
		return testing.AllocsPerRun(500, func() { roundTrip(t, c.Conn, []byte(cmd), buf) })
	}
	for _, cmd := range []string{"NOOP\r\n", "WORK\r\n"} {
		// For each half the AES block and its GCM; ChaCha20-Poly1305 is one object.
		if held, slept := allocs(true, cmd), allocs(false, cmd); slept > held+4 {
			t.Errorf("%q: %v allocations, and %v without sleep", cmd, slept, held)
		}
	}
}
