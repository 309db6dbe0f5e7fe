package e2e

import (
	"bytes"
	"encoding/base64"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestMasterUser: who may log in as whom, and with which rights, is the same in Dovecot and roost.
func TestMasterUser(t *testing.T) {
	dir := tempDir(t)
	masters := filepath.Join(dir, "masters")
	writeFile(t, masters, "admin:{PLAIN}geheim-admin\nnet:{PLAIN}geheim-net::::::allow_nets=192.0.2.0/24\nnobody:{PLAIN}geheim-nobody::::::noauthenticate\n")
	users := authUsers + "away:{PLAIN}geheim-away:%i::%h/away::nologin\nnet:{PLAIN}geheim-net:%i::%h/net\n"
	r, _ := startAuth(t, users, `
[auth]
mechanisms = ["PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5"]
failure_delay = "0s"
options.master_path = "`+masters+`"
options.auth_master_user_separator = "*"
[storage]
options.acl = "vfile"
[log]
level = "debug"
`)
	d := startDovecot(t, rig.DovecotOptions{Dir: filepath.Join(dir, "dovecot"), Passwd: writeUsers(t, dir, users), Extra: `
auth_master_user_separator = *
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = ` + masters + `
  master = yes
}
mail_plugins = acl
protocol imap {
  mail_plugins = acl imap_acl
}
plugin {
  acl = vfile
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`})
	servers := map[string]string{"Dovecot": d.Addr, "roost": r.Addr}
	plain := func(authz, user, password string) string {
		return "AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte(authz+"\x00"+user+"\x00"+password))
	}
	for _, x := range []struct {
		login string
		user  string // "" = refused
		own   bool   // Dovecot takes the user twice, or complains in its log
	}{
		{"LOGIN jane geheim-jane", "jane", false},
		{`LOGIN "jane*admin" geheim-admin`, "jane", false},
		{`LOGIN "JANE*admin" geheim-admin`, "jane", true},
		{plain("", "jane*admin", "geheim-admin"), "jane", false},
		{plain("jane", "admin", "geheim-admin"), "jane", false},
		{plain("Jane", "jane", "geheim-jane"), "jane", true},
		{"LOGIN away geheim-away", "", false},
		{`LOGIN "away*admin" geheim-admin`, "away", false}, // the user's own fields do not matter
		{"LOGIN admin geheim-admin", "", false},            // who is a master user only has no mail
		{`LOGIN "jane*admin" geheim-jane`, "", false},
		{`LOGIN "jane*admin" geheim`, "", false},
		{`LOGIN "jane*joe" geheim-joe`, "", false},
		{`LOGIN "jane*joe" geheim-jane`, "", false},
		{`LOGIN "nobody*admin" geheim-admin`, "", true},
		{`LOGIN "*admin" geheim-admin`, "", false},
		{`LOGIN "jane*" geheim-jane`, "", false},
		{`LOGIN "jane*net" geheim-net`, "", false},      // by its own networks
		{`LOGIN "jane*nobody" geheim-nobody`, "", true}, // by its own field noauthenticate
		{plain("jane", "joe", "geheim-joe"), "", false},
		{plain("jane", "joe", "geheim-jane"), "", false},
		{plain("joe", "jane*admin", "geheim-admin"), "", true},
	} {
		for name, addr := range servers {
			if x.own && name == "Dovecot" {
				continue
			}
			c, err := rig.Dial(addr)
			must(t, err)
			_, err = c.Cmd("%s", x.login)
			if (err == nil) != (x.user != "") {
				t.Errorf("%s: %s: %v", name, x.login, err)
			}
			c.Close()
		}
	}
	for name, addr := range servers {
		jane, err := rig.Dial(addr)
		must(t, err)
		cmd(t, jane, "LOGIN jane geheim-jane")
		cmd(t, jane, "CREATE open")
		cmd(t, jane, "CREATE closed")
		cmd(t, jane, "SETACL open admin lr")
		admin, err := rig.Dial(addr)
		must(t, err)
		cmd(t, admin, `LOGIN "jane*admin" geheim-admin`)
		if got := string(bytes.Join(cmd(t, admin, "MYRIGHTS open"), nil)); !strings.HasSuffix(strings.TrimSpace(got), " lr") {
			t.Errorf("%s: %s", name, got)
		}
		cmd(t, admin, "EXAMINE open")
		if _, err := admin.Cmd("EXAMINE closed"); err == nil {
			t.Errorf("%s: opened what the master user has no right to", name)
		}
		if name == "roost" {
			out, err := exec.Command(roostBinary, "sessions", "--config", r.Config).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "jane (admin)") {
				t.Errorf("%v, %s", err, out)
			}
		}
		jane.Close()
		admin.Close()
	}
	waitFor(t, "the log", func() bool {
		return strings.Contains(r.Log(), "msg=login user=away remote=") && strings.Contains(r.Log(), "master=admin")
	})
}
