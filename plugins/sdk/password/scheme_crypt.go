package password

import (
	"errors"
	"strconv"
	"strings"

	"github.com/GehirnInc/crypt/md5_crypt"
	"github.com/GehirnInc/crypt/sha256_crypt"
	"github.com/GehirnInc/crypt/sha512_crypt"
	"golang.org/x/crypto/bcrypt"
)

// cryptMaxPassword is the longest password that crypt(3) takes, in bytes (libxcrypt,
// CRYPT_MAX_PASSPHRASE_SIZE). The work of SHA-crypt grows with its square.
const cryptMaxPassword = 512

// verifyCrypt: what crypt(3) makes; its kind stands in its first characters. Empty data never matches.
func verifyCrypt(a Attempt, data []byte) (bool, error) {
	stored := string(data)
	if len(a.Password) >= cryptMaxPassword || strings.IndexByte(string(a.Password), 0) >= 0 {
		return false, nil
	}
	switch {
	case stored == "":
		return false, nil
	case strings.HasPrefix(stored, "$6$"):
		return verifySHACrypt(a, stored, sha512_crypt.New().Generate)
	case strings.HasPrefix(stored, "$5$"):
		return verifySHACrypt(a, stored, sha256_crypt.New().Generate)
	case strings.HasPrefix(stored, "$1$"):
		return generateAndCompare(a, stored, cryptSetting(stored, 3), md5_crypt.New().Generate)
	case strings.HasPrefix(stored, "$2"):
		return verifyBcrypt(a, stored)
	case strings.HasPrefix(stored, "$y$"):
		return false, errors.New("yescrypt: scheme not supported")
	case stored[0] == '$' || stored[0] == '_':
		return false, errors.New("this kind of crypt(3) hash: scheme not supported")
	}
	return verifyDESCrypt(a, stored)
}

// verifyMD5: MD5-CRYPT if it looks like that, else PLAIN-MD5.
func verifyMD5(a Attempt, data []byte) (bool, error) {
	if strings.HasPrefix(string(data), "$1$") {
		return verifyCrypt(a, data)
	}
	enc := encBase64
	if len(data) == 32 {
		enc = encHex
	}
	digest, err := enc.decode(string(data))
	if err != nil {
		return false, err
	}
	return equal(md5Hash.sum(a.Password), digest), nil
}

type generator func(key, salt []byte) (string, error)

// cryptSetting returns the first n of the fields that '$' separates: all that comes before the hash.
func cryptSetting(stored string, n int) string {
	parts := strings.SplitN(stored, "$", n+1)
	return strings.Join(parts[:min(n, len(parts))], "$")
}

// generateAndCompare gives the generator the setting alone: GehirnInc/crypt takes more than
// that as salt when the salt is shorter than its maximum.
func generateAndCompare(a Attempt, stored, setting string, generate generator) (bool, error) {
	got, err := generate(a.Password, []byte(setting))
	if err != nil {
		return false, errors.New("salt is invalid")
	}
	return equal([]byte(got), []byte(stored)), nil
}

// verifySHACrypt: "$6$[rounds=N$]salt$hash". Numbers of rounds that crypt(3) refuses never match, since
// what is generated for them has another number.
func verifySHACrypt(a Attempt, stored string, generate generator) (bool, error) {
	fields := 3
	if digits, ok := strings.CutPrefix(stored[3:], "rounds="); ok {
		fields = 4
		digits, _, _ = strings.Cut(digits, "$")
		rounds, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			return false, errors.New("number of rounds is invalid")
		}
		if err := a.Limits.crypt(rounds); err != nil {
			return false, err
		}
	}
	return generateAndCompare(a, stored, cryptSetting(stored, fields), generate)
}

// verifyBcrypt takes every minor version, $2a$ to $2z$. They differ only in how
// broken programs treated passwords with the eighth bit set, or very long ones.
func verifyBcrypt(a Attempt, stored string) (bool, error) {
	cost, err := bcrypt.Cost([]byte(stored))
	if err != nil || len(stored) != 60 {
		return false, errors.New("bcrypt hash is malformed")
	}
	if err := a.Limits.bcrypt(cost); err != nil {
		return false, err
	}
	switch err := bcrypt.CompareHashAndPassword([]byte(stored), a.Password); {
	case err == nil:
		return true, nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	}
	return false, errors.New("bcrypt hash is malformed")
}
