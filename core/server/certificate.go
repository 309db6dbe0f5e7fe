package server

import (
	"crypto/tls"
	"fmt"

	"github.com/roostmail/roost/core/config"
)

// loadTLS returns the configuration of handshakes with the certificate as it is now. Each has one certificate, and tickets of its own: a
// session that is resumed has had the same one (session.SetTLS).
func loadTLS(c config.TLS) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("server: [tls] cert and key: %w", err)
	}
	return &tls.Config{MinVersion: c.MinVersion, Certificates: []tls.Certificate{pair}}, nil
}
