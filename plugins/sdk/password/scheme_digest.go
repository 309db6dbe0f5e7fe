package password

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"strings"

	//lint:ignore SA1019 files hold PLAIN-MD4
	"golang.org/x/crypto/md4"
)

// hashFunc makes a new hash.
type hashFunc func() hash.Hash

var (
	md4Hash    hashFunc = md4.New
	md5Hash    hashFunc = md5.New
	sha1Hash   hashFunc = sha1.New
	sha256Hash hashFunc = sha256.New
	sha512Hash hashFunc = sha512.New
)

func (h hashFunc) sum(parts ...[]byte) []byte {
	d := h()
	for _, p := range parts {
		d.Write(p)
	}
	return d.Sum(nil)
}

// digestScheme: the digest of the password, without salt.
func digestScheme(h hashFunc, enc textEncoding) scheme {
	return scheme{enc: enc, rawLen: h().Size(), verify: func(a Attempt, data []byte) (bool, error) {
		return equal(h.sum(a.Password), data), nil
	}}
}

// verifySalted: the digest of password and salt, then the salt, of any length but 0.
func verifySalted(h hashFunc) func(Attempt, []byte) (bool, error) {
	return func(a Attempt, data []byte) (bool, error) {
		n := h().Size()
		if len(data) <= n {
			return false, errors.New("data is too short for a digest and a salt")
		}
		return equal(h.sum(a.Password, data[n:]), data[:n]), nil
	}
}

// verifyDigestMD5: MD5(user:realm:password) (RFC 2831 §2.1.2.1), the realm being what follows
// the last '@' of the user name.
func verifyDigestMD5(a Attempt, data []byte) (bool, error) {
	user, realm := a.User, ""
	if i := strings.LastIndexByte(user, '@'); i >= 0 {
		user, realm = user[:i], user[i+1:]
	}
	return equal(md5Hash.sum([]byte(user+":"+realm+":"), a.Password), data), nil
}
