package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// summary returns the numbers of the last line that "roost plugin test" has printed.
func summary(t *testing.T, out string) (passed, failed, skipped int) {
	t.Helper()
	m := regexp.MustCompile(`(?m)^(?:PASS|FAIL): (\d+) passed, (\d+) failed, (\d+) skipped in [0-9.]+ s\n\z`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no summary in:\n%s", out)
	}
	for i, n := range []*int{&passed, &failed, &skipped} {
		*n, _ = strconv.Atoi(m[i+1])
	}
	return passed, failed, skipped
}

// passwdFile makes a passwd-file with the user jane, whose password is secret.
func passwdFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("jane:{PLAIN}secret::::/srv/mail/jane::\nlocked:{PLAIN}secret::::::nologin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPluginTestAuth(t *testing.T) {
	users := passwdFile(t)
	out, errs, code := roost(t, "plugin", "test", "auth/passwd-file", "--kind", "auth", "--option", "path="+users, "--user", "jane", "--password", "secret")
	passed, failed, _ := summary(t, out)
	if code != 0 || failed != 0 || passed < 500 {
		t.Errorf("exit code %d, %d passed, %d failed:\n%s%s", code, passed, failed, out, errs)
	}
	for _, want := range []string{"PASS process/WrongPassword/TrailingNUL", "PASS grpc/KilledInMidCall", "PASS Wire/VerifyPassword/CutTag", "SPEED process/Speed/login p99: "} {
		if !strings.Contains(out, "\n"+want) {
			t.Errorf("%s is not printed", want)
		}
	}

	out, _, code = roost(t, "plugin", "test", "auth/passwd-file", "--option", "path="+users, "--user", "jane", "--password", "wrong", "--run", "process/RightPassword")
	if passed, failed, _ := summary(t, out); code != 1 || passed != 0 || failed != 1 || !strings.Contains(out, "FAIL process/RightPassword") {
		t.Errorf("a login that must fail: exit code %d:\n%s", code, out)
	}
}

// TestPluginTestFixture: users and options come from a file; relative paths are relative to it.
func TestPluginTestFixture(t *testing.T) {
	dir := filepath.Dir(passwdFile(t))
	fixture := filepath.Join(dir, "conformance.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(fixture, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("kind = \"auth\"\noptions.path = \"users\"\n[auth]\ngood = [{ user = \"jane\", password = \"secret\" }]\ndenied = [{ user = \"locked\", password = \"secret\" }]\n")
	out, errs, code := roost(t, "plugin", "test", "auth/passwd-file", "--fixture", fixture, "--json", "--run", "process/(Denied|RightPassword)")
	if code != 0 {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	cases := map[any]any{}
	for line := range strings.Lines(out) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		cases[v["case"]] = v["result"]
	}
	if cases["process/Denied"] != "PASS" || cases["process/RightPassword"] != "PASS" || len(cases) != 3 {
		t.Errorf("cases %v", cases)
	}

	write("options.path = \"users\"\n[auth]\ngodo = []\n")
	if _, errs, code := roost(t, "plugin", "test", "auth/passwd-file", "--fixture", fixture); code != 1 || !strings.Contains(errs, "unknown key auth.godo") {
		t.Errorf("an unknown key: exit code %d: %s", code, errs)
	}
}

func TestPluginTestStorage(t *testing.T) {
	store := mdboxtest.Golden(t, "dovecot-2.3/small")
	fixture := filepath.Join(t.TempDir(), "conformance.toml")
	text := `options.mail_location = "mdbox:` + store.Root + `"
[storage]
user = "jane"
mailbox = "INBOX"
read_only = true
[storage.writable]
options.mail_location = "mdbox:{dir}/mdbox"
`
	if err := os.WriteFile(fixture, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := roost(t, "plugin", "test", "storage/mdbox", "--fixture", fixture)
	passed, failed, skipped := summary(t, out)
	if code != 0 || failed != 0 || passed < 400 || skipped == 0 {
		t.Errorf("exit code %d, %d passed, %d failed, %d skipped:\n%s%s", code, passed, failed, skipped, out, errs)
	}
	for _, want := range []string{"SKIP Write/process/ACL: the plugin does not announce acl", "PASS Write/process/KilledInMidAppend", "PASS ReadOnly/Append", "SPEED process/Speed/bodies: "} {
		if !strings.Contains(out, "\n"+want) {
			t.Errorf("%s is not printed", want)
		}
	}
}

func TestPluginTestRefuses(t *testing.T) {
	for _, c := range []struct {
		want string
		args []string
	}{
		{"is no program that can be started", []string{"./no-such-program"}},
		{`is a plugin of kind "auth", not "storage"`, []string{"auth/static", "--kind", "storage"}},
		{`no option "pth"`, []string{"auth/passwd-file", "--option", "pth=x"}},
		{"not of the form NAME=VALUE", []string{"auth/passwd-file", "--option", "path"}},
		{"no case matches", []string{"auth/static", "--run", "nothing"}},
		{"roost plugin check /bin/true says more", []string{"/bin/true"}},
	} {
		if out, errs, code := roost(t, append([]string{"plugin", "test"}, c.args...)...); code != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit code %d, %s%s, want %q", c.args, code, out, errs, c.want)
		}
	}
}
