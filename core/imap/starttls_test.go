package imap_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"
)

// selfSigned returns a TLS configuration with a fresh certificate.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TestStartTLS: passwords are refused before and taken after, and what was sent behind
// STARTTLS in the clear is not executed (CVE-2011-0411).
func TestStartTLS(t *testing.T) {
	cfg := testConfig()
	cfg.AllowPlaintextAuth, cfg.TrustLocal = false, false
	srv := startServer(t, cfg, true)
	srv.engine.SetTLS(selfSigned(t))
	c := srv.dial(&script{t: t, file: "TestStartTLS"})
	c.want("* OK [CAPABILITY IMAP4rev1 IMAP4rev2 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ STARTTLS LOGINDISABLED] roost ready.")
	c.send([]byte("a STARTTLS x\r\n"))
	c.want("a BAD expected end of command at byte 12")
	c.send([]byte("b STARTTLS\r\nc NOOP\r\n"))
	c.want("b OK Begin TLS negotiation now.")
	tc := tls.Client(c.c, &tls.Config{InsecureSkipVerify: true}) // a certificate of this test
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.c, c.r = tc, bufio.NewReader(tc)
	c.send([]byte("d CAPABILITY\r\n"))
	c.want("* CAPABILITY IMAP4rev1 IMAP4rev2 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN AUTH=LOGIN")
	c.want("d OK CAPABILITY completed.")
	c.send([]byte("e STARTTLS\r\nf LOGIN demo secret\r\n"))
	c.want("e BAD TLS is already active.")
	c.want("f OK [CAPABILITY …] Logged in")
}

func TestDrainSaysBye(t *testing.T) {
	srv := startServer(t, testConfig(), true)
	c := srv.dial(&script{t: t, file: "TestDrainSaysBye"})
	c.want("* OK …")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := srv.engine.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	c.want("* BYE [UNAVAILABLE] Server is shutting down.")
	c.wantEOF()
}

// TestInputBeyondTheLimits: oversized lines and literals are refused without ending the session.
func TestInputBeyondTheLimits(t *testing.T) {
	srv := startServer(t, testConfig(), true)
	c := srv.dial(&script{t: t, file: "TestInputBeyondTheLimits"})
	c.want("* OK …")
	c.send([]byte("a LOGIN " + strings.Repeat("x", 9000) + " y\r\n"))
	c.want("a BAD Line exceeds [limits] unauthenticated_line.")
	c.send([]byte("b LOGIN {5000}\r\n"))
	c.want("b NO [LIMIT] Literal exceeds [limits] unauthenticated_literal.")
	c.send([]byte("c LOGIN {5000+}\r\n" + strings.Repeat("x", 5000) + " y\r\n"))
	c.want("c NO [LIMIT] Literal exceeds [limits] unauthenticated_literal.")
	c.send([]byte("d AUTHENTICATE PLAIN\r\n"))
	c.want("+ …")
	c.send([]byte(strings.Repeat("x", 9000) + "\r\n"))
	c.want("d BAD Line exceeds [limits] unauthenticated_line.")
	c.send([]byte("e LOGIN demo {6}\r\nsecret\r\n"))
	c.want("+ OK")
	c.want("e OK …")
	c.send([]byte("f IDLE\r\n"))
	c.want("+ idling")
	c.send([]byte(strings.Repeat("x", 70000) + "\r\n"))
	c.want("f BAD Line exceeds [limits] line.")
	c.send([]byte("g LOGOUT\r\n"))
	c.want("* BYE Logging out")
	c.want("g OK LOGOUT completed.")
	c.wantEOF()
}

// TestClosedSessionsLeaveNothing: mailboxes and users are given back, however a session ends.
func TestClosedSessionsLeaveNothing(t *testing.T) {
	cfg := testConfig()
	cfg.Mailboxes.Warm = 0
	srv := startServer(t, cfg, true)
	srv.store.Create("demo", "", "INBOX")
	for _, last := range []string{"x LOGOUT\r\n", "x IDLE\r\n", "x NOOP\r\n", "x AUTHENTICATE PLAIN\r\n", "x LOGIN {7}\r\n"} {
		c := srv.dial(&script{t: t, file: "TestClosedSessionsLeaveNothing"})
		c.send([]byte("a LOGIN demo secret\r\nb SELECT INBOX\r\n" + last))
		for !strings.HasPrefix(c.read(), "b OK") {
		}
		c.c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := srv.engine.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if s := srv.imap.Mailboxes().Stats(); s.Mailboxes != 0 {
		t.Errorf("left: %+v", s)
	}
	if n := srv.imap.Users(); n != 0 {
		t.Errorf("%d users left", n)
	}
}
