package e2e

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// startAuth starts a roost with a passwd-file, and TOML that is laid over its configuration.
func startAuth(t *testing.T, users, over string) (r *rig.Roost, dir string) {
	t.Helper()
	dir = tempDir(t)
	r, err := rig.StartRoost(rig.RoostOptions{Binary: roostBinary, Dir: dir, Passwd: writeUsers(t, dir, users), Over: over})
	must(t, err)
	t.Cleanup(func() {
		must(t, r.Stop())
		secretsAreSecret(t, r.Log())
	})
	return r, dir
}

// writeUsers writes a passwd-file in which %i stands for the owner of the mail, and %h for a directory of homes, which it makes.
func writeUsers(t *testing.T, dir, users string) (path string) {
	t.Helper()
	home := filepath.Join(dir, "home")
	must(t, os.Mkdir(home, 0o755))
	must(t, os.Chown(home, rig.MailUID, rig.MailUID))
	path = filepath.Join(dir, "passwd")
	id := strconv.Itoa(rig.MailUID)
	writeFile(t, path, strings.NewReplacer("%i", id+":"+id, "%h", home).Replace(users))
	return path
}

// authUsers are those of most tests. What must not be in a log has "geheim" in it.
const authUsers = "jane:{PLAIN}geheim-jane:%i::%h/jane\njoe:{PLAIN}geheim-joe:%i::%h/joe\n"

// secretsAreSecret: nothing that somebody could log in with is in the log, plain or as it is sent.
func secretsAreSecret(t *testing.T, log string) {
	t.Helper()
	for i := range 3 { // base64 of a text that has it at any place
		enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + "geheim"))
		for _, secret := range []string{"geheim", enc[(8*i+5)/6:][:6]} {
			if at := strings.Index(log, secret); at >= 0 {
				t.Errorf("the log has a secret: …%s…", log[max(0, at-200):min(len(log), at+20)])
			}
		}
	}
}

const plusMechanisms = `
[auth]
mechanisms = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN"]
failure_delay = "0s"
[log]
level = "debug"
`

// TestGSASL: GNU SASL logs in with each SCRAM mechanism, with channel binding over TLS 1.3 (tls-exporter). Its tls-unique of TLS 1.2 is refused.
func TestGSASL(t *testing.T) {
	r, dir := startAuth(t, authUsers, plusMechanisms)
	gsasl := func(mechanism string, args ...string) string {
		_, port, _ := strings.Cut(r.Addr, ":")
		c := exec.Command("gsasl", append([]string{"--imap", "--verbose", "--connect=localhost:" + port, "--x509-ca-file=" + filepath.Join(dir, "cert.pem"),
			"--mechanism=" + mechanism, "--authentication-id=jane", "--authorization-id=jane", "--quality-of-protection=qop-auth", "--password=geheim-jane"}, args...)...)
		c.Stdin = strings.NewReader("")
		out, _ := c.CombinedOutput() // its exit code also fails for what follows the login
		return string(out)
	}
	for _, m := range []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"} {
		if out := gsasl(m); !strings.Contains(out, "(server trusted)") || !strings.Contains(out, "TLS1.3") {
			t.Errorf("%s: %s", m, out)
		}
	}
	for _, m := range []string{"SCRAM-SHA-256", "SCRAM-SHA-1"} {
		if out := gsasl(m, "--no-cb"); !strings.Contains(out, "(server trusted)") {
			t.Errorf("%s: %s", m, out)
		}
	}
	if out := gsasl("SCRAM-SHA-256-PLUS", "--priority=NORMAL:-VERS-TLS1.3"); strings.Contains(out, "(server trusted)") || !strings.Contains(out, "TLS1.2") {
		t.Errorf("tls-unique: %s", out)
	}
	waitFor(t, "the reason in the log", func() bool {
		return strings.Contains(r.Log(), `the connection has no channel binding of the type \"tls-unique\"`)
	})
}

// TestChannelBinding: which bindings are taken over which TLS, and what a client gets that was told of none (RFC 5802 §6).
func TestChannelBinding(t *testing.T) {
	r, dir := startAuth(t, authUsers, plusMechanisms)
	dial := func(version uint16) (c *rig.Client, exporter, endPoint []byte) {
		conn, err := tls.Dial("tcp", r.TLSAddr, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		must(t, err)
		state := conn.ConnectionState()
		exporter, err = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
		must(t, err)
		sum := sha256.Sum256(state.PeerCertificates[0].Raw) // ECDSA with SHA-256
		c, err = rig.Use(conn)
		must(t, err)
		t.Cleanup(c.Close)
		return c, exporter, sum[:]
	}
	login := func(c *rig.Client, mechanism string, conv *scram.ClientConversation) error {
		tag, err := c.Start("AUTHENTICATE %s", mechanism)
		must(t, err)
		challenge := ""
		for {
			line, err := c.ReadResponse()
			must(t, err)
			if text, ok := bytes.CutPrefix(line, []byte("+ ")); ok {
				b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
				must(t, err)
				challenge = string(b)
			} else if text, ok := bytes.CutPrefix(line, []byte(tag+" ")); ok {
				if bytes.HasPrefix(text, []byte("OK ")) {
					return nil
				}
				return fmt.Errorf("%s", text)
			}
			response, _ := conv.Step(challenge)
			must(t, c.Send([]byte(base64.StdEncoding.EncodeToString([]byte(response))+"\r\n")))
		}
	}
	client, err := scram.SHA256.NewClient("jane", "geheim-jane", "")
	must(t, err)
	binding := func(kind scram.ChannelBindingType, data []byte) *scram.ClientConversation {
		return client.NewConversationWithChannelBinding(scram.ChannelBinding{Type: kind, Data: data})
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		_, _, other := dial(version)
		for _, x := range []struct {
			what, mechanism string
			conv            func(exporter, endPoint []byte) *scram.ClientConversation
			ok              bool
		}{
			{"tls-exporter", "SCRAM-SHA-256-PLUS", func(e, _ []byte) *scram.ClientConversation { return binding("tls-exporter", e) }, true},
			{"tls-server-end-point", "SCRAM-SHA-256-PLUS", func(_, p []byte) *scram.ClientConversation { return binding("tls-server-end-point", p) }, true},
			{"none", "SCRAM-SHA-256", func(_, _ []byte) *scram.ClientConversation { return client.NewConversation() }, true},
			{"the binding of another connection", "SCRAM-SHA-256-PLUS", func(_, _ []byte) *scram.ClientConversation { return binding("tls-exporter", other) }, false},
			{"tls-unique", "SCRAM-SHA-256-PLUS", func(e, _ []byte) *scram.ClientConversation { return binding("tls-unique", e) }, false},
			{"none, with -PLUS", "SCRAM-SHA-256-PLUS", func(_, _ []byte) *scram.ClientConversation { return client.NewConversation() }, false},
			{"a binding, without -PLUS", "SCRAM-SHA-256", func(e, _ []byte) *scram.ClientConversation { return binding("tls-exporter", e) }, false},
			{"downgraded", "SCRAM-SHA-256", func(_, _ []byte) *scram.ClientConversation { return client.NewConversationAdvertisingChannelBinding() }, false},
		} {
			c, exporter, endPoint := dial(version)
			if err := login(c, x.mechanism, x.conv(exporter, endPoint)); (err == nil) != x.ok {
				t.Errorf("%s, %s: %v", tls.VersionName(version), x.what, err)
			}
		}
	}
	// The certificate of a session is that of its handshake, whatever is in the file by now.
	old, _, oldEnd := dial(tls.VersionTLS13)
	must(t, os.Remove(filepath.Join(dir, "cert.pem")))
	_, _, err = rig.WriteCert(dir)
	must(t, err)
	for _, pid := range r.CorePIDs() {
		must(t, syscall.Kill(pid, syscall.SIGHUP))
	}
	waitFor(t, "the reload", func() bool { return strings.Contains(r.Log(), "msg=reloaded") })
	fresh, _, freshEnd := dial(tls.VersionTLS13)
	if bytes.Equal(oldEnd, freshEnd) {
		t.Fatal("the certificate was not exchanged")
	}
	for c, end := range map[*rig.Client][]byte{old: oldEnd, fresh: freshEnd} {
		if err := login(c, "SCRAM-SHA-256-PLUS", binding("tls-server-end-point", end)); err != nil {
			t.Error(err)
		}
	}
	// Without TLS there is nothing to bind to.
	plain, err := rig.Dial(r.Addr)
	must(t, err)
	defer plain.Close()
	caps := string(bytes.Join(cmd(t, plain, "CAPABILITY"), nil))
	if strings.Contains(caps, "PLUS ") || !strings.Contains(caps, "AUTH=SCRAM-SHA-256 ") {
		t.Errorf("%s", caps)
	}
	if _, err := plain.Cmd("AUTHENTICATE SCRAM-SHA-256-PLUS"); err == nil || !strings.Contains(err.Error(), "not available on this connection") {
		t.Errorf("%v", err)
	}
}
