package passwdfile

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

func verifyCRAM(a attempt, data []byte) (bool, error) {
	key := a.password
	if len(key) > md5.BlockSize {
		key = md5Hash.sum(key)
	}
	outer, err := md5State(key, 0x5c)
	if err != nil {
		return false, err
	}
	inner, err := md5State(key, 0x36)
	if err != nil {
		return false, err
	}
	return equal(append(outer, inner...), data), nil
}

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
		return nil, errors.New("the state of MD5 is not accessible")
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
