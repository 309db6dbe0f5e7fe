package password

import (
	"errors"
	"strings"
	"testing"

	"github.com/roostmail/roost/plugins/sdk/password/passwordtest"
)

var testLimits = Limits{
	Argon2MaxMemory: 256 << 20, Argon2MaxTime: 16, BcryptMaxCost: 14, CryptMaxRounds: 1000000, PBKDF2MaxRounds: 1000000,
}

func TestSamplePasswords(t *testing.T) {
	for _, s := range passwordtest.Samples {
		t.Run(s.Name, func(t *testing.T) {
			for password, want := range map[string]bool{"secret": true, "wrong": false, "secres": false, "": false, "Secret": false} {
				if strings.HasPrefix(s.Stored, "{PLAIN-TRUNC}3-") && password == "secres" {
					want = true // only three characters are known
				}
				got, err := Check(Attempt{s.User, []byte(password), testLimits}, s.Stored, "CRYPT")
				if err != nil || got != want {
					t.Errorf("%q: %v, %v, want %v", password, got, err, want)
				}
			}
		})
	}
}

func TestUnusablePasswords(t *testing.T) {
	tests := []struct{ name, stored, reason string }{
		{"unknown scheme", "{secret}x", "(unknown): scheme not supported"},
		{"scheme of Dovecot", "{OTP}sha1 1 secret x", "OTP: scheme not supported"},
		{"yescrypt", "{CRYPT}$y$j9T$abcdefgh$0123456789", "yescrypt: scheme not supported"},
		{"extended DES", "_J9..rasmz0.F/jqjWck", "scheme not supported"},
		{"unknown encoding", "{PLAIN.ROT13}frperg", "unknown encoding"},
		{"hex", "{PLAIN.HEX}secret", "data is not hex"},
		{"base64", "{SHA1}secret!", "data is not base64"},
		{"length", "{SHA1}c2VjcmV0", "data has 6 bytes, not 20"},
		{"no salt", "{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "too short"},
		{"argon2 form", "{ARGON2ID}secret", "not of the form"},
		{"argon2 memory", "{ARGON2ID}$argon2id$v=19$m=4000000,t=3,p=1$Dtkb30SbSaqKFDDFAJdxVQ$TIDGGr+xEkyLUvmcvXBWoA", "option argon2_max_memory allows 268435456"},
		{"argon2 time", "{ARGON2ID}$argon2id$v=19$m=64,t=300,p=1$Dtkb30SbSaqKFDDFAJdxVQ$TIDGGr+xEkyLUvmcvXBWoA", "option argon2_max_time allows 16"},
		{"argon2 lanes", "{ARGON2ID}$argon2id$v=19$m=64,t=3,p=0$Dtkb30SbSaqKFDDFAJdxVQ$TIDGGr+xEkyLUvmcvXBWoA", "parameter p= is invalid"},
		{"argon2d", "{ARGON2}$argon2d$v=19$m=64,t=3,p=1$Dtkb30SbSaqKFDDFAJdxVQ$TIDGGr+xEkyLUvmcvXBWoA", "only argon2id and argon2i"},
		{"bcrypt cost", "$2y$20$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C", "option bcrypt_max_cost allows 14"},
		{"bcrypt length", "$2y$05$bidsWlGFM", "malformed"},
		{"crypt rounds", "$6$rounds=999999999$salt$hash", "option crypt_max_rounds allows 1000000"},
		{"crypt rounds overflow", "$6$rounds=99999999999999999999$salt$hash", "number of rounds is invalid"},
		{"pbkdf2 rounds", "{PBKDF2}$1$salt$2000000$d928303bff2272ae28e7bfa17ebe0e8b474a0846", "option pbkdf2_max_rounds allows 1000000"},
		{"scram rounds", "{SCRAM-SHA-256}4000000,7iOzG9VCDw2xQm4ghje9qg==,jOQHiIk9TafJ75D4MbCFIh0OJtbYTg/PMUK19u6yE+M=,x", "option pbkdf2_max_rounds"},
		{"scram few rounds", "{SCRAM-SHA-256}1,7iOzG9VCDw2xQm4ghje9qg==,jOQHiIk9TafJ75D4MbCFIh0OJtbYTg/PMUK19u6yE+M=,x", "number of iterations is invalid"},
		{"trunc", "{PLAIN-TRUNC}secret", "does not start with a length"},
		{"short DES", "kBuB1JxjH", "no crypt(3) hash"},
		{"DES salt", "k!uB1JxjH/6eU", "no crypt(3) hash"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ok, err := Check(Attempt{"u", []byte("secret"), testLimits}, tt.stored, "CRYPT")
			var schemeErr *SchemeError
			if ok || !errors.As(err, &schemeErr) || !strings.Contains(err.Error(), tt.reason) {
				t.Fatalf("got %v, %v, want an error with %q", ok, err, tt.reason)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the stored password: %v", err)
			}
		})
	}
}

func TestEmptyDataOfCryptNeverMatches(t *testing.T) {
	for _, stored := range []string{"{CRYPT}", "{SHA512-CRYPT}", "{DES-CRYPT}"} {
		if ok, err := Check(Attempt{"u", nil, testLimits}, stored, "CRYPT"); ok || err != nil {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
	}
}

// TestLongPasswords: the work must not grow beyond what an honest password costs.
func TestLongPasswords(t *testing.T) {
	long := []byte(strings.Repeat("x", 1<<20))
	for _, s := range passwordtest.Samples {
		if ok, err := Check(Attempt{s.User, long, testLimits}, s.Stored, "CRYPT"); ok || err != nil {
			t.Errorf("%s: %v, %v", s.Name, ok, err)
		}
	}
}

func FuzzCheckPassword(f *testing.F) {
	for _, s := range passwordtest.Samples {
		f.Add(s.Stored, "secret")
	}
	f.Add("{PLAIN-TRUNC}18446744073709551616-x", "secret")
	f.Add("{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAA", "")
	small := Limits{Argon2MaxMemory: 1 << 20, Argon2MaxTime: 2, BcryptMaxCost: 4, CryptMaxRounds: 1000, PBKDF2MaxRounds: 5000}
	f.Fuzz(func(t *testing.T, stored, password string) {
		ok, err := Check(Attempt{"u", []byte(password), small}, stored, "CRYPT")
		if ok && err != nil {
			t.Error("a match with an error")
		}
	})
}
