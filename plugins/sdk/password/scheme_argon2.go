package password

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// argon2Hash is a parsed PHC string:
//
//	$argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<hash>      (both base64 without padding)
type argon2Hash struct {
	id           bool // argon2id, else argon2i
	memory, time uint32
	lanes        uint8
	salt, hash   []byte
}

// argon2MaxHash bounds the length of the hash in bytes; libsodium writes 32.
const argon2MaxHash = 1024

func parseArgon2(s string) (argon2Hash, error) {
	var h argon2Hash
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" {
		return h, errors.New("data is not of the form $argon2id$v=19$m=,t=,p=$salt$hash")
	}
	switch parts[1] {
	case "argon2id":
		h.id = true
	case "argon2i":
	default:
		return h, errors.New("only argon2id and argon2i are supported")
	}
	if parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errors.New("only version 19 (1.3) is supported")
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return h, errors.New("parameters are not m=,t=,p=")
	}
	var values [3]uint64
	for i, prefix := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(params[i], prefix)
		v, err := strconv.ParseUint(digits, 10, []int{32, 32, 8}[i])
		if !ok || err != nil || v == 0 {
			return h, errors.New("parameter " + prefix + " is invalid")
		}
		values[i] = v
	}
	h.memory, h.time, h.lanes = uint32(values[0]), uint32(values[1]), uint8(values[2])
	if h.memory < 8*uint32(h.lanes) {
		return h, errors.New("parameter m= is less than 8 per lane")
	}
	var err error
	if h.salt, err = encBase64.decode(parts[4]); err != nil || len(h.salt) < 8 {
		return h, errors.New("salt is not base64 of 8 bytes or more")
	}
	if h.hash, err = encBase64.decode(parts[5]); err != nil || len(h.hash) < 4 || len(h.hash) > argon2MaxHash {
		return h, errors.New("hash is not base64 of 4 to 1024 bytes")
	}
	return h, nil
}

func verifyArgon2(a Attempt, data []byte) (bool, error) {
	h, err := parseArgon2(string(data))
	if err != nil {
		return false, err
	}
	if err := a.Limits.argon2(h.memory, h.time); err != nil {
		return false, err
	}
	key := argon2.Key
	if h.id {
		key = argon2.IDKey
	}
	return equal(key(a.Password, h.salt, h.time, h.memory, h.lanes, uint32(len(h.hash))), h.hash), nil
}
