package dbox

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
)

// GUID is the 128-bit identity of a mail or mailbox; all zeros = none.
type GUID [16]byte

// ParseGUID returns the 128-bit form of a GUID as it stands in metadata: 32 hex
// digits are its bytes; of any other string it is the last 16 bytes of the SHA-1.
// An empty string has the zero GUID.
//
// Format: dovecot src/lib-storage/mail-storage.c, mail_generate_guid_128_hash.
func ParseGUID(s []byte) GUID {
	var g GUID
	if len(s) == 0 {
		return g
	}
	if len(s) == 2*len(g) {
		if _, err := hex.Decode(g[:], s); err == nil {
			return g
		}
	}
	sum := sha1.Sum(s)
	copy(g[:], sum[len(sum)-len(g):])
	return g
}

// String returns 32 lower-case hex digits.
func (g GUID) String() string { return hex.EncodeToString(g[:]) }

// NewGUID returns a GUID that no other mail or mailbox has: 16 random bytes.
func NewGUID() GUID {
	var g GUID
	rand.Read(g[:]) // never fails
	return g
}
