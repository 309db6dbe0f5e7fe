package checkpassword

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// pamUsers is what a PAM service asks: every user has the password "secret", but for some. Who is locked has no valid account.
const pamUsers = `#!/bin/sh
case $PAM_TYPE in
account) [ "$PAM_USER" != locked ]; exit;;
esac
read -r password
[ "$PAM_RHOST" = 127.0.0.1 ] && [ "$password" = secret ] && [ "$PAM_USER" != plugintest-nobody ]
`

// pamOptions builds roost-pam, and returns options for a service of its own.
func pamOptions(t *testing.T) map[string]any {
	t.Helper()
	dir := t.TempDir()
	helper, script := filepath.Join(dir, "roost-pam"), filepath.Join(dir, "check")
	build, err := filepath.Abs("../../../contrib/pam/build")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(build, helper).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("building roost-pam: %v, %s", err, out)
	}
	// What the script says is success, or PAM_AUTH_ERR of pam_deny: pam_exec itself would say PAM_SYSTEM_ERR.
	service := fmt.Sprintf("auth [success=1 default=ignore] pam_exec.so quiet expose_authtok %[1]s\nauth requisite pam_deny.so\nauth required pam_permit.so\n"+
		"account [success=1 default=ignore] pam_exec.so quiet %[1]s\naccount requisite pam_deny.so\naccount required pam_permit.so\n", script)
	for path, text := range map[string]string{script: pamUsers, filepath.Join(dir, "mail"): service, filepath.Join(dir, "broken"): "auth required pam_no_such_module.so\naccount required pam_permit.so\n"} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]any{"program": helper, "args": []string{"--confdir", dir, "--service", "mail"}, "auth_username_chars": ""}
}

// TestPAM: logins through roost-pam are what PAM says.
func TestPAM(t *testing.T) {
	o := pamOptions(t)
	p := New(slog.New(slog.DiscardHandler))
	if err := p.Configure(context.Background(), backend.Config{Options: o}); err != nil {
		t.Fatal(err)
	}
	login := func(user, password string) (*backend.Identity, error) {
		r := backend.PasswordRequest{User: user, Password: password, Service: "imap", Remote: netip.MustParseAddr("127.0.0.1")}
		return p.VerifyPassword(context.Background(), r)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	id, err := login(me.Username, "secret")
	if err != nil || id.User.Name != me.Username || id.User.Fields["home"] != me.HomeDir || id.User.Fields["uid"] != me.Uid || id.User.Fields["gid"] != me.Gid {
		t.Errorf("a user of the system: %+v, %v", id, err)
	}
	if id, err := login("virtual@example.org", "secret"); err != nil || id.User.Name != "virtual@example.org" || len(id.User.Fields) > 0 {
		t.Errorf("a user of PAM alone: %+v, %v", id, err)
	}
	for user, password := range map[string]string{"alice": "Secret", "bob": "", "locked": "secret", "plugintest-nobody": "secret"} {
		if id, err := login(user, password); err == nil || backend.KindOf(err) != backend.KindAuthFailed {
			t.Errorf("%s: %+v, %v", user, id, err)
		}
	}
	u, err := p.LookupUser(context.Background(), me.Username)
	if err != nil || u.Fields["home"] != me.HomeDir {
		t.Errorf("lookup: %+v, %v", u, err)
	}
	if u, err := p.LookupUser(context.Background(), "no-such-user"); backend.KindOf(err) != backend.KindNotFound || err == nil {
		t.Errorf("lookup: %+v, %v", u, err)
	}
	o["args"].([]string)[3] = "broken"
	if id, err := login("alice", "secret"); err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("a module that is not there: %+v, %v", id, err)
	}
}
