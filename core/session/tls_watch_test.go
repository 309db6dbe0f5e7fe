package session

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/roostmail/roost/core/conn/tls13"
)

// Handshakes of all shapes leave the numbers of the records right: with a second ClientHello (HelloRetryRequest), with client certificates, after
// which the tickets come later, and with none.
func TestTakesOverAfterAnyHandshake(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	cert := selfSigned(t)
	for name, cfg := range map[string]*tls.Config{
		"retry":        {CurvePreferences: []tls.CurveID{tls.CurveP521}},
		"certificates": {ClientAuth: tls.RequireAnyClientCert},
		"both":         {CurvePreferences: []tls.CurveID{tls.CurveP521}, ClientAuth: tls.RequireAnyClientCert},
		"no tickets":   {SessionTicketsDisabled: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Certificates = []tls.Certificate{cert}
			s.SetTLS(cfg)
			for _, cache := range []tls.ClientSessionCache{nil, tls.NewLRUClientSessionCache(1)} {
				client := clientTLS(tls.VersionTLS13)
				client.Certificates, client.ClientSessionCache, client.ServerName = []tls.Certificate{cert}, cache, "localhost"
				for range 2 {
					c, _ := dialRecords(t, imaps, client, nil)
					wantBare(t, s)
					c.send("a ECHO 1\r\nb BYE\r\n")
					c.want(`a "1"`, "b bye")
					c.wantEnd()
					eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
				}
			}
		})
	}
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
	s.tls.Store(newTLSSetup(&tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})) // not watched: no secret is told
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

// afterHello is a gather that is on from the second write: the end of the handshake goes out with what follows.
type afterHello struct {
	gather
	begun bool
}

func (a *afterHello) Write(p []byte) (int, error) {
	a.on, a.begun = a.begun, true
	return a.gather.Write(p)
}

func TestCommandsInOnePacketWithTheHandshake(t *testing.T) {
	s, imaps := startTLSServer(t, Config{}, nil)
	raw, err := net.Dial("tcp", imaps)
	if err != nil {
		t.Fatal(err)
	}
	a := &afterHello{gather: gather{Conn: raw}}
	conn := tls.Client(a, clientTLS(tls.VersionTLS13))
	c := newClient(t, conn)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.send("a ECHO 1\r\n")
	c.send("b RUN 2\r\n")
	if len(a.sent) == 0 {
		t.Fatal("the handshake ended before")
	}
	if _, err := raw.Write(a.sent); err != nil {
		t.Fatal(err)
	}
	c.want("hello", `a "1"`, `b ran "2"`)
	wantBare(t, s)
}
