package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestAppPasswords: they are made and revoked by commands, and let in as their scopes and times say.
func TestAppPasswords(t *testing.T) {
	dir := tempDir(t)
	apps := filepath.Join(dir, "apps")
	writeFile(t, apps, "# by hand\njoe:old:{PLAIN}geheim-old:2001-01-01:imap\njoe:pop:{PLAIN}geheim-pop::pop3\njoe:none:{PLAIN}geheim-none::\njoe:bad:{PLAIN}geheim-bad:soon:imap\n")
	r, _ := startAuth(t, authUsers+"away:{PLAIN}geheim-away:%i::%h/away::nologin\n", `
[auth]
failure_delay = "0s"
options.app_passwords_path = "`+apps+`"
[log]
level = "debug"
`)
	run := func(input string, ok bool, args ...string) string {
		t.Helper()
		c := exec.Command(roostBinary, append(append([]string{"auth"}, args...), "--config", r.Config)...)
		c.Stdin = strings.NewReader(input)
		out, err := c.CombinedOutput()
		if (err == nil) != ok {
			t.Errorf("%v: %v, %s", args, err, out)
		}
		return string(out)
	}
	whole := strings.TrimSpace(run("", true, "app-password", "new", "--label", "phone", "jane"))
	reads := strings.TrimSpace(run("", true, "app-password", "new", "--label", "backup job", "--scopes", "imap:read", "--expires", "30d", "jane"))
	away := strings.TrimSpace(run("", true, "app-password", "new", "--label", "phone", "away"))
	run("", false, "app-password", "new", "--label", "phone", "jane")
	run("", false, "app-password", "new", "--label", "x", "--scopes", "all", "jane")
	run("", false, "app-password", "new", "--label", "x", "--expires", "soon", "jane")
	run("", false, "app-password", "new", "--label", "x", "--expires", "2001-02-03", "jane")
	if len(whole) < 26 || whole == reads {
		t.Fatalf("%q, %q", whole, reads)
	}
	if out := run("", true, "app-password", "list", "jane"); !strings.Contains(out, "phone") || !strings.Contains(out, "imap:read") || strings.Contains(out, "SSHA") {
		t.Errorf("%s", out)
	}
	if out := run(reads+"\n", true, "test", "jane"); !strings.Contains(out, "user: jane\napp password: backup job\nfor reading only\nexpires: 20") || !strings.Contains(out, "home: ") {
		t.Errorf("%s", out)
	}
	if out := run("geheim\n", false, "test", "jane"); !strings.HasPrefix(out, "refused: authentication failed\n") {
		t.Errorf("%s", out)
	}
	waitFor(t, "the new passwords", func() bool { return tryLogin(t, r.Addr, "jane", whole) == nil })
	for _, x := range []struct {
		user, password string
		ok             bool
	}{
		{"jane", "geheim-jane", true}, {"JANE", whole, true}, {"jane", reads, true}, {"jane", whole + "x", false}, {"jane", strings.ToLower(whole), false},
		{"joe", whole, false}, {"joe", "geheim-old", false}, {"joe", "geheim-pop", false}, {"joe", "geheim-none", false}, {"joe", "geheim-bad", false},
		{"joe", "geheim-joe", true}, {"away", away, false},
	} {
		if err := tryLogin(t, r.Addr, x.user, x.password); (err == nil) != x.ok {
			t.Errorf("%s, %s: %v", x.user, x.password, err)
		}
	}
	owner, err := rig.Dial(r.Addr)
	must(t, err)
	defer owner.Close()
	cmd(t, owner, "LOGIN jane %s", whole)
	cmd(t, owner, "APPEND INBOX {5+}\r\na: b\r")
	cmd(t, owner, "SELECT INBOX")
	reader, err := rig.Dial(r.Addr)
	must(t, err)
	defer reader.Close()
	cmd(t, reader, "LOGIN jane %s", reads)
	if _, final, err := selected(reader); err != nil || !bytes.HasPrefix(final, []byte("OK [READ-ONLY]")) {
		t.Errorf("SELECT: %s, %v", final, err)
	}
	cmd(t, reader, "FETCH 1 BODY[]") // \Seen is not set
	if got := string(bytes.Join(cmd(t, reader, "FETCH 1 FLAGS"), nil)); strings.Contains(got, `\Seen`) {
		t.Errorf("%s", got)
	}
	for _, c := range []string{`STORE 1 +FLAGS \Deleted`, "EXPUNGE", "COPY 1 INBOX", "MOVE 1 INBOX", "CREATE x", "DELETE INBOX", "RENAME INBOX x", "SUBSCRIBE x", "UNSUBSCRIBE x", "APPEND INBOX {3+}\r\nabc"} {
		if _, err := reader.Cmd("%s", c); err == nil || !strings.Contains(err.Error(), "NO [READ-ONLY]") {
			t.Errorf("%s: %v", c, err)
		}
	}
	cmd(t, reader, "CLOSE")
	// It is a right of the login, and goes with it.
	cmd(t, reader, "UNAUTHENTICATE")
	cmd(t, reader, "LOGIN jane %s", whole)
	cmd(t, reader, "CREATE x")
	run("", true, "app-password", "revoke", "--label", "phone", "jane")
	run("", false, "app-password", "revoke", "--label", "phone", "jane")
	waitFor(t, "the end of the password", func() bool { return tryLogin(t, r.Addr, "jane", whole) != nil })
	must(t, tryLogin(t, r.Addr, "jane", reads))
	cmd(t, owner, "NOOP") // a session goes on
	waitFor(t, "the log", func() bool {
		return strings.Contains(r.Log(), `msg=login user=jane`) && strings.Contains(r.Log(), `label="backup job" read_only=true`) && strings.Contains(r.Log(), "label=bad")
	})
	for _, secret := range []string{whole, reads, away} {
		if strings.Contains(r.Log(), secret) {
			t.Error("the log has an app password")
		}
	}
}

func selected(c *rig.Client) (untagged [][]byte, final []byte, err error) {
	tag, err := c.Start("SELECT INBOX")
	if err != nil {
		return nil, nil, err
	}
	return c.Until(tag)
}
