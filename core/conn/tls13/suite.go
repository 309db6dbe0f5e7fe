package tls13

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is what a cipher suite of TLS 1.3 (RFC 8446 §B.4) consists of.
type suite struct {
	hashSize, keySize int // bytes
	expand            func(secret []byte, info string, n int) ([]byte, error)
	aead              func(key []byte) (cipher.AEAD, error)
}

// suites are the suites that crypto/tls knows, by the low byte of their numbers.
var suites = [...]suite{
	uint8(tls.TLS_AES_128_GCM_SHA256 & 0xff):       {sha256.Size, 16, expandSHA256, newGCM},
	uint8(tls.TLS_AES_256_GCM_SHA384 & 0xff):       {sha512.Size384, 32, expandSHA384, newGCM},
	uint8(tls.TLS_CHACHA20_POLY1305_SHA256 & 0xff): {sha256.Size, 32, expandSHA256, chacha20poly1305.New},
}

// suiteOf returns the suite with a number of the registry, or nil.
func suiteOf(number uint16) *suite {
	if number>>8 != suiteHigh || int(number&0xff) >= len(suites) || suites[number&0xff].aead == nil {
		return nil
	}
	return &suites[number&0xff]
}

// suiteHigh is the high byte of the numbers of all suites.
const suiteHigh = tls.TLS_AES_128_GCM_SHA256 >> 8

func expandSHA256(secret []byte, info string, n int) ([]byte, error) {
	return hkdf.Expand(sha256.New, secret, info, n)
}

func expandSHA384(secret []byte, info string, n int) ([]byte, error) {
	return hkdf.Expand(sha512.New384, secret, info, n)
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// expandLabel fills out with HKDF-Expand-Label(secret, label, "", len(out)), RFC 8446 §7.1.
func (s *suite) expandLabel(out, secret []byte, label string) error {
	const prefix = "tls13 "
	info := make([]byte, 0, 32)
	info = append(info, byte(len(out)>>8), byte(len(out)), byte(len(prefix)+len(label)))
	info = append(info, prefix...)
	info = append(info, label...)
	info = append(info, 0) // the context is empty
	b, err := s.expand(secret, string(info), len(out))
	if err != nil {
		return fmt.Errorf("tls13: deriving a key: %w", err)
	}
	copy(out, b)
	clear(b)
	return nil
}
