package passwdfile

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// verifyPBKDF2: "$1$<salt>$<rounds>$<hex of 20 bytes>"; the text of the salt is the salt.
func verifyPBKDF2(a attempt, data []byte) (bool, error) {
	parts := strings.Split(string(data), "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "1" {
		return false, errors.New("data is not of the form $1$salt$rounds$hash")
	}
	rounds, err := strconv.ParseUint(parts[3], 10, 32)
	if err != nil || rounds == 0 {
		return false, errors.New("number of rounds is invalid")
	}
	if err := a.limits.pbkdf2(rounds); err != nil {
		return false, err
	}
	want, err := hex.DecodeString(parts[4])
	if err != nil || len(want) != sha1.Size {
		return false, errors.New("hash is not 20 bytes in hex")
	}
	got, err := pbkdf2.Key(sha1.New, string(a.password), []byte(parts[2]), int(rounds), len(want))
	if err != nil {
		return false, err
	}
	return equal(got, want), nil
}

// scramMinIterations is the least that Dovecot and RFC 7677 §4 accept.
const scramMinIterations = 4096

// verifySCRAM: "<iterations>,<salt>,<StoredKey>,<ServerKey>", all but the first in base64 (RFC 5802 §3).
func verifySCRAM(h hashFunc) func(attempt, []byte) (bool, error) {
	return func(a attempt, data []byte) (bool, error) {
		parts := strings.Split(string(data), ",")
		if len(parts) != 4 {
			return false, errors.New("data is not of the form iterations,salt,StoredKey,ServerKey")
		}
		iterations, err := strconv.ParseUint(parts[0], 10, 32)
		if err != nil || iterations < scramMinIterations {
			return false, errors.New("number of iterations is invalid")
		}
		if err := a.limits.pbkdf2(iterations); err != nil {
			return false, err
		}
		salt, err := encBase64.decode(parts[1])
		if err != nil {
			return false, errors.New("salt is not base64")
		}
		storedKey, err := encBase64.decode(parts[2])
		if err != nil || len(storedKey) != h().Size() {
			return false, errors.New("StoredKey is not base64 of the hash's size")
		}
		salted, err := pbkdf2.Key(h, string(a.password), salt, int(iterations), h().Size())
		if err != nil {
			return false, err
		}
		clientKey := hmac.New(h, salted)
		clientKey.Write([]byte("Client Key"))
		return equal(h.sum(clientKey.Sum(nil)), storedKey), nil
	}
}
