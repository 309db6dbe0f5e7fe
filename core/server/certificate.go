package server

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// certificate is a key pair that can be exchanged while it is in use.
type certificate struct {
	pair atomic.Pointer[tls.Certificate]
}

// load reads the files and takes them over if they fit together.
func (c *certificate) load(certFile, keyFile string) error {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("server: [tls] cert and key: %w", err)
	}
	c.pair.Store(&pair)
	return nil
}

// config returns the configuration of handshakes; each uses the pair of its moment.
func (c *certificate) config(minVersion uint16) *tls.Config {
	return &tls.Config{
		MinVersion:     minVersion,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}
