package password

import (
	"errors"
	"strings"
)

// Traditional crypt(3), DES-CRYPT: 13 characters of the alphabet below, the first two the salt.
//
// A block of zeroes is encrypted 25 times with DES (FIPS 46-3), the key being the low
// seven bits of the first eight characters of the password. The twelve bits of the
// salt swap bits of the expansion E: bit i set exchanges outputs i and i+24.
//
// A block is kept as a slice of bits in the numbering of the standard, less one: this is
// read beside the standard, and a login is worth its half millisecond.

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const desCryptLen = 13

func verifyDESCrypt(a Attempt, stored string) (bool, error) {
	if len(stored) != desCryptLen {
		return false, errors.New("data is no crypt(3) hash")
	}
	low, high := strings.IndexByte(cryptAlphabet, stored[0]), strings.IndexByte(cryptAlphabet, stored[1])
	if low < 0 || high < 0 {
		return false, errors.New("data is no crypt(3) hash")
	}
	return equal([]byte(stored[:2]+desCrypt(a.Password, low|high<<6)), []byte(stored)), nil
}

// desCrypt returns the 11 characters after the salt.
func desCrypt(password []byte, salt int) string {
	var key [64]byte
	for i := range min(8, len(password)) {
		for bit := range 7 {
			key[8*i+bit] = password[i] >> (6 - bit) & 1
		}
	}
	expansion := desE
	for i := range 12 {
		if salt>>i&1 == 1 {
			expansion[i], expansion[i+24] = expansion[i+24], expansion[i]
		}
	}
	keys := desKeys(key)
	block := make([]byte, 64)
	for range 25 {
		block = desEncrypt(block, &keys, &expansion)
	}
	// 64 bits and two zeroes, six to a character.
	block = append(block, 0, 0)
	var out [11]byte
	for i := range out {
		var v byte
		for _, bit := range block[6*i:][:6] {
			v = v<<1 | bit
		}
		out[i] = cryptAlphabet[v]
	}
	return string(out[:])
}

// desKeys returns the sixteen round keys.
func desKeys(key [64]byte) (keys [16][]byte) {
	cd := permute(key[:], desPC1[:])
	for round, shift := range desShifts {
		c, d := cd[:28], cd[28:]
		next := make([]byte, 0, 56)
		next = append(append(next, c[shift:]...), c[:shift]...)
		next = append(append(next, d[shift:]...), d[:shift]...)
		cd = next
		keys[round] = permute(cd, desPC2[:])
	}
	return keys
}

func desEncrypt(block []byte, keys *[16][]byte, expansion *[48]byte) []byte {
	block = permute(block, desIP[:])
	left, right := block[:32], block[32:]
	for _, key := range keys {
		mixed := permute(right, expansion[:])
		for i := range mixed {
			mixed[i] ^= key[i]
		}
		f := permute(desSubstitute(mixed), desP[:])
		for i := range f {
			f[i] ^= left[i]
		}
		left, right = right, f
	}
	return permute(append(append(make([]byte, 0, 64), right...), left...), desFP[:])
}

// desSubstitute puts 48 bits through the S-boxes.
func desSubstitute(in []byte) []byte {
	out := make([]byte, 0, 32)
	for box := range desS {
		b := in[6*box:][:6]
		row := b[0]<<1 | b[5]
		column := b[1]<<3 | b[2]<<2 | b[3]<<1 | b[4]
		v := desS[box][16*row+column]
		out = append(out, v>>3&1, v>>2&1, v>>1&1, v&1)
	}
	return out
}

// permute picks bits by the standard's one-based numbers.
func permute(in, table []byte) []byte {
	out := make([]byte, len(table))
	for i, n := range table {
		out[i] = in[n-1]
	}
	return out
}
