package herd

import (
	"crypto/tls"
	"fmt"
)

// protect makes a TLS session of the given version ("1.2", "1.3"); "none" or "" leaves it in plaintext. The certificate is not checked.
func (s *session) protect(version string) error {
	config := &tls.Config{InsecureSkipVerify: true}
	switch version {
	case "none", "":
		return nil
	case "1.2":
		config.MaxVersion = tls.VersionTLS12
	case "1.3":
		config.MinVersion = tls.VersionTLS13
	default:
		return fmt.Errorf("no TLS version %q: none, 1.2, 1.3, several as none+1.3, or mix", version)
	}
	s.tls = tls.Client(&s.stream, config)
	if err := s.tls.Handshake(); err != nil {
		return fmt.Errorf("TLS %s: %w", version, err)
	}
	return nil
}
