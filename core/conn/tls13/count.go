package tls13

import (
	"crypto/cipher"
	"errors"
	"fmt"
)

// messageTicket is the type of NewSessionTicket, RFC 8446 §4.
const messageTicket = 4

// Written returns how many records at the end of wire were sealed under a first traffic secret. wire is everything that one
// side has sent until its handshake was done. Only a server's tickets can be (RFC 8446 §4.6.1); anything else is an error, as
// is a wire that does not end with a record.
//
// Which records they are is not guessed: the first is the one that the secret opens with the number 0, and all after it must follow.
func Written(suite uint16, secret, wire []byte) (uint64, error) {
	var s State
	defer s.Wipe()
	if err := s.Start(suite, secret, secret, 0); err != nil {
		return 0, err
	}
	var kept cipher.AEAD
	aead, err := s.in.cipher(&kept)
	if err != nil {
		return 0, err
	}
	var nonce [12]byte
	var scratch []byte
	for len(wire) > 0 {
		record, err := nextRecord(wire)
		if err != nil {
			return 0, err
		}
		wire = wire[len(record):]
		s.in.nonce(&nonce)
		inner, err := aead.Open(scratch[:0], nonce[:], record[HeaderSize:], record[:HeaderSize])
		switch {
		case err == nil:
			if t, content := unpad(inner); t != typeHandshake || len(content) == 0 || content[0] != messageTicket {
				return 0, errors.New("tls13: something else than a ticket after the handshake")
			}
			s.in.seq++
			scratch = inner
		case s.in.seq > 0:
			return 0, errors.New("tls13: a record of the handshake after its end")
		}
	}
	return s.in.seq, nil
}

// nextRecord returns the first record of a handshake in wire, of any type.
func nextRecord(wire []byte) ([]byte, error) {
	if len(wire) >= HeaderSize {
		if n := HeaderSize + (int(wire[3])<<8 | int(wire[4])); n <= len(wire) {
			return wire[:n], nil
		}
	}
	return nil, fmt.Errorf("tls13: part of a record, %d bytes, at the end of the handshake", len(wire))
}
