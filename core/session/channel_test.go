package session

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
)

// TestChannel: both ends of a connection know the same of it, and it costs nothing when it is forgotten.
func TestChannel(t *testing.T) {
	forEachTLS(t, Config{ChannelBinding: true}, func(t *testing.T, s *server, c *client) {
		state := c.Conn.(*tls.Conn).ConnectionState()
		exporter, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
		if err != nil {
			t.Fatal(err)
		}
		end := endPoint(state.PeerCertificates[0].Raw)
		if len(end) != 32 {
			t.Fatalf("%x", end)
		}
		for range 2 { // it sleeps between
			c.send("a CHANNEL\r\n")
			c.want(fmt.Sprintf(`a %x %x ""`, exporter, end))
		}
		c.send("b FORGET\r\nc CHANNEL\r\n")
		c.want("b ok", `c   ""`)
		s.quiet(t)
		if st := s.Stats(); st.Extras != st.TLSHeld {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestChannelOff: nothing is kept that nobody wants.
func TestChannelOff(t *testing.T) {
	forEachTLS(t, Config{}, func(t *testing.T, s *server, c *client) {
		c.send("a CHANNEL\r\n")
		c.want(`a   ""`)
		s.quiet(t)
		if st := s.Stats(); st.Extras != st.TLSHeld {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestChannelOfResumedSession: no certificate is sent when a session is resumed, but the binding is that of its connection.
func TestChannelOfResumedSession(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		_, imaps := startTLSServer(t, Config{ChannelBinding: true}, nil)
		cfg := clientTLS(version)
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		var ends []string
		for i := range 2 {
			conn, err := tls.Dial("tcp", imaps, cfg)
			if err != nil {
				t.Fatal(err)
			}
			state := conn.ConnectionState()
			if state.DidResume != (i == 1) {
				t.Fatalf("resumed: %v", state.DidResume)
			}
			exporter, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, string(endPoint(state.PeerCertificates[0].Raw)))
			c := newClient(t, conn)
			c.send("a CHANNEL\r\n")
			c.want("hello", fmt.Sprintf(`a %x %x ""`, exporter, ends[0]))
		}
		if ends[0] != ends[1] || ends[0] == "" {
			t.Errorf("%x", ends)
		}
	}
}

// TestEndPointHash: by the signature's own function, but none that is broken (RFC 5929 §4.1).
func TestEndPointHash(t *testing.T) {
	der := selfSigned(t).Certificate[0]
	if endPoint([]byte("x")) != nil {
		t.Error("of what is no certificate")
	}
	for alg, size := range map[x509.SignatureAlgorithm]int{
		x509.SHA1WithRSA: 32, x509.SHA256WithRSAPSS: 32, x509.ECDSAWithSHA384: 48, x509.SHA512WithRSA: 64, x509.PureEd25519: 0, x509.UnknownSignatureAlgorithm: 0,
	} {
		if h := endPointHash(alg); h == 0 && size != 0 || h != 0 && h.Size() != size {
			t.Errorf("%v: %v", alg, h)
		}
	}
	if len(endPoint(der)) != 32 {
		t.Error("ECDSA with SHA-256")
	}
}
