package session

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"

	_ "crypto/sha256"
	_ "crypto/sha512"
)

// Channel is what authentication wants to know of a session's TLS handshake. crypto/tls can not be asked for it later, since its state is given
// up (takeOver): it is taken at the end of the handshake, where the settings want it, and kept until ForgetChannel.
type Channel struct {
	// Exporter is the channel binding tls-exporter (RFC 9266), 32 bytes; nil: the connection has none, TLS 1.2 without extended master secret.
	Exporter []byte
	// EndPoint is the channel binding tls-server-end-point (RFC 5929 §4); nil: it is not defined for the server's certificate.
	EndPoint []byte
	// Client is the name in the client's certificate, which was verified, as Config.ClientName has read it; "" = none.
	Client string
}

// tlsSetup is the configuration of handshakes with what is known of it. It has one certificate for all of its handshakes, and tickets of its own:
// endPoint is right for a resumed connection too, in which no certificate is sent.
type tlsSetup struct {
	*tls.Config
	endPoint []byte
}

func newTLSSetup(cfg *tls.Config) *tlsSetup {
	t := &tlsSetup{Config: cfg}
	if len(cfg.Certificates) == 1 && cfg.GetCertificate == nil {
		t.endPoint = endPoint(cfg.Certificates[0].Certificate[0])
	}
	return t
}

// endPoint returns the channel binding tls-server-end-point of a certificate, its hash; nil if it has none.
func endPoint(der []byte) []byte {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	hash := endPointHash(cert.SignatureAlgorithm)
	if hash == 0 {
		return nil
	}
	h := hash.New()
	h.Write(der)
	return h.Sum(nil)
}

// endPointHash returns the hash function of a certificate's signature, but SHA-256 for MD5 and SHA-1; 0 if it has none (RFC 5929 §4.1).
func endPointHash(a x509.SignatureAlgorithm) crypto.Hash {
	switch a {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		return crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return crypto.SHA512
	}
	return 0
}

// keepChannel takes from a handshake what Config wants of it.
func (s *Session) keepChannel(state *tls.ConnectionState, setup *tlsSetup) {
	var c Channel
	if s.e.cfg.ChannelBinding {
		// The error is that of a connection which has none. The context is empty, not absent (RFC 9266 §2), which differs in TLS 1.2.
		c.Exporter, _ = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
		c.EndPoint = setup.endPoint
	}
	if s.e.cfg.ClientName != nil && len(state.VerifiedChains) > 0 {
		c.Client = s.e.cfg.ClientName(state.PeerCertificates[0])
	}
	if c.known() {
		s.extra().channel = &c
	}
}

func (c *Channel) known() bool { return c.Exporter != nil || c.EndPoint != nil || c.Client != "" }

// Channel returns what is known of the session's TLS handshake; zero if the settings want nothing of it, or after ForgetChannel.
func (s *Session) Channel() Channel {
	if s.x == nil || s.x.channel == nil {
		return Channel{}
	}
	return *s.x.channel
}

// ForgetChannel gives up what Channel returns.
func (s *Session) ForgetChannel() {
	if s.x != nil {
		s.x.channel = nil
	}
}
