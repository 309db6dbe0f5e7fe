package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/roostmail/roost/core/config"
)

// loadTLS returns the configuration of handshakes with the certificates as they are now. Each has one certificate, and tickets of its own: a
// session that is resumed has had the same one (session.SetTLS), and its client's was verified by the same authorities.
func loadTLS(c config.TLS) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("server: [tls] cert and key: %w", err)
	}
	t := &tls.Config{MinVersion: c.MinVersion, Certificates: []tls.Certificate{pair}}
	switch c.ClientCert {
	case config.ClientCertOptional:
		t.ClientAuth = tls.VerifyClientCertIfGiven
	case config.ClientCertRequired:
		t.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return t, nil
	}
	pem, err := os.ReadFile(c.ClientCA)
	if err == nil {
		if t.ClientCAs = x509.NewCertPool(); !t.ClientCAs.AppendCertsFromPEM(pem) {
			err = errors.New("there is no certificate in it")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("server: [tls] client_ca: %w", err)
	}
	return t, nil
}

// oidCommonName is id-at-commonName (RFC 5280 Appendix A.1).
var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// clientName returns what reads the name of a user from a certificate; nil if nobody logs in with one.
func clientName(c *config.Config) func(*x509.Certificate) string {
	switch {
	case c.TLS.ClientCert == config.ClientCertNone || !slices.Contains(c.AuthMechanisms, "EXTERNAL"):
		return nil
	case c.TLS.ClientName == config.ClientNameEmail:
		return func(cert *x509.Certificate) string {
			if len(cert.EmailAddresses) != 1 {
				return ""
			}
			return cert.EmailAddresses[0]
		}
	}
	return func(cert *x509.Certificate) string {
		names := 0
		for _, n := range cert.Subject.Names {
			if n.Type.Equal(oidCommonName) {
				names++
			}
		}
		if names != 1 { // with two, it would matter who reads it
			return ""
		}
		return cert.Subject.CommonName
	}
}
