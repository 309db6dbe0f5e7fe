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
		{"name the program in it", []string{"."}},
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

func TestPluginCheck(t *testing.T) {
	out, errs, code := roost(t, "plugin", "check", "auth/static", "--kind", "auth")
	if code != 0 || !strings.Contains(out, "PASS roost/Handshake") || !strings.Contains(out, "PASS: 6 passed, 0 failed, 0 skipped") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	out, _, code = roost(t, "plugin", "check", "auth/static", "--kind", "storage")
	if code != 1 || !strings.Contains(out, `its kind is "auth", not "storage"`) {
		t.Errorf("another kind: exit code %d: %s", code, out)
	}
	out, _, code = roost(t, "plugin", "check", "/bin/sh", "--", "-c", "echo no database >&2; exit 3")
	if code != 1 || !strings.Contains(out, "it ended before it printed the handshake: exit status 3") || !strings.Contains(out, "no database") {
		t.Errorf("a program that is no plugin: exit code %d: %s", code, out)
	}
}

// TestPluginHash: the line that is printed lets roost start the program, and one for what roost would refuse is not printed.
func TestPluginHash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, []byte("hello"), 0o700); err != nil {
		t.Fatal(err)
	}
	const want = "sha256 = \"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"\n"
	if out, errs, code := roost(t, "plugin", "hash", path); code != 0 || out != want {
		t.Errorf("exit code %d, %q%s, want %q", code, out, errs, want)
	}
	if err := os.Chmod(path, 0o770); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{path: "only its owner can write", dir: "must be a file", filepath.Join(dir, "missing"): "no such file"} {
		if out, errs, code := roost(t, "plugin", "hash", file); code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, %q%s, want %q", file, code, out, errs, want)
		}
	}
}

func TestPluginInfo(t *testing.T) {
	bundled, _, _ := roost(t, "plugin", "info", "auth/passwd-file")
	started, errs, code := roost(t, "plugin", "info", binary, "--", "plugin", "auth/passwd-file")
	if code != 0 || started != bundled || !strings.Contains(started, "auth/passwd-file ") || !strings.Contains(started, "path ") {
		t.Errorf("exit code %d, started:\n%s%s\nbundled:\n%s", code, started, errs, bundled)
	}
	file := filepath.Join(t.TempDir(), "roost.toml")
	text := "[imap]\nlisten = [\"127.0.0.1:0\"]\n[auth]\nplugin = \"mine\"\noptions.path = \"users\"\n[storage]\nplugin = \"mdbox\"\noptions.mail_location = \"mdbox:~/mail\"\n" +
		"[plugins.mine]\nkind = \"auth\"\ncommand = [\"" + binary + "\", \"plugin\", \"auth/passwd-file\"]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := roost(t, "plugin", "info", "--config", file, "mine", "--json")
	var info struct {
		Kind, Name string
		Options    []struct{ Name, Help string }
	}
	if err := json.Unmarshal([]byte(out), &info); code != 0 || err != nil || info.Kind != "auth" || info.Name != "passwd-file" || len(info.Options) == 0 || info.Options[0].Help == "" {
		t.Errorf("exit code %d, %v: %s%s", code, err, out, errs)
	}
	if _, errs, code := roost(t, "plugin", "info", "--config", file, "yours"); code != 1 || !strings.Contains(errs, "has no [plugins.yours]") {
		t.Errorf("an unknown name: exit code %d: %s", code, errs)
	}
}
