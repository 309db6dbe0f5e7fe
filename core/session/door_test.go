package session

import (
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// dialFrom connects from a loopback address, without waiting for the greeting.
func (s *server) dialFrom(t testing.TB, from string) *client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, c)
}

func TestConnectionsOfOneAddress(t *testing.T) {
	s := startServer(t, Config{MaxAddress: 2}, nil)
	a, b := s.dialFrom(t, "127.0.0.1"), s.dialFrom(t, "127.0.0.1")
	a.want("hello")
	b.want("hello")
	a.send("a LOGIN\r\n")
	a.want("a ok")
	c := s.dialFrom(t, "127.0.0.1")
	c.want("full [limits] address_sessions")
	c.wantEnd()
	s.dialFrom(t, "127.0.0.2").want("hello")
	b.Close()
	eventually(t, "there is room again", func() bool { return s.Stats().Sessions == 2 })
	s.dialFrom(t, "127.0.0.1").want("hello")
	if st := s.Stats(); st.RefusedAddress != 1 || st.RefusedSessions != 0 {
		t.Errorf("%+v", st)
	}
}

func TestStrangersOfOneAddress(t *testing.T) {
	s := startServer(t, Config{MaxAddressUnauth: 2}, nil)
	a, b := s.dialFrom(t, "127.0.0.1"), s.dialFrom(t, "127.0.0.1")
	a.want("hello")
	b.want("hello")
	c := s.dialFrom(t, "127.0.0.1")
	c.want("full [limits] unauthenticated_address_sessions")
	c.wantEnd()
	s.dialFrom(t, "127.0.0.2").want("hello")
	a.send("a LOGIN\r\n")
	a.want("a ok")
	s.quiet(t)
	s.dialFrom(t, "127.0.0.1").want("hello")
	if st := s.Stats(); st.RefusedStrangers != 1 || st.Strangers != 3 {
		t.Errorf("%+v", st)
	}
}

func TestOldestStrangerMakesRoom(t *testing.T) {
	s := startServer(t, Config{MaxUnauth: 2, Workers: 1}, nil)
	a := s.dial(t)
	a.send("a LOGIN\r\n")
	a.want("a ok")
	b, c := s.dial(t), s.dial(t)
	s.quiet(t)
	b.send("half a command")
	d := s.dial(t)
	b.want("evicted [limits] unauthenticated_sessions")
	b.wantEnd()
	c.send("c WAIT 100\r\n") // nothing is read from it
	c.want("c waits")
	e := s.dial(t)
	c.want("evicted [limits] unauthenticated_sessions")
	c.wantEnd()
	for _, c := range []*client{d, e, a} {
		c.send("x ECHO 1\r\n")
		c.want(`x "1"`)
	}
	eventually(t, "those that were evicted are gone", func() bool { return s.Stats().Sessions == 3 })
	if st := s.Stats(); st.EvictedStrangers != 2 || st.Strangers != 2 {
		t.Errorf("%+v", st)
	}
}

// TestLoginUnderWayIsNotEvicted: what a client has sent is done before it is decided that it must go.
// TestUnauthenticatedAgain: who has logged out and stays is a stranger as before.
func TestUnauthenticatedAgain(t *testing.T) {
	s := startServer(t, Config{MaxUnauth: 2, MaxAddressUnauth: 3}, nil)
	var all []*client
	for range 4 {
		c := s.dial(t)
		c.send("a LOGIN\r\n")
		c.want("a ok")
		s.quiet(t)
		all = append(all, c)
	}
	for i, c := range all[:3] {
		c.send("b UNLOGIN\r\n")
		c.want("b ok")
		s.quiet(t)
		if n := s.Stats().Strangers; n != min(i+1, 2) {
			t.Errorf("%d strangers after %d", n, i+1)
		}
	}
	all[0].want("evicted [limits] unauthenticated_sessions")
	all[0].wantEnd()
	all[1].send("c LOGIN\r\n")
	all[1].want("c ok")
	eventually(t, "one is a stranger", func() bool { st := s.Stats(); return st.Strangers == 1 && st.Sessions == 3 })
	for _, c := range all[1:] {
		c.Close()
	}
	eventually(t, "nobody is left", func() bool { return s.Stats().Sessions == 0 })
	if n := s.door.strangers.Len(); n != 0 {
		t.Errorf("%d addresses with strangers are left", n)
	}
}

func TestLoginUnderWayIsNotEvicted(t *testing.T) {
	s := startServer(t, Config{MaxUnauth: 1}, nil)
	a := s.dial(t)
	a.send("a HOLD\r\na LOGIN\r\n") // a worker is busy with it
	<-s.toy.started
	b := s.dial(t)
	close(s.toy.release)
	a.want(`a ran ""`, "a ok")
	a.send("a ECHO 1\r\n")
	a.want(`a "1"`)
	b.send("b ECHO 1\r\n")
	b.want(`b "1"`)
	if st := s.Stats(); st.EvictedStrangers != 0 {
		t.Errorf("%+v", st)
	}
}

func TestStrangerInItsHandshakeMakesRoom(t *testing.T) {
	s := startServer(t, Config{MaxUnauth: 1}, nil)
	s.SetTLS(&tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
	addr := listen(t, s.Engine, Listener{Addr: "tls", ImplicitTLS: true})
	for _, hello := range []string{"", "\x16\x03\x01\x00\xff"} { // asleep, and on a worker that waits
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, raw)
		c.send(hello)
		eventually(t, "it is there", func() bool { return s.Stats().Strangers == 1 && (hello == "") == (s.Stats().Handshakes == 0) })
		s.dial(t).Close()
		if _, err := io.ReadAll(c); err != nil && !isReset(err) {
			t.Errorf("%v, want the end", err)
		}
		eventually(t, "both are gone", func() bool { return s.Stats().Sessions == 0 })
	}
	if st := s.Stats(); st.EvictedStrangers != 2 {
		t.Errorf("%+v", st)
	}
}

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

func TestAddressKey(t *testing.T) {
	same := [][2]string{{"2001:db8::1", "2001:db8::ffff:1:2:3"}, {"10.0.0.1", "::ffff:10.0.0.1"}}
	for _, p := range same {
		if AddressKey(netip.MustParseAddr(p[0])) != AddressKey(netip.MustParseAddr(p[1])) {
			t.Errorf("%s and %s count as two", p[0], p[1])
		}
	}
	seen := map[uint64]string{}
	for _, a := range []string{"2001:db8::1", "2001:db8:0:1::1", "10.0.0.1", "10.0.0.2", "::1", "fe80::1"} {
		k := AddressKey(netip.MustParseAddr(a))
		if seen[k] != "" {
			t.Errorf("%s and %s count as one", a, seen[k])
		}
		seen[k] = a
	}
}

// TestDoorCountsEverybodyOut: many clients at once come, log in or not, and go.
func TestDoorCountsEverybodyOut(t *testing.T) {
	s := startServer(t, Config{MaxUnauth: 5, MaxAddress: 20, MaxAddressUnauth: 10, MaxSessions: 30}, nil)
	var wg sync.WaitGroup
	for range 16 {
		wg.Add(1)
		go func() { // ends after its rounds, which the test waits for
			defer wg.Done()
			for range 60 {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+rand.N(3)))}}
				c, err := d.Dial("tcp", s.addr)
				if err != nil {
					continue
				}
				c.SetDeadline(time.Now().Add(20 * time.Second))
				var b [64]byte
				if _, err := c.Read(b[:]); err == nil {
					io.WriteString(c, []string{"a LOGIN\r\n", "a LOGIN\r\na BOX 1\r\n", "a BOX 2\r\n", "a RUN x\r\n", "half", "", "a LOGIN\r\na ECHO 1\r\n", "a LOGIN 1\r\na RUN x\r\na UNLOGIN\r\n"}[rand.N(8)])
					if rand.N(2) == 0 {
						io.WriteString(c, "b BYE\r\n")
						io.Copy(io.Discard, io.LimitReader(c, int64(rand.N(20))))
					}
				}
				c.Close()
			}
		}()
	}
	wg.Wait()
	eventually(t, "all have left", func() bool { return s.Stats().Sessions == 0 })
	st := s.Stats()
	if st.Strangers != 0 || s.door.addresses.Len() != 0 || s.door.strangers.Len() != 0 {
		t.Errorf("left: %d strangers, %d addresses, %d addresses of strangers", st.Strangers, s.door.addresses.Len(), s.door.strangers.Len())
	}
	if st.Accepted == 0 || st.EvictedStrangers+st.RefusedAddress+st.RefusedStrangers == 0 {
		t.Errorf("nothing was refused: %+v", st)
	}
}
