package password

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"testing"
)

// TestSCRAMSecrets: the secrets that RFC 7677 §3's example password "pencil" must have, made of the password and read from the scheme.
func TestSCRAMSecrets(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	made, err := SCRAMSecrets("SCRAM-SHA-256", "{PLAIN}pencil", "CRYPT", salt, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.StdEncoding.EncodeToString
	if got := enc(made.StoredKey); got != "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=" {
		t.Errorf("StoredKey %s", got)
	}
	if got := enc(made.ServerKey); got != "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=" {
		t.Errorf("ServerKey %s", got)
	}
	stored := "{SCRAM-SHA-256}4096," + enc(salt) + "," + enc(made.StoredKey) + "," + enc(made.ServerKey)
	read, err := SCRAMSecrets("SCRAM-SHA-256", stored, "CRYPT", nil, testLimits)
	if err != nil || !bytes.Equal(read.StoredKey, made.StoredKey) || !bytes.Equal(read.Salt, salt) || read.Iterations != 4096 {
		t.Errorf("read %+v, %v", read, err)
	}
	for _, c := range [][2]string{{"SCRAM-SHA-1", stored}, {"SCRAM-SHA-256", "{SSHA}9lcvEqreRGSSoEGZIPWaVbrej47V0NEH"}, {"SCRAM-SHA-256", ""}} {
		if s, err := SCRAMSecrets(c[0], c[1], "CRYPT", salt, testLimits); err == nil {
			t.Errorf("%s of %q: %+v", c[0], c[1], s)
		}
	}
}

func TestCRAMDigest(t *testing.T) {
	challenge := []byte("<1896.697170952@postoffice.reston.mci.net>") // RFC 2195 §2
	for _, stored := range []string{"{PLAIN}secret", "{CRAM-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56"} {
		got, err := CRAMDigest(stored, "CRYPT", challenge)
		h := hmac.New(md5.New, []byte("secret"))
		h.Write(challenge)
		if err != nil || !bytes.Equal(got, h.Sum(nil)) {
			t.Errorf("%s: %x, %v", stored, got, err)
		}
	}
	if d, err := CRAMDigest("{SSHA}9lcvEqreRGSSoEGZIPWaVbrej47V0NEH", "CRYPT", challenge); err == nil {
		t.Errorf("a digest %x of a hash", d)
	}
}
