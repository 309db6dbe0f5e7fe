package password

import (
	"bytes"
	"errors"
	"strconv"
)

// verifyPlain: the data is the password.
func verifyPlain(a Attempt, data []byte) (bool, error) { return equal(a.Password, data), nil }

// verifyPlainTrunc: "<len>-<text>". If text has exactly len bytes it may have been cut there,
// and only as much of the password is compared.
func verifyPlainTrunc(a Attempt, data []byte) (bool, error) {
	digits, text, ok := bytes.Cut(data, []byte("-"))
	if !ok || len(digits) == 0 || bytes.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) {
		return false, errors.New("data does not start with a length and '-'")
	}
	length, err := strconv.Atoi(string(digits))
	if err != nil {
		return false, errors.New("length is too large")
	}
	password := a.Password
	if len(text) == length && len(password) > length {
		password = password[:length]
	}
	return equal(password, text), nil
}
