package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// authority signs the certificates of clients.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	c := a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue completes and signs a certificate; the first signs itself.
func (a *authority) issue(c *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	must(a.t, err)
	leaf, err := x509.ParseCertificate(der)
	must(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// user issues a certificate to a common name and addresses.
func (a *authority) user(name string, addresses ...string) tls.Certificate {
	return a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}, EmailAddresses: addresses, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// write writes the authority's certificate to a file.
func (a *authority) write(path string) {
	writeFile(a.t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})))
}

// TestExternal: a client is the user in its certificate, and nobody without one that was verified.
func TestExternal(t *testing.T) {
	ca, strangers := newAuthority(t), newAuthority(t)
	dir := tempDir(t)
	file := filepath.Join(dir, "clients.pem")
	ca.write(file)
	r, own := startAuth(t, authUsers+"away:{PLAIN}geheim:%i::%h/away::nologin\n", `
[tls]
client_cert = "optional"
client_ca = "`+file+`"
[auth]
mechanisms = ["PLAIN", "EXTERNAL"]
failure_delay = "0s"
[log]
level = "debug"
`)
	two := ca.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "joe", ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: []int{2, 5, 4, 3}, Value: "joe"}, {Type: []int{2, 5, 4, 3}, Value: "jane"}}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, x := range []struct {
			what    string
			certs   []tls.Certificate
			command string // after AUTHENTICATE
			offered bool
			user    string // "" = refused
		}{
			{"own name", []tls.Certificate{ca.user("jane")}, "EXTERNAL =", true, "jane"},
			{"the name that the directory knows", []tls.Certificate{ca.user("Jane")}, "EXTERNAL =", true, "jane"},
			{"as oneself", []tls.Certificate{ca.user("jane")}, "EXTERNAL amFuZQ==", true, "jane"},
			{"as another", []tls.Certificate{ca.user("jane")}, "EXTERNAL am9l", true, ""},
			{"asked for the response", []tls.Certificate{ca.user("joe")}, "EXTERNAL", true, "joe"},
			{"unknown", []tls.Certificate{ca.user("nobody")}, "EXTERNAL =", true, ""},
			{"may not log in", []tls.Certificate{ca.user("away")}, "EXTERNAL =", true, ""},
			{"no name", []tls.Certificate{ca.user("")}, "EXTERNAL =", false, ""},
			{"two names", []tls.Certificate{two}, "EXTERNAL =", false, ""},
			{"no certificate", nil, "EXTERNAL =", false, ""},
			{"no certificate, but a password", nil, "PLAIN AGphbmUAZ2VoZWltLWphbmU=", false, "jane"},
		} {
			what := tls.VersionName(version) + ", " + x.what
			conn, err := tls.Dial("tcp", r.TLSAddr, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, Certificates: x.certs})
			must(t, err)
			c, err := rig.Use(conn)
			must(t, err)
			if caps := string(bytes.Join(cmd(t, c, "CAPABILITY"), nil)); strings.Contains(caps, "AUTH=EXTERNAL") != x.offered {
				t.Errorf("%s: %s", what, caps)
			}
			tag, err := c.Start("AUTHENTICATE %s", x.command)
			must(t, err)
			if x.command == "EXTERNAL" {
				if line, err := c.ReadResponse(); err != nil || string(line) != "+ " {
					t.Errorf("%s: %q, %v", what, line, err)
				}
				must(t, c.Send([]byte("\r\n")))
			}
			_, final, err := c.Until(tag)
			must(t, err)
			if strings.HasPrefix(string(final), "OK ") != (x.user != "") {
				t.Errorf("%s: %s", what, final)
			} else if x.user != "" {
				login := "msg=login user=" + x.user + " remote=" + conn.LocalAddr().String()
				waitFor(t, login, func() bool { return strings.Contains(r.Log(), login) })
				// The certificate counts until the login.
				cmd(t, c, "UNAUTHENTICATE")
				if _, err := c.Cmd("AUTHENTICATE EXTERNAL ="); err == nil {
					t.Errorf("%s: once more", what)
				}
			}
			c.Close()
		}
		conn, err := tls.Dial("tcp", r.TLSAddr, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				c := strangers.user("jane")
				return &c, nil
			}})
		if err == nil { // TLS 1.3: the client hears of it when it reads
			_, err = rig.Use(conn)
		}
		if err == nil {
			t.Errorf("%s: a stranger's certificate was taken", tls.VersionName(version))
		}
	}
	// curl does it the same way.
	cert := ca.user("joe")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	must(t, err)
	pair := filepath.Join(dir, "joe.pem")
	writeFile(t, pair, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))+
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	_, port, err := net.SplitHostPort(r.TLSAddr)
	must(t, err)
	out, err := exec.Command("curl", "-sS", "--cacert", filepath.Join(own, "cert.pem"), "--cert", pair, "--login-options", "AUTH=EXTERNAL", "--user", "joe:",
		"--request", "NAMESPACE", "imaps://localhost:"+port+"/").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "NAMESPACE") {
		t.Errorf("curl: %v, %s", err, out)
	}
}

// TestExternalByAddress: the name is the address in the certificate, and nobody connects without one.
func TestExternalByAddress(t *testing.T) {
	ca := newAuthority(t)
	file := filepath.Join(tempDir(t), "clients.pem")
	ca.write(file)
	r, _ := startAuth(t, "jane@example.org:{PLAIN}geheim:%i::%h/jane\n", `
[tls]
client_cert = "required"
client_ca = "`+file+`"
client_name = "emailAddress"
[auth]
mechanisms = ["EXTERNAL"]
`)
	for _, x := range []struct {
		cert tls.Certificate
		ok   bool
	}{
		{ca.user("x", "jane@example.org"), true},
		{ca.user("jane@example.org"), false},
		{ca.user("x", "jane@example.org", "joe@example.org"), false},
	} {
		conn, err := tls.Dial("tcp", r.TLSAddr, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{x.cert}})
		must(t, err)
		c, err := rig.Use(conn)
		must(t, err)
		if _, err = c.Cmd("AUTHENTICATE EXTERNAL ="); (err == nil) != x.ok {
			t.Errorf("%v: %v", x.cert.Leaf.EmailAddresses, err)
		}
		c.Close()
	}
	if c, err := rig.DialTLS(r.TLSAddr); err == nil {
		c.Close()
		t.Error("connected without a certificate")
	}
}
