package password

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Attempt is one password held against one stored password.
type Attempt struct {
	User     string // as the client sent it: DIGEST-MD5 hashes it
	Password []byte // as the client sent it, without SASLprep
	Limits   Limits
}

// textEncoding is how the bytes of a stored password are written.
type textEncoding uint8

const (
	encNone   textEncoding = iota // the text is the data
	encHex                        // lower or upper case
	encBase64                     // standard alphabet, padding may be missing
)

// scheme is a way to store a password (dovecot src/auth/password-scheme.c).
type scheme struct {
	enc    textEncoding // when the name has no suffix
	rawLen int          // bytes of the decoded data if that is fixed, else 0: then hex and base64 are told apart by length
	// verify reports whether the Attempt's password is the one that data was made
	// of. The error says why data can not be used; it holds no part of data.
	verify func(a Attempt, data []byte) (bool, error)
}

// schemes by upper-case name. The argument of {NAME.ENC} overrides enc.
var schemes = map[string]scheme{
	"PLAIN":       {verify: verifyPlain},
	"CLEAR":       {verify: verifyPlain},
	"CLEARTEXT":   {verify: verifyPlain},
	"PLAIN-TRUNC": {verify: verifyPlainTrunc},

	"CRYPT":        {verify: verifyCrypt},
	"SHA512-CRYPT": {verify: verifyCrypt},
	"SHA256-CRYPT": {verify: verifyCrypt},
	"MD5-CRYPT":    {verify: verifyCrypt},
	"DES-CRYPT":    {verify: verifyCrypt},
	"BLF-CRYPT":    {verify: verifyCrypt},
	"MD5":          {verify: verifyMD5},

	"ARGON2":   {verify: verifyArgon2},
	"ARGON2ID": {verify: verifyArgon2},
	"ARGON2I":  {verify: verifyArgon2},
	"PBKDF2":   {verify: verifyPBKDF2},

	"SCRAM-SHA-1":   {verify: verifySCRAM(sha1Hash)},
	"SCRAM-SHA-256": {verify: verifySCRAM(sha256Hash)},

	"SHA":       digestScheme(sha1Hash, encBase64),
	"SHA1":      digestScheme(sha1Hash, encBase64),
	"SHA256":    digestScheme(sha256Hash, encBase64),
	"SHA512":    digestScheme(sha512Hash, encBase64),
	"LDAP-MD5":  digestScheme(md5Hash, encBase64),
	"PLAIN-MD5": digestScheme(md5Hash, encHex),
	"PLAIN-MD4": digestScheme(md4Hash, encHex),

	"SSHA":    {enc: encBase64, verify: verifySalted(sha1Hash)},
	"SSHA256": {enc: encBase64, verify: verifySalted(sha256Hash)},
	"SSHA512": {enc: encBase64, verify: verifySalted(sha512Hash)},
	"SMD5":    {enc: encBase64, verify: verifySalted(md5Hash)},

	"CRAM-MD5":   {enc: encHex, rawLen: cramLen, verify: verifyCRAM},
	"HMAC-MD5":   {enc: encHex, rawLen: cramLen, verify: verifyCRAM},
	"DIGEST-MD5": {enc: encHex, rawLen: 16, verify: verifyDigestMD5},
}

// SchemeError says why a stored password can not be checked. It holds nothing of the password.
type SchemeError struct {
	Scheme string
	Reason string
}

func (e *SchemeError) Error() string { return "password scheme " + e.Scheme + ": " + e.Reason }

// Known reports whether passwords of a scheme, "SHA512-CRYPT" or "PLAIN.B64" in any case, can be checked.
func Known(scheme string) bool {
	name, _, _ := strings.Cut(strings.ToUpper(scheme), ".")
	_, ok := schemes[name]
	return ok
}

// Names returns the schemes that can be checked, sorted.
func Names() []string { return slices.Sorted(maps.Keys(schemes)) }

// Split separates a stored password into its scheme and data.
//
// {SCHEME}data names it; $1$salt$hash alone is MD5, and what follows its hash is
// cut off; everything else is in the default scheme.
func Split(stored, defaultScheme string) (name, data string) {
	if rest, ok := strings.CutPrefix(stored, "$1$"); ok {
		if salt, hash, ok := strings.Cut(rest, "$"); ok {
			hash, _, _ = strings.Cut(hash, "$")
			return "MD5", "$1$" + salt + "$" + hash
		}
	}
	if rest, ok := strings.CutPrefix(stored, "{"); ok {
		if name, data, ok := strings.Cut(rest, "}"); ok {
			return name, data
		}
	}
	return defaultScheme, stored
}

// Check reports whether a's password matches the stored one. The error is a *SchemeError.
func Check(a Attempt, stored, defaultScheme string) (bool, error) {
	name, data, err := decode(stored, defaultScheme)
	if err != nil {
		return false, err
	}
	match, err := schemes[name].verify(a, data)
	if err != nil {
		return false, &SchemeError{name, err.Error()}
	}
	return match, nil
}

// decode returns a stored password's scheme, one of schemes, and its data. The error is a *SchemeError.
func decode(stored, defaultScheme string) (name string, data []byte, err error) {
	full, text := Split(stored, defaultScheme)
	name, suffix, hasSuffix := strings.Cut(strings.ToUpper(full), ".")
	s, ok := schemes[name]
	if !ok {
		return "", nil, &SchemeError{printable(name), "scheme not supported"}
	}
	enc := s.enc
	switch {
	case hasSuffix:
		if enc, ok = encodings[suffix]; !ok {
			return "", nil, &SchemeError{name, "unknown encoding, known are b64, base64 and hex"}
		}
	case s.rawLen != 0 && len(text) == 2*s.rawLen:
		enc = encHex
	case s.rawLen != 0:
		enc = encBase64
	}
	data, err = enc.decode(text)
	if err == nil && s.rawLen != 0 && len(data) != s.rawLen {
		err = fmt.Errorf("data has %d bytes, not %d", len(data), s.rawLen)
	}
	if err != nil {
		return "", nil, &SchemeError{name, err.Error()}
	}
	return name, data, nil
}

var encodings = map[string]textEncoding{"B64": encBase64, "BASE64": encBase64, "HEX": encHex}

// decode returns the bytes of text. Its errors hold nothing of text.
func (e textEncoding) decode(text string) ([]byte, error) {
	switch e {
	case encHex:
		b, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("data is not hex")
		}
		return b, nil
	case encBase64:
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
		if err != nil {
			return nil, fmt.Errorf("data is not base64")
		}
		return b, nil
	}
	return []byte(text), nil
}

// unsupported are Dovecot's other schemes. Most serve mechanisms that send no password.
var unsupported = []string{"OTP", "SKEY", "RPA", "NTLM", "LANMAN", "NS-MTA-MD5"}

// printable makes a scheme name from a file fit for a log line: what stands in
// braces can be the start of a password, so only names that exist are shown.
func printable(name string) string {
	if slices.Contains(unsupported, name) {
		return name
	}
	return "(unknown)"
}

// equal compares without telling by its time how much is equal, nor how long the secrets are.
func equal(a, b []byte) bool {
	x, y := sha256.Sum256(a), sha256.Sum256(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
