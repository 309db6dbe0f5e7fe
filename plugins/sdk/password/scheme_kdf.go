package password

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// verifyPBKDF2: "$1$<salt>$<rounds>$<hex of 20 bytes>"; the text of the salt is the salt.
func verifyPBKDF2(a Attempt, data []byte) (bool, error) {
	parts := strings.Split(string(data), "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "1" {
		return false, errors.New("data is not of the form $1$salt$rounds$hash")
	}
	rounds, err := strconv.ParseUint(parts[3], 10, 32)
	if err != nil || rounds == 0 {
		return false, errors.New("number of rounds is invalid")
	}
	if err := a.Limits.pbkdf2(rounds); err != nil {
		return false, err
	}
	want, err := hex.DecodeString(parts[4])
	if err != nil || len(want) != sha1.Size {
		return false, errors.New("hash is not 20 bytes in hex")
	}
	got, err := pbkdf2.Key(sha1.New, string(a.Password), []byte(parts[2]), int(rounds), len(want))
	if err != nil {
		return false, err
	}
	return equal(got, want), nil
}
