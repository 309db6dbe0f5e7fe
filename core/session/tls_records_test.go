package session

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

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
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
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
		if b |= r.word.release(); b != 0 {
			s.submit(task{slot: 1, gen: gen, b: b})
		}
		return true
	})
}

// Tickets are the engine's, not those of a handshake, and are counted as records that were sent.
func TestResumption(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	cfg := clientTLS(tls.VersionTLS13)
	cfg.ClientSessionCache, cfg.ServerName = tls.NewLRUClientSessionCache(4), "localhost"
	for i := range 3 {
		c, conn := dialRecords(t, imaps, cfg, nil)
		if resumed := conn.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d resumed: %v", i, resumed)
		}
		wantBare(t, s)
		c.send("a BYE\r\n")
		c.want("a bye")
		c.wantEnd()
		eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	}
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

// cutter sends the first part of what is written, once cut is set, and then the rest in a write of its own.
type cutter struct {
	net.Conn
	cut  int
	rest []byte
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.cut == 0 || c.cut >= len(p) {
		return c.Conn.Write(p)
	}
	c.rest = append([]byte(nil), p[c.cut:]...)
	_, err := c.Conn.Write(p[:c.cut])
	c.cut = 0
	return len(p), err
}

func TestPartOfARecordIsKeptForATime(t *testing.T) {
	clock := newClock()
	s, imaps := startTLSServer(t, Config{SlowClientTimeout: 10 * time.Second}, clock.now)
	var piece *cutter
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(raw net.Conn) net.Conn {
		piece = &cutter{Conn: raw}
		return piece
	})
	for i, cut := range []int{1, 4, 5, 6, 20} {
		wantBare(t, s)
		piece.cut = cut
		c.send(fmt.Sprintf("a%d ECHO 1\r\n", i))
		eventually(t, "the part is kept", func() bool { return s.Stats().Extras == 1 })
		s.quiet(t)
		clock.advance(s, 9*time.Second)
		if st := s.Stats(); st.Sessions != 1 || st.Running+st.Waiting != 0 {
			t.Fatalf("stats %+v", st)
		}
		piece.Conn.Write(piece.rest)
		c.want(fmt.Sprintf(`a%d "1"`, i))
	}
	wantBare(t, s)
	clock.advance(s, 20*time.Second) // does not matter to a session without a part of a record
	piece.cut = 7
	c.send("b ECHO 1\r\n")
	eventually(t, "the part is kept", func() bool { return s.Stats().Extras == 1 })
	s.quiet(t)
	clock.advance(s, 11*time.Second)
	eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	if st := s.Stats(); st.DroppedSlow != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestHangupWithinARecord(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	var piece *cutter
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(raw net.Conn) net.Conn {
		piece = &cutter{Conn: raw}
		return piece
	})
	wantBare(t, s)
	piece.cut = 10
	c.send("a ECHO 1\r\n")
	piece.Conn.(*net.TCPConn).CloseWrite()
	if line, err := c.r.ReadString('\n'); err == nil {
		t.Errorf("an answer to a half-received record: %q", line)
	}
	eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
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

func TestRefusedRecordsEndTheSessionWithAnAlert(t *testing.T) {
	for name, c := range map[string]struct{ wire, alert string }{
		"change_cipher_spec": {"\x14\x03\x03\x00\x01\x01", "unexpected message"},
		"plaintext":          {"a NOOP\r\n", "unexpected message"},
		"too long":           {"\x17\x03\x03\x41\x01", "record overflow"},
		"empty":              {"\x17\x03\x03\x00\x00", "bad record MAC"},
		"not sealed":         {"\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), "bad record MAC"},
	} {
		t.Run(name, func(t *testing.T) {
			s, imaps := startTLSServer(t, Config{}, nil)
			other, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
			var raw net.Conn
			cl, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(r net.Conn) net.Conn { raw = r; return r })
			cl.send("a ECHO 1\r\n")
			cl.want(`a "1"`)
			io.WriteString(raw, c.wire)
			if _, err := cl.r.ReadString('\n'); err == nil || !strings.Contains(err.Error(), c.alert) {
				t.Errorf("the client sees %v, want %s", err, c.alert)
			}
			eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 1 })
			other.send("a ECHO 1\r\n")
			other.want(`a "1"`)
		})
	}
}

// flipper damages a bit of what is written, once bit is set.
type flipper struct {
	net.Conn
	bit int
}

func (f *flipper) Write(p []byte) (int, error) {
	if f.bit > 0 {
		p = append([]byte(nil), p...)
		p[f.bit/8] ^= 1 << (f.bit % 8)
	}
	return f.Conn.Write(p)
}

func TestDamagedCommandIsNotRun(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	for _, bit := range []int{8 * 5, 8*5 + 7, 8 * 12, 8*20 + 3, 8*1 + 1, 8*2 + 1} {
		var f *flipper
		c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), func(r net.Conn) net.Conn { f = &flipper{Conn: r}; return f })
		f.bit = bit
		c.send("a ECHO 1\r\n")
		if line, err := c.r.ReadString('\n'); err == nil || !strings.Contains(err.Error(), "bad record MAC") {
			t.Errorf("bit %d: %q, %v", bit, line, err)
		}
		eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	}
}

func TestBlockedOutputIsSealedOnce(t *testing.T) {
	s, imaps := startTLSServer(t, Config{MaxOutput: 64 << 20}, nil)
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
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

func TestWatchLeavesTheUnexpectedToCryptoTLS(t *testing.T) {
	secret := make([]byte, 32)
	for name, w := range map[string]*watch{
		"long":         {over: true, client: secret, server: secret},
		"no secrets":   {},
		"one secret":   {client: secret},
		"short secret": {client: secret[:3], server: secret},
		"mid-record":   {client: secret, server: secret, headLen: 2},
		"part of out":  {client: secret, server: secret, out: []byte{23, 3, 3}},
		"part of in":   {client: secret, server: secret, in: []byte{23, 3, 3}},
	} {
		var state tls13.State
		if err := w.start(&state, tls.TLS_AES_128_GCM_SHA256); err == nil || state != (tls13.State{}) {
			t.Errorf("%s: taken over", name)
		}
	}
	if err := (&watch{client: secret, server: secret}).start(new(tls13.State), 0x1304); err == nil {
		t.Error("an unknown suite")
	}
	w := new(watch)
	for _, line := range []string{"CLIENT_TRAFFIC_SECRET_0 00 zz\n", "CLIENT_TRAFFIC_SECRET_1 00 11\n", "", "SERVER_TRAFFIC_SECRET_0 \n", "EXPORTER_SECRET 00 11\n"} {
		w.Write([]byte(line))
	}
	if len(w.client)+len(w.server) > 0 {
		t.Errorf("secrets %x %x", w.client, w.server)
	}
	w.Write([]byte("SERVER_TRAFFIC_SECRET_0 00 0aff\n"))
	if string(w.server) != "\x0a\xff" {
		t.Errorf("secret %x", w.server)
	}
	w.keep(&w.in, make([]byte, maxWatched))
	w.keep(&w.in, []byte{1})
	if !w.over || len(w.in) > maxWatched {
		t.Error("a long handshake is kept")
	}
}

// A handshake whose secrets do not come is carried on by crypto/tls.
func TestFallsBackToCryptoTLS(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	s.tls.Store(&tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}) // not watched: no secret is told
	c, _ := dialRecords(t, imaps, clientTLS(tls.VersionTLS13), nil)
	s.quiet(t)
	if st := s.Stats(); st.TLSHeld != 1 || st.TLSRecords != 0 {
		t.Errorf("stats %+v", st)
	}
	c.send("a ECHO 1\r\nb BYE\r\n")
	c.want(`a "1"`, "b bye")
	c.wantEnd()
}

// SetTLS asks the callback of its configuration, and an engine with HoldTLS leaves it as it is.
func TestConfigForClient(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	asked := make(chan string, 1)
	s.SetTLS(&tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		asked <- h.ServerName
		return &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}, nil
	}})
	cfg := clientTLS(tls.VersionTLS13)
	cfg.ServerName = "mail.example"
	dialRecords(t, imaps, cfg, nil)
	if name := <-asked; name != "mail.example" {
		t.Error(name)
	}
	wantBare(t, s)
}

// startVerbose runs a client whose messages on standard error come with the session.
func startVerbose(t *testing.T, args ...string) *pipeClient {
	return startClient(t, "sh", append([]string{"-c", `exec "$@" 2>&1`, "sh"}, args...)...)
}

func TestKeyUpdates(t *testing.T) {
	s, imaps := startTLSServer(t, Config{MaxLiteralUnauth: 1 << 20, MaxCommand: 2 << 20}, nil)
	_, port, err := net.SplitHostPort(imaps)
	if err != nil {
		t.Fatal(err)
	}
	for _, suite := range []struct{ openssl, gnutls string }{
		{"TLS_AES_128_GCM_SHA256", "AES-128-GCM"}, {"TLS_AES_256_GCM_SHA384", "AES-256-GCM"}, {"TLS_CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"},
	} {
		// s_client's k updates its key, K asks the server to do the same.
		for _, args := range [][]string{
			{"openssl", "s_client", "-tls1_3", "-ciphersuites", suite.openssl, "-connect", imaps},
			{"openssl", "s_client", "-tls1_3", "-ciphersuites", suite.openssl, "-no_ticket", "-connect", imaps},
		} {
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				c := startVerbose(t, args...)
				c.until("hello")
				for i, key := range []string{"k", "K", "K", "k", "K"} {
					c.send(fmt.Sprintf("a%d ECHO 1\n", i))
					c.until(fmt.Sprintf(`a%d "1"`, i))
					wantBare(t, s)
					c.send(key + "\n")
					c.until("KEYUPDATE")
				}
				transfer(t, c)
				c.send("e BYE\n")
				c.until("e bye")
				eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
			})
		}
		t.Run("gnutls-cli "+suite.gnutls, func(t *testing.T) {
			c := startVerbose(t, "gnutls-cli", "--insecure", "--inline-commands",
				"--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+"+suite.gnutls, "-p", port, "127.0.0.1")
			c.until("hello")
			for i := range 3 {
				c.send(fmt.Sprintf("a%d ECHO 1\n", i))
				c.until(fmt.Sprintf(`a%d "1"`, i))
				wantBare(t, s)
				c.send("^rekey^\n")
				c.until("- Rekey was completed")
			}
			transfer(t, c)
			c.send("e BYE\n")
			c.until("e bye")
			eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
		})
	}
}

// transfer moves some records each way.
func transfer(t *testing.T, c *pipeClient) {
	t.Helper()
	body := strings.Repeat("line of a literal\n", 5000)
	c.send(fmt.Sprintf("c SUM {%d+}\n%s\n", len(body), body))
	line, err := c.out.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "c 900") {
		t.Fatalf("after a literal: %q, %v", line, err)
	}
	const n = 100 << 10
	c.send(fmt.Sprintf("d SPEW %d\n", n))
	got := make([]byte, n)
	if _, err := io.ReadFull(c.out, got); err != nil {
		t.Fatal(err)
	}
	if string(got[n-16:]) != "0123456789abcdef" {
		t.Fatal("output is damaged")
	}
	c.until(`d ran "102400"`)
}

// The session ends, and is not confused, when openssl says close_notify (Q) while it sleeps.
func TestCloseNotifyOfOpenSSL(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	c := startVerbose(t, "openssl", "s_client", "-tls1_3", "-connect", imaps)
	c.until("hello")
	wantBare(t, s)
	c.send("Q\n")
	c.until("DONE")
	eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	if _, err := io.Copy(io.Discard, bufio.NewReader(c.out)); err != nil {
		t.Error(err)
	}
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
