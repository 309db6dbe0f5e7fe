package tls13

import "crypto/cipher"

// Sizes of records, RFC 8446 §5.1 and §5.2.
const (
	HeaderSize    = 5
	MaxPlaintext  = 1 << 14                    // bytes of data in a record
	maxCiphertext = MaxPlaintext + 256         // bytes behind the header
	tagSize       = 16                         // of all suites
	MaxRecord     = HeaderSize + maxCiphertext // bytes of a record that may be received
	overhead      = HeaderSize + 1 + tagSize   // bytes that sealing adds to a record's data
)

// contentType is ContentType, RFC 8446 §5.1.
type contentType uint8

const (
	typeAlert           contentType = 21
	typeHandshake       contentType = 22
	typeApplicationData contentType = 23
)

// maxRecordsPerKey is after how many records this side updates its key. RFC 8446 §5.5 allows 2^24.5 for AES-GCM; ChaCha20-Poly1305
// has no such limit and is treated alike.
const maxRecordsPerKey = 1 << 24

// maxIdle is how many records in a row may bring no data: empty ones, KeyUpdates and parts of them, and user_canceled.
const maxIdle = 32

// Layer is a State at work. Its zero value has none. It must not be copied once it has opened or sealed something. Throwing it
// away, or setting State to another, is how a connection goes to sleep.
type Layer struct {
	State *State

	opener, sealer cipher.AEAD // nil: not made yet
	nonce          [12]byte    // here, so that it is not allocated for each record
}

// Attach makes l the layer of s, without ciphers; nil = of none.
func (l *Layer) Attach(s *State) { l.State, l.opener, l.sealer = s, nil, nil }

// cipher returns the AEAD of a half, which is kept in *kept.
func (h *half) cipher(kept *cipher.AEAD) (cipher.AEAD, error) {
	if *kept == nil {
		c := h.parts()
		if c == nil { // the State was not started
			return nil, errSuite
		}
		aead, err := c.aead(h.key[:c.keySize])
		if err != nil {
			return nil, err
		}
		*kept = aead
	}
	return *kept, nil
}
