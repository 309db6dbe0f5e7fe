package tls13

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"unsafe"
)

// StateSize is the size of a State in bytes.
const StateSize = 208

// State is a connection of TLS 1.3 after its handshake. It holds no pointers, and may lie in memory that the garbage collector
// does not see. It has one owner at a time.
//
// The keys could be derived from the secrets, which KeyUpdate needs, again at each waking. To keep them is worth their 88 bytes:
// BenchmarkWake.
type State struct {
	in, out half
}

// half is one direction, 104 bytes. The last three bytes mean something in one of them only.
type half struct {
	seq      uint64   // of the next record
	secret   [48]byte // application_traffic_secret_N, 32 or 48 bytes
	key      [32]byte // 16 or 32 bytes
	iv       [12]byte
	suite    uint8 // low byte of its number
	flags    flags
	idle     uint8 // in: records in a row that brought no data
	fragment uint8 // in: bytes of a KeyUpdate message whose rest is to come in the next record, 0 to 4
}

// The build fails when the size changes.
var _ [StateSize]byte = [unsafe.Sizeof(State{})]byte{}

type flags uint8

const (
	flagEnded  flags = 1 << iota // in: close_notify was received; out: an alert was sent, or sealing has failed
	flagBroken                   // in: an error alert was received, or something was refused
	flagOwed                     // out: the answer to a KeyUpdate
)

// errSuite: crypto/tls has agreed on something that is not known here.
var errSuite = errors.New("tls13: unknown cipher suite")

// Start makes s the state at the end of a handshake. suite is the number of the cipher suite; in and out are the
// application_traffic_secret_0 of the peer and of this side. written is how many records this side has sealed with it already.
//
// It fails, and leaves s zero, if the suite or the length of a secret is not known, or the system's policy forbids the cipher.
func (s *State) Start(suite uint16, in, out []byte, written uint64) error {
	s.Wipe()
	c := suiteOf(suite)
	if c == nil {
		return fmt.Errorf("%w %#04x", errSuite, suite)
	}
	if len(in) != c.hashSize || len(out) != c.hashSize {
		return fmt.Errorf("tls13: secrets of %d and %d bytes for cipher suite %#04x", len(in), len(out), suite)
	}
	err := s.in.start(c, suite, in)
	if err == nil {
		err = s.out.start(c, suite, out)
	}
	if err != nil {
		s.Wipe()
		return err
	}
	s.out.seq = written
	return nil
}

// start sets the first secret.
func (h *half) start(c *suite, number uint16, secret []byte) error {
	h.suite = uint8(number)
	copy(h.secret[:], secret)
	if err := h.derive(c); err != nil {
		return err
	}
	_, err := c.aead(h.key[:c.keySize])
	return err
}

// Suite returns the number of the cipher suite, or 0 if there is no connection.
func (s *State) Suite() uint16 {
	if s.in.suite == 0 {
		return 0
	}
	return suiteHigh<<8 | uint16(s.in.suite)
}

// Wipe overwrites everything.
func (s *State) Wipe() { *s = State{} }

// parts returns the suite, or nil if there is none.
func (h *half) parts() *suite { return suiteOf(suiteHigh<<8 | uint16(h.suite)) }

// derive makes the key and the IV of the secret, RFC 8446 §7.3.
func (h *half) derive(c *suite) error {
	if err := c.expandLabel(h.key[:c.keySize], h.secret[:c.hashSize], "key"); err != nil {
		return err
	}
	return c.expandLabel(h.iv[:], h.secret[:c.hashSize], "iv")
}

// update replaces the secret and its key by the next generation, RFC 8446 §7.2. The first record under it has number 0 (§5.3).
func (h *half) update() error {
	c := h.parts()
	if c == nil {
		return errSuite
	}
	secret := h.secret[:c.hashSize]
	if err := c.expandLabel(secret, secret, "traffic upd"); err != nil {
		return err
	}
	h.seq = 0
	return h.derive(c)
}

// nonce writes the nonce of the next record to n, RFC 8446 §5.3.
func (h *half) nonce(n *[12]byte) {
	*n = h.iv
	for i := range 8 {
		n[4+i] ^= byte(h.seq >> (56 - 8*i))
	}
}

var errState = errors.New("tls13: a state that is none")

// Check reports whether the state, which another process may have left, is one that Start has made and Layer has used: keys that follow from the secrets.
func (s *State) Check() error {
	c := s.in.parts()
	if c == nil || s.in.suite != s.out.suite || s.in.fragment > 4 {
		return errState
	}
	for _, h := range [...]*half{&s.in, &s.out} {
		want := *h
		want.key = [len(want.key)]byte{} // a short key leaves zeroes
		if err := want.derive(c); err != nil {
			return errState
		}
		same := subtle.ConstantTimeCompare(want.key[:], h.key[:]) & subtle.ConstantTimeCompare(want.iv[:], h.iv[:])
		want = half{}
		if same != 1 {
			return errState
		}
	}
	return nil
}
