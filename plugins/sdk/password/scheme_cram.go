package password

import (
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"errors"
)

// cramLen is the length of a CRAM-MD5 credential: two MD5 states (dovecot src/lib/hmac-cram-md5.c).
//
//	off  len  field
//	  0   16  state after one block of password XOR 0x5c (opad): 4 × uint32 little-endian
//	 16   16  state after one block of password XOR 0x36 (ipad)
const cramLen = 32

func verifyCRAM(a Attempt, data []byte) (bool, error) {
	got, err := cramStates(a.Password)
	return err == nil && equal(got, data), err
}

// cramStates returns the credential of a password.
func cramStates(key []byte) ([]byte, error) {
	if len(key) > md5.BlockSize {
		key = md5Hash.sum(key)
	}
	outer, err := md5State(key, 0x5c)
	if err != nil {
		return nil, err
	}
	inner, err := md5State(key, 0x36)
	if err != nil {
		return nil, err
	}
	return append(outer, inner...), nil
}

// CRAMDigest returns the digest with which a client that knows a stored password answers a CRAM-MD5 challenge (RFC 2195 §2): 16 bytes.
// The password must be stored as CRAM-MD5 or as itself. The error is a *SchemeError.
func CRAMDigest(stored, defaultScheme string, challenge []byte) ([]byte, error) {
	name, data, err := decode(stored, defaultScheme)
	if err != nil {
		return nil, err
	}
	switch name {
	case "CRAM-MD5", "HMAC-MD5":
	case "PLAIN", "CLEAR", "CLEARTEXT":
		data, err = cramStates(data)
	default:
		err = errors.New("the mechanism needs the password itself, or its CRAM-MD5 key")
	}
	var inner, outer []byte
	if err == nil {
		inner, err = md5Continue(data[16:], challenge)
	}
	if err == nil {
		outer, err = md5Continue(data[:16], inner)
	}
	if err != nil {
		return nil, &SchemeError{name, err.Error()}
	}
	return outer, nil
}

// md5Continue returns the MD5 of one block whose chaining state is given, followed by text.
func md5Continue(state, text []byte) ([]byte, error) {
	h := md5.New()
	h.Write(make([]byte, md5.BlockSize))
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, errNoState
	}
	b, err := m.MarshalBinary()
	if err != nil || len(b) < 20 {
		return nil, errNoState
	}
	for i := range 4 {
		binary.BigEndian.PutUint32(b[4+4*i:], binary.LittleEndian.Uint32(state[4*i:]))
	}
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, errNoState
	}
	if err := u.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	h.Write(text)
	return h.Sum(nil), nil
}

var errNoState = errors.New("the state of MD5 is not accessible")

// md5State returns the chaining state of MD5 after one block of key XOR pad.
func md5State(key []byte, pad byte) ([]byte, error) {
	block := make([]byte, md5.BlockSize)
	copy(block, key)
	for i := range block {
		block[i] ^= pad
	}
	h := md5.New()
	h.Write(block)
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, errNoState
	}
	b, err := m.MarshalBinary() // 4 bytes magic, 4 × uint32 big-endian, …
	if err != nil {
		return nil, err
	}
	if len(b) < 20 {
		return nil, errors.New("the state of MD5 has an unknown form")
	}
	state := make([]byte, 0, 16)
	for i := range 4 {
		state = binary.LittleEndian.AppendUint32(state, binary.BigEndian.Uint32(b[4+4*i:]))
	}
	return state, nil
}
