package tls13

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"
	"testing"
)

var allSuites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}

// pair returns both ends of a connection, asleep, and the client's first secret.
func pair(t testing.TB, number uint16) (server, client *State, secret []byte) {
	t.Helper()
	n := suiteOf(number).hashSize
	c, s := make([]byte, n), make([]byte, n)
	rand.Read(c)
	rand.Read(s)
	server, client = new(State), new(State)
	if err := server.Start(number, c, s, 0); err != nil {
		t.Fatal(err)
	}
	if err := client.Start(number, s, c, 0); err != nil {
		t.Fatal(err)
	}
	return server, client, c
}

// reference is a sender that was written from RFC 8446 without the code that is tested: it seals
// whatever it is told to.
type reference struct {
	number uint16
	secret []byte
	seq    uint64
}

// label is HKDF-Expand-Label with one or two blocks of HMAC (RFC 5869 §2.3).
func (r *reference) label(name string, n int) []byte {
	h := func() hash.Hash { return sha256.New() }
	if r.number == tls.TLS_AES_256_GCM_SHA384 {
		h = func() hash.Hash { return sha512.New384() }
	}
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(6+len(name)))
	info = append(info, "tls13 "+name+"\x00"...)
	var out, block []byte
	for i := byte(1); len(out) < n; i++ {
		m := hmac.New(h, r.secret)
		m.Write(block)
		m.Write(info)
		m.Write([]byte{i})
		block = m.Sum(nil)
		out = append(out, block...)
	}
	return out[:n]
}

func (r *reference) aead() cipher.AEAD {
	n := 32
	if r.number == tls.TLS_AES_128_GCM_SHA256 {
		n = 16
	}
	a, err := suiteOf(r.number).aead(r.label("key", n))
	if err != nil {
		panic(err)
	}
	return a
}

// record appends a record with this TLSInnerPlaintext and these first bytes of its header.
func (r *reference) record(dst, inner []byte, outer contentType, version uint16) []byte {
	n := len(inner) + tagSize
	head := []byte{byte(outer), byte(version >> 8), byte(version), byte(n >> 8), byte(n)}
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[4:], r.seq)
	for i, b := range r.label("iv", 12) {
		nonce[i] ^= b
	}
	r.seq++
	return append(append(dst, head...), r.aead().Seal(nil, nonce, inner, head)...)
}

// seal appends a record of content of a type, and so many bytes of padding.
func (r *reference) seal(dst []byte, t contentType, content []byte, padding int) []byte {
	inner := append(append([]byte(nil), content...), byte(t))
	return r.record(dst, append(inner, make([]byte, padding)...), typeApplicationData, 0x0303)
}

// update appends a KeyUpdate in pieces of the given sizes, and changes the key.
func (r *reference) update(dst []byte, request byte, pieces ...int) []byte {
	message := []byte{24, 0, 0, 1, request}
	for _, n := range pieces {
		dst = r.seal(dst, typeHandshake, message[:n], 0)
		message = message[n:]
	}
	dst = r.seal(dst, typeHandshake, message, 0)
	r.roll()
	return dst
}

func (r *reference) roll() {
	r.secret = r.label("traffic upd", len(r.secret))
	r.seq = 0
}

// openAll opens wire and returns the data, with the error that ended it, if any, and what is left of wire.
func openAll(l *Layer, wire []byte) (data, rest []byte, err error) {
	wire = append([]byte(nil), wire...)
	for {
		d, used, err := l.Open(wire)
		data = append(data, d...)
		wire = wire[used:]
		if err != nil || used == 0 {
			return data, wire, err
		}
	}
}
