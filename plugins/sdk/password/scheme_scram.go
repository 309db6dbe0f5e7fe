package password

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"errors"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
)

// scramMinIterations is the least that Dovecot and RFC 7677 §4 accept.
const scramMinIterations = 4096

// SCRAM is what a server stores of a password for SCRAM (RFC 5802 §3).
type SCRAM struct {
	Iterations int
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
}

// verifySCRAM: "<iterations>,<salt>,<StoredKey>,<ServerKey>", all but the first in base64 (RFC 5802 §3).
func verifySCRAM(h hashFunc) func(Attempt, []byte) (bool, error) {
	return func(a Attempt, data []byte) (bool, error) {
		s, err := parseSCRAM(h, data, a.Limits)
		if err != nil {
			return false, err
		}
		got, err := h.scram(string(a.Password), s.Salt, s.Iterations)
		if err != nil {
			return false, err
		}
		return equal(got.StoredKey, s.StoredKey), nil
	}
}

func parseSCRAM(h hashFunc, data []byte, limits Limits) (SCRAM, error) {
	parts := strings.Split(string(data), ",")
	if len(parts) != 4 {
		return SCRAM{}, errors.New("data is not of the form iterations,salt,StoredKey,ServerKey")
	}
	iterations, err := strconv.ParseUint(parts[0], 10, 31)
	if err != nil || iterations < scramMinIterations {
		return SCRAM{}, errors.New("number of iterations is invalid")
	}
	if err := limits.pbkdf2(iterations); err != nil {
		return SCRAM{}, err
	}
	salt, err := encBase64.decode(parts[1])
	if err != nil {
		return SCRAM{}, errors.New("salt is not base64")
	}
	storedKey, err := encBase64.decode(parts[2])
	if err != nil || len(storedKey) != h().Size() {
		return SCRAM{}, errors.New("StoredKey is not base64 of the hash's size")
	}
	serverKey, err := encBase64.decode(parts[3])
	if err != nil || len(serverKey) != h().Size() {
		return SCRAM{}, errors.New("ServerKey is not base64 of the hash's size")
	}
	return SCRAM{Iterations: int(iterations), Salt: salt, StoredKey: storedKey, ServerKey: serverKey}, nil
}

// scram makes the secrets of a password.
func (h hashFunc) scram(password string, salt []byte, iterations int) (SCRAM, error) {
	salted, err := pbkdf2.Key(h, password, salt, iterations, h().Size())
	if err != nil {
		return SCRAM{}, err
	}
	mac := func(text string) []byte {
		m := hmac.New(h, salted)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	return SCRAM{Iterations: iterations, Salt: salt, StoredKey: h.sum(mac("Client Key")), ServerKey: mac("Server Key")}, nil
}

// errNoSCRAM is why a stored password does not serve a SCRAM mechanism.
var errNoSCRAM = errors.New("the mechanism needs the password itself, or its SCRAM keys")

// SCRAMSecrets returns what scheme, "SCRAM-SHA-1" or "SCRAM-SHA-256", needs of a stored password, which must be in that scheme or be
// the password itself, of which it makes secrets with salt. The error is a *SchemeError.
func SCRAMSecrets(scheme, stored, defaultScheme string, salt []byte, limits Limits) (SCRAM, error) {
	name, data, err := decode(stored, defaultScheme)
	if err != nil {
		return SCRAM{}, err
	}
	h := sha256Hash
	if scheme == "SCRAM-SHA-1" {
		h = sha1Hash
	}
	var s SCRAM
	switch name {
	case scheme:
		s, err = parseSCRAM(h, data, limits)
	case "PLAIN", "CLEAR", "CLEARTEXT":
		text := string(data)
		if prepared, err := stringprep.SASLprep.Prepare(text); err == nil { // RFC 5802 §5.1: what clients do
			text = prepared
		}
		s, err = h.scram(text, salt, scramMinIterations)
	default:
		err = errNoSCRAM
	}
	if err != nil {
		return SCRAM{}, &SchemeError{name, err.Error()}
	}
	return s, nil
}
