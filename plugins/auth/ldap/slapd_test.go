package ldap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile DIR/cert.pem
TLSCertificateKeyFile DIR/key.pem
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw admin-secret
directory DIR/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,dc=example,dc=org" read by * none
`

const ldif = `dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: cn=reader,dc=example,dc=org
objectClass: simpleSecurityObject
objectClass: organizationalRole
cn: reader
userPassword: reader-secret

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people
`

// person is an entry of the directory. password is stored as it is, title may say "nologin", street are networks.
func person(uid, password, title, street string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\ndn: uid=%s,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nobjectClass: posixAccount\nuid: %s\ncn: %s\nsn: x\n", ldap.EscapeDN(uid), uid, uid)
	fmt.Fprintf(&b, "uidNumber: 5000\ngidNumber: 5001\nhomeDirectory: /home/%s\nuserPassword: %s\n", uid, password)
	if title != "" {
		fmt.Fprintf(&b, "title: %s\n", title)
	}
	if street != "" {
		fmt.Fprintf(&b, "street: %s\n", street)
	}
	return b.String()
}

// appEntry is an app password of alice.
type appEntry struct{ label, password, scopes, expires string }

func (a appEntry) ldif() string {
	s := fmt.Sprintf("\ndn: cn=%s,uid=alice,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\ncn: %s\nsn: x\nuserPassword: %s\ndescription: %s\n", a.label, a.label, a.password, a.scopes)
	if a.expires != "" {
		s += "employeeType: " + a.expires + "\n"
	}
	return s
}

// slapd is a directory.
type slapd struct{ plain, tls, ca string }

// startSlapd runs a directory until the end of the test.
func startSlapd(t *testing.T) slapd {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate(t, dir)
	write("conf", strings.ReplaceAll(slapdConf, "DIR", dir))
	people := person("alice", "{SSHA}9lcvEqreRGSSoEGZIPWaVbrej47V0NEH", "", "") + person("bob@example.org", "secret", "", "") +
		person("dave", "secret", "nologin", "") + person("erin", "secret", "", "192.0.2.0/24") + person("twin", "secret", "", "")
	people += "\ndn: ou=masters,dc=example,dc=org\nobjectClass: organizationalUnit\nou: masters\n" +
		strings.Replace(person("root", "root-secret", "", ""), "ou=people", "ou=masters", 1) +
		strings.Replace(person("away", "away-secret", "nologin", ""), "ou=people", "ou=masters", 1)
	for _, a := range []appEntry{{"phone", "app-phone", "imap", ""}, {"backup", "app-backup", "imap:read", "29991231000000Z"}, {"old", "app-old", "imap", "20200101000000Z"},
		{"smtp", "app-smtp", "submission", ""}, {"odd", "app-odd", "imap", "someday"}} {
		people += a.ldif()
	}
	write("ldif", ldif+people+strings.Replace(person("twin", "secret", "", ""), "dn: uid=twin", "dn: cn=twin", 1))
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("/usr/sbin/slapadd", "-f", filepath.Join(dir, "conf"), "-l", filepath.Join(dir, "ldif")).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	s := slapd{plain: "ldap://127.0.0.1:" + freePort(t), tls: "ldaps://127.0.0.1:" + freePort(t), ca: filepath.Join(dir, "cert.pem")}
	var out strings.Builder
	cmd := exec.Command("/usr/sbin/slapd", "-f", filepath.Join(dir, "conf"), "-h", s.plain+" "+s.tls, "-d", "0")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() { // ends with the test: the kernel kills the server when the thread ends that has started it, and others of the test end threads
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-ended
	}()
	if err := <-started; err != nil {
		close(ended)
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer close(ended)
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("slapd:\n%s", out.String())
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		c, err := ldap.DialURL(s.plain)
		if err == nil {
			c.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("slapd does not answer: %v", err)
		}
	}
}

// certificate writes cert.pem and key.pem, for 127.0.0.1.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
