package dev

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPrepare(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "dev")
	file, err := Prepare(dir)
	if err != nil {
		t.Fatal(err)
	}
	if file != filepath.Join(dir, "roost.toml") {
		t.Errorf("configuration %q", file)
	}
	for _, name := range []string{"roost.toml", "users", "cert.pem", "key.pem", "mail/demo/mdbox/storage/m.1",
		"mail/demo/mdbox/mailboxes/INBOX/dbox-Mails/dovecot.index.log"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, secret := range []string{"users", "key.pem"} {
		if info, err := os.Stat(filepath.Join(dir, secret)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, info.Mode(), err)
		}
	}
	if leftover, err := filepath.Glob(filepath.Join(dir, "mail", "demo", ".*")); err != nil || len(leftover) > 0 {
		t.Errorf("left over: %v, %v", leftover, err)
	}
}

func TestPrepareKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	if _, err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, name := range []string{"users", "cert.pem", "key.pem", "mail/demo/mdbox/subscriptions"} {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "users") || strings.HasSuffix(name, "subscriptions") {
			if err := os.WriteFile(path, []byte("changed\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before[path] = string(b)
	}
	if _, err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range before {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s was changed: %v", path, err)
		}
	}
}

func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c"), filepath.Join(dir, "k")
	if err := ensureCertificate(cert, key); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that ends within a day is replaced.
	oldCert, oldKey, err := selfSigned(time.Now().Add(-certificateLife + time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{cert: oldCert, key: oldKey} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := ensureCertificate(cert, key); err != nil {
		t.Fatal(err)
	}
	if pair, err = tls.LoadX509KeyPair(cert, key); err != nil || time.Until(pair.Leaf.NotAfter) < 300*24*time.Hour {
		t.Errorf("not replaced: %v, %v", pair.Leaf.NotAfter, err)
	}
}

func TestUnpackStaysInside(t *testing.T) {
	for _, h := range []tar.Header{
		{Name: "../x", Typeflag: tar.TypeReg}, {Name: "/x", Typeflag: tar.TypeReg}, {Name: "a/../../x", Typeflag: tar.TypeReg},
		{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/"},
	} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := unpack(b.Bytes(), t.TempDir()); err == nil {
			t.Errorf("%s was unpacked", h.Name)
		}
	}
}

func TestHints(t *testing.T) {
	var out strings.Builder
	imap := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1143}
	imaps := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1993}
	if err := Hints(&out, "var/dev", []net.Addr{imap}, []net.Addr{imaps}, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"127.0.0.1:1143", "curl --cacert var/dev/cert.pem --user demo:demo 'imaps://127.0.0.1:1993/INBOX;UID=1'\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "status page") {
		t.Error("hints at an admin listener that is not there")
	}
}
