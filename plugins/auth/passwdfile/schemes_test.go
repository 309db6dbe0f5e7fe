package passwdfile

import (
	"errors"
	"strings"
	"testing"
)

var testLimits = limits{
	argon2MaxMemory: 256 << 20, argon2MaxTime: 16, bcryptMaxCost: 14, cryptMaxRounds: 1000000, pbkdf2MaxRounds: 1000000,
}

// samples are the password "secret", made by Dovecot 2.3.19.1 (doveadm pw) or, for crypt(3), by libxcrypt.
var samples = []struct{ name, user, stored string }{
	{"PLAIN", "u", "{PLAIN}secret"},
	{"plain in lower case", "u", "{plain}secret"},
	{"CLEARTEXT", "u", "{CLEARTEXT}secret"},
	{"CLEAR", "u", "{CLEAR}secret"},
	{"PLAIN.B64", "u", "{PLAIN.B64}c2VjcmV0"},
	{"PLAIN.HEX", "u", "{PLAIN.HEX}736563726574"},
	{"PLAIN-TRUNC", "u", "{PLAIN-TRUNC}3-sec"},
	{"PLAIN-TRUNC whole", "u", "{PLAIN-TRUNC}10-secret"},
	{"SHA512-CRYPT", "u", "{SHA512-CRYPT}$6$I7kba3HOiwyitu19$HBAEJzxRZHL7GzdrmDcxiXuQH33.AtnU2MGBkEEHVcW0af/QEh3RmC1CxE01RJQ1qgOEe8ql0y0rExFOhapP/1"},
	{"SHA256-CRYPT", "u", "{SHA256-CRYPT}$5$1NxsHD71mfyV0.O.$7s2R.SsL.FhOH/3RPQbfs06sSM/MJc6E00uEa15nBSB"},
	{"SHA512-CRYPT without scheme", "u", "$6$I7kba3HOiwyitu19$HBAEJzxRZHL7GzdrmDcxiXuQH33.AtnU2MGBkEEHVcW0af/QEh3RmC1CxE01RJQ1qgOEe8ql0y0rExFOhapP/1"},
	{"SHA512-CRYPT without salt", "u", "$6$$2M9DchxW4txWyTYoZrH9D3VvAAQxBpEezYsLY6Cao.jwzEXpyL9xwip9hiUZX7GqTqe/E/z6iKvZqXUuqniQH."},
	{"SHA512-CRYPT with rounds and a short salt", "u", "$6$rounds=1234$ab$cdmU88t8vmoChk6GIJJPjvknVr9uReCj8z4pkwrXg.75hB9gS4XDEKrMp9MLTjHbtG0H/Me28oeDuw7bsG9Tw0"},
	{"SHA256-CRYPT with rounds", "u", "$5$rounds=2000$abcdefghijklmnop$kDESbnk6kuB4ziTjp5A1VqS6FVaoWT.tbGYQNkV1ZFA"},
	{"SHA512-CRYPT with a short salt", "u", "$6$ab$2lDVylRMp48hlYZZFOCx/xnhJEsGPynJ17rt2um9Gb8wX6ygI4uDxg3Bg43pp/Hv397hwWfT8mciHws9eE4sR/"},
	{"BLF-CRYPT", "u", "{BLF-CRYPT}$2y$05$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C"},
	{"bcrypt $2a$", "u", "{CRYPT}$2a$05$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C"},
	{"bcrypt $2b$", "u", "{CRYPT}$2b$05$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C"},
	{"DES-CRYPT", "u", "{DES-CRYPT}kBuB1JxjH/6eU"},
	{"DES-CRYPT other salt", "u", "abNANd1rDfiNc"},
	{"MD5-CRYPT", "u", "{MD5-CRYPT}$1$bLpQEyI6$SZ1N0tXDIQfK.GkB8Al2l0"},
	{"MD5", "u", "{MD5}$1$bLpQEyI6$SZ1N0tXDIQfK.GkB8Al2l0"},
	{"MD5 with hex", "u", "{MD5}5ebe2294ecd0e0f08eab7690d2a6ee69"},
	{"bare $1$", "u", "$1$bLpQEyI6$SZ1N0tXDIQfK.GkB8Al2l0"},
	{"bare $1$ without salt", "u", "$1$$ysVNzQc4CTMkp5daOdZ.3/"},
	{"bare $1$ and more", "u", "$1$bLpQEyI6$SZ1N0tXDIQfK.GkB8Al2l0$ignored"},
	{"ARGON2ID", "u", "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$Dtkb30SbSaqKFDDFAJdxVQ$TIDGGr+xEkyLUvmcvXBWoORlbQjhMd79Kj59/t6fq8g"},
	{"PBKDF2", "u", "{PBKDF2}$1$d3lGUxoCQKIXT1iO$5000$d928303bff2272ae28e7bfa17ebe0e8b474a0846"},
	{"SCRAM-SHA-256", "u", "{SCRAM-SHA-256}4096,7iOzG9VCDw2xQm4ghje9qg==,jOQHiIk9TafJ75D4MbCFIh0OJtbYTg/PMUK19u6yE+M=,3fYKOb1cQPltW3tQ3NQ6DJgMuxC/eV48kd4eRxB7TEo="},
	{"SHA", "u", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="},
	{"SHA1", "u", "{SHA1}5en6G6MezRroT3XKqkdPOmY/BfQ="},
	{"SHA256", "u", "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols="},
	{"SHA256 guessed hex", "u", "{SHA256}2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"},
	{"SHA256.HEX", "u", "{SHA256.HEX}2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"},
	{"SSHA", "u", "{SSHA}9lcvEqreRGSSoEGZIPWaVbrej47V0NEH"},
	{"SSHA512", "u", "{SSHA512}3Pr9aD11AO9GA3rKoFBJhNF4Tp/i3Lgtf63G6kvQbUVkT5/VBTEBsQDHVtVRlssiLRkkjz/nJFTqoL9b3KDaD+eASFQ="},
	{"SMD5", "u", "{SMD5}OZ5rmbGsTz/m5J+04qf/VOWaKTY="},
	{"LDAP-MD5", "u", "{LDAP-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ=="},
	{"PLAIN-MD5", "u", "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69"},
	{"PLAIN-MD5 guessed base64", "u", "{PLAIN-MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ=="},
	{"PLAIN-MD4", "u", "{PLAIN-MD4}67d3dafef63ff00603aeef3769cfbf0d"},
	{"CRAM-MD5", "u", "{CRAM-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56"},
	{"HMAC-MD5", "u", "{HMAC-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56"},
	{"DIGEST-MD5", "u-digest-md5", "{DIGEST-MD5}68a5cd10de2f376731e82d32a9b1763a"},
}

func TestSamplePasswords(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			for password, want := range map[string]bool{"secret": true, "wrong": false, "secres": false, "": false, "Secret": false} {
				if strings.HasPrefix(s.stored, "{PLAIN-TRUNC}3-") && password == "secres" {
					want = true // only three characters are known
				}
				got, err := checkPassword(attempt{s.user, []byte(password), testLimits}, s.stored, "CRYPT")
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
			ok, err := checkPassword(attempt{"u", []byte("secret"), testLimits}, tt.stored, "CRYPT")
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
		if ok, err := checkPassword(attempt{"u", nil, testLimits}, stored, "CRYPT"); ok || err != nil {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
	}
}

// TestLongPasswords: the work must not grow beyond what an honest password costs.
func TestLongPasswords(t *testing.T) {
	long := []byte(strings.Repeat("x", 1<<20))
	for _, s := range samples {
		if ok, err := checkPassword(attempt{s.user, long, testLimits}, s.stored, "CRYPT"); ok || err != nil {
			t.Errorf("%s: %v, %v", s.name, ok, err)
		}
	}
}

func FuzzCheckPassword(f *testing.F) {
	for _, s := range samples {
		f.Add(s.stored, "secret")
	}
	f.Add("{PLAIN-TRUNC}18446744073709551616-x", "secret")
	f.Add("{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAA", "")
	small := limits{argon2MaxMemory: 1 << 20, argon2MaxTime: 2, bcryptMaxCost: 4, cryptMaxRounds: 1000, pbkdf2MaxRounds: 5000}
	f.Fuzz(func(t *testing.T, stored, password string) {
		ok, err := checkPassword(attempt{"u", []byte(password), small}, stored, "CRYPT")
		if ok && err != nil {
			t.Error("a match with an error")
		}
	})
}
