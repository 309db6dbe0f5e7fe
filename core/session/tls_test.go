package session

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// selfSigned makes a certificate for "localhost".
func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// startTLSServer starts a server with a second, implicit TLS listener at imaps.
func startTLSServer(t testing.TB, cfg Config, clock func() time.Time) (s *server, imaps string) {
	t.Helper()
	s = startServer(t, cfg, clock)
	s.SetTLS(&tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, MinVersion: tls.VersionTLS12})
	return s, listen(t, s.Engine, Listener{Addr: "test TLS", ImplicitTLS: true})
}

func clientTLS(version uint16) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}
}

// dribble is a connection that writes in pieces of random sizes and reads as it likes.
type dribble struct {
	net.Conn
	rnd *mrand.Rand
}

func (d dribble) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := min(len(p)-done, 1+d.rnd.IntN(1<<d.rnd.IntN(16)))
		m, err := d.Conn.Write(p[done : done+n])
		done += m
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// forEachTLS runs a test for both versions, and TLS 1.3 with crypto/tls's state too, with a handshake at the start and by STARTTLS.
func forEachTLS(t *testing.T, cfg Config, test func(t *testing.T, s *server, c *client)) {
	for _, mode := range []struct {
		version uint16
		hold    bool
	}{{tls.VersionTLS12, false}, {tls.VersionTLS13, false}, {tls.VersionTLS13, true}} {
		for _, implicit := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/hold=%v/implicit=%v", tls.VersionName(mode.version), mode.hold, implicit), func(t *testing.T) {
				cfg.HoldTLS = mode.hold
				s, imaps := startTLSServer(t, cfg, nil)
				seed := mrand.Uint64()
				t.Logf("seed %d", seed)
				addr := s.addr
				if implicit {
					addr = imaps
				}
				raw, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				if !implicit {
					c := newClient(t, raw)
					c.want("hello")
					c.send("a TLS\r\nb ECHO injected\r\n")
					c.want("a ok")
				}
				conn := tls.Client(dribble{raw, mrand.New(mrand.NewPCG(seed, 1))}, clientTLS(mode.version))
				c := newClient(t, conn)
				if err := conn.Handshake(); err != nil {
					t.Fatal(err)
				}
				if implicit {
					c.want("hello")
				}
				c.send("x LOGIN\r\n")
				c.want("x ok")
				held := mode.hold || mode.version == tls.VersionTLS12
				if st := s.Stats(); st.TLS != 1 || (st.TLSHeld == 1) != held || (st.TLSRecords == 1) == held {
					t.Errorf("TLS is in the wrong place: %+v", st)
				}
				test(t, s, c)
			})
		}
	}
}

func TestTLSConversation(t *testing.T) {
	forEachTLS(t, Config{}, func(t *testing.T, s *server, c *client) {
		c.send("a ECHO 1\r\nb RUN 2\r\nc TLS\r\n")
		c.want(`a "1"`, `b ran "2"`, "c no")
		if st := s.Stats(); st.TLS != 1 || st.Handshakes != 0 || st.Waiting != 0 {
			t.Errorf("stats %+v", st)
		}
		c.send("d BOX 5\r\n")
		c.want("d ok")
		s.SignalMailbox(5)
		c.want("event 5")
		c.send("e BYE\r\n")
		c.want("e bye")
		c.wantEnd() // crypto/tls returns io.EOF only after close_notify
		eventually(t, "the session ends", func() bool { st := s.Stats(); return st.Sessions == 0 && st.TLS == 0 && st.Extras == 0 })
	})
}

func TestTLSTransfers(t *testing.T) {
	cfg := Config{MaxLiteral: 4 << 20, MaxCommand: 5 << 20, Workers: 1}
	forEachTLS(t, cfg, func(t *testing.T, s *server, c *client) {
		for i := range 8 {
			body := make([]byte, mrand.IntN(1<<(12+i)))
			rand.Read(body)
			cmd := append(fmt.Appendf(nil, "s%d SUM {%d+}\r\n", i, len(body)), body...)
			cmd = append(cmd, "\r\n"...)
			c.send(string(cmd))
			c.want(fmt.Sprintf("s%d %d %08x", i, len(cmd), crc32.ChecksumIEEE(cmd)))
		}
		const n = 8 << 20
		c.send(fmt.Sprintf("a SPEW %d\r\nb ECHO x\r\n", n))
		got := make([]byte, n)
		if _, err := io.ReadFull(c.r, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, bytes.Repeat([]byte("0123456789abcdef"), n/16)) {
			t.Fatal("output is damaged")
		}
		c.want(`a ran "8388608"`, `b "x"`)
	})
}

func TestRecordInPieces(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	raw, err := net.Dial("tcp", imaps)
	if err != nil {
		t.Fatal(err)
	}
	piece := &oneByte{Conn: raw}
	conn := tls.Client(piece, clientTLS(tls.VersionTLS13))
	c := newClient(t, conn)
	c.want("hello")
	piece.slow = true
	for i := range 5 {
		c.send(fmt.Sprintf("a%d ECHO 1\r\n", i))
		c.want(fmt.Sprintf(`a%d "1"`, i))
	}
	eventually(t, "no worker is held", func() bool { st := s.Stats(); return st.Running+st.Waiting == 0 })
}

// oneByte writes every byte on its own, once slow is set.
type oneByte struct {
	net.Conn
	slow bool
}

func (o *oneByte) Write(p []byte) (int, error) {
	if !o.slow {
		return o.Conn.Write(p)
	}
	for i := range p {
		if _, err := o.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestBadHandshakes(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	for i, hello := range []string{"a NOOP\r\n", "\x16\x03\x01\x00\x05hello", "\x16\x03\x01\xff\xff" + string(make([]byte, 1000))} {
		raw, err := net.Dial("tcp", imaps)
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, raw)
		c.send(hello)
		io.Copy(io.Discard, c.r) // an alert, then the end
		eventually(t, "the failure is counted", func() bool { return s.Stats().HandshakesFailed == uint64(i+1) })
	}
	if n := s.toy.greeted.Load(); n != 0 {
		t.Errorf("%d sessions were greeted without TLS", n)
	}
}

func TestDamagedRecordEndsTheSessionOnly(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	raw, err := net.Dial("tcp", imaps)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, tls.Client(raw, clientTLS(tls.VersionTLS13)))
	c.want("hello")
	raw.Write([]byte("\x17\x03\x03\x00\x20" + string(make([]byte, 32))))
	if _, err := c.r.ReadString('\n'); err == nil || !strings.Contains(err.Error(), "bad record MAC") {
		t.Errorf("the answer to a damaged record is %v, not an alert", err)
	}
	eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	other := newClient(t, mustDialTLS(t, imaps))
	other.want("hello")
}

func mustDialTLS(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", addr, clientTLS(tls.VersionTLS13))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHandshakesAreBoundedInNumberAndTime(t *testing.T) {
	clock := newClock()
	s, imaps := startTLSServer(t, Config{MaxHandshakes: 2, HandshakeTimeout: 10 * time.Second}, clock.now)
	begin := func() *client {
		raw, err := net.Dial("tcp", imaps)
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, raw)
		c.send("\x16") // the first byte of a handshake, and no more
		return c
	}
	for range 5 {
		begin()
	}
	silent, err := net.Dial("tcp", imaps) // sends nothing
	if err != nil {
		t.Fatal(err)
	}
	newClient(t, silent)
	eventually(t, "two of six shake hands", func() bool { st := s.Stats(); return st.Sessions == 6 && st.Waiting == 2 && st.Handshakes == 2 })
	done := make(chan error, 1)
	go func() { // waits for its turn
		raw, err := net.Dial("tcp", imaps)
		if err == nil {
			defer raw.Close()
			err = tls.Client(raw, clientTLS(tls.VersionTLS13)).Handshake()
		}
		done <- err
	}()
	eventually(t, "seven sessions", func() bool { return s.Stats().Sessions == 7 })
	clock.advance(s, 5*time.Second)
	if st := s.Stats(); st.Handshakes != 2 || st.Sessions != 7 {
		t.Errorf("stats %+v", st)
	}
	clock.advance(s, 6*time.Second)
	eventually(t, "they are dropped", func() bool {
		clock.advance(s, time.Second) // one that was just on its way looks at its deadline a second later
		st := s.Stats()
		return st.Handshakes == 0 && st.Sessions == 0
	})
	<-done // with an error, since it waited as long as the others
	mustDialTLS(t, imaps).Close()
}

func TestQueuedHandshakeHasItsTurn(t *testing.T) {
	s, imaps := startTLSServer(t, Config{MaxHandshakes: 1}, nil)
	raw, err := net.Dial("tcp", imaps)
	if err != nil {
		t.Fatal(err)
	}
	first := newClient(t, raw)
	first.send("\x16")
	eventually(t, "the first shakes hands", func() bool { return s.Stats().Handshakes == 1 })
	done := make(chan error)
	const queued = 10
	for range queued {
		go func() {
			c, err := tls.Dial("tcp", imaps, clientTLS(tls.VersionTLS13))
			if err == nil {
				c.Close()
			}
			done <- err
		}()
	}
	eventually(t, "all are there", func() bool { return s.Stats().Sessions == queued+1 })
	first.Close()
	for range queued {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestDrainDuringHandshake(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	for _, hello := range []string{"", "\x16"} {
		raw, err := net.Dial("tcp", imaps)
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, raw)
		c.send(hello)
	}
	eventually(t, "both are there", func() bool { st := s.Stats(); return st.Sessions == 2 && st.Handshakes == 1 })
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// A worker that has used up the input it was handed, and then reads more, must
// leave nothing of the first behind: it would be taken for the next command.
func TestUsedInputIsNotRunAgain(t *testing.T) {
	forEachTLS(t, Config{}, func(t *testing.T, s *server, c *client) {
		c.send("h HOLD\r\na RUN 1\r\n")
		<-s.toy.started
		c.send("b ECHO 2\r\n")
		s.toy.release <- struct{}{}
		c.want(`h ran ""`, `a ran "1"`, `b "2"`)
		s.quiet(t)
		c.send("c ECHO 3\r\n")
		c.want(`c "3"`)
		c.send("d BYE\r\n")
		c.want("d bye")
		c.wantEnd()
	})
}
