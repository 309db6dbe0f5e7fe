package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// imaplibReads logs in and prints the subjects of the INBOX and what a search finds.
const imaplibReads = `
import imaplib, json, sys
c = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
try:
    c.login("jane", "wrong")
    sys.exit("a wrong password logs in")
except imaplib.IMAP4.error:
    pass
c = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
c.login("jane", "secret")
n = int(c.select("INBOX", readonly=True)[1][0])
subjects = [c.fetch(str(i), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1].decode().strip() for i in range(1, n + 1)]
structure = c.fetch("1", "(BODYSTRUCTURE)")[1][0].decode()
found = c.search(None, "TEXT", '"meet at noon"')[1][0].decode()
print(json.dumps([subjects, structure, found]))
c.logout()
`

// TestForeignPlugins serves mail with plugins that are no part of roost: the Python auth plugin and the mbox storage plugin of contrib, as an
// operator configures them, to curl and to imaplib.
func TestForeignPlugins(t *testing.T) {
	dir := t.TempDir()
	must := func(err error, out ...[]byte) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	people := filepath.Join(dir, "people")
	must(os.CopyFS(people, os.DirFS("../../contrib/plugins/auth-python")))
	proto, err := filepath.Abs("../../proto")
	must(err)
	out, err := exec.Command("make", "-C", people, "-B", "gen", "PROTO="+proto).CombinedOutput()
	must(err, out)
	hash := exec.Command(filepath.Join(people, "plugin.py"), "hash")
	hash.Stdin = strings.NewReader("secret\n")
	password, err := hash.Output()
	must(err)
	must(os.WriteFile(filepath.Join(dir, "users.json"), fmt.Appendf(nil, `{"jane": {"password": %q}}`, strings.TrimSpace(string(password))), 0o600))

	box := filepath.Join(dir, "storage-mbox")
	out, err = exec.Command("go", "build", "-o", box, "../../contrib/plugins/storage-mbox").CombinedOutput()
	must(err, out)
	must(os.WriteFile(filepath.Join(dir, "jane.mbox"), []byte("From joe@example.org Tue Mar  3 10:00:00 2026\nFrom: joe@example.org\nSubject: Lunch\n\nLet us meet at noon.\n\n"+
		"From jim@example.org Wed Mar  4 10:00:00 2026\nFrom: jim@example.org\nSubject: Dinner\n\nOr at eight.\n"), 0o600))

	pin := func(path string) string { // a line of TOML
		line, errs, code := roost(t, "plugin", "hash", path)
		if code != 0 {
			t.Fatalf("plugin hash: %s", errs)
		}
		return line
	}
	file := filepath.Join(dir, "roost.toml")
	must(os.WriteFile(file, []byte(`[imap]
listen = ["127.0.0.1:0"]
[log]
format = "json"
[auth]
plugin = "people"
options.path = "users.json"
failure_delay = "0s"
[storage]
plugin = "box"
options.path = "%u.mbox"
[plugins.people]
kind = "auth"
command = ["./people/plugin.py"]
`+pin(filepath.Join(people, "plugin.py"))+`[plugins.box]
kind = "storage"
command = ["./storage-mbox"]
`+pin(box)), 0o600))
	r, _ := start(t, dir, "serve", "--config", file)
	var ready struct{ IMAP []string }
	must(json.Unmarshal([]byte(r.waitLog(0, `"msg":"ready"`)), &ready))
	_, port, _ := strings.Cut(ready.IMAP[0], ":")

	out, err = exec.Command("curl", "-sS", "-u", "jane:secret", "imap://"+ready.IMAP[0]+"/INBOX/;UID=1").CombinedOutput()
	if want := "From: joe@example.org\r\nSubject: Lunch\r\n\r\nLet us meet at noon.\r\n"; err != nil || string(out) != want {
		t.Errorf("curl: %v, %q, want %q", err, out, want)
	}
	if out, err = exec.Command("curl", "-sS", "-u", "jane:wrong", "imap://"+ready.IMAP[0]+"/INBOX/;UID=1").CombinedOutput(); err == nil {
		t.Errorf("curl with a wrong password: %q", out)
	}
	out, err = exec.Command("python3", "-c", imaplibReads, port).CombinedOutput()
	must(err, out)
	var got []any
	must(json.Unmarshal(out, &got))
	if want := `[[Subject: Lunch Subject: Dinner] 1 (BODYSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 22 1 NIL NIL NIL NIL)) 1]`; fmt.Sprint(got) != want {
		t.Errorf("imaplib: %v, want %s", got, want)
	}
}
