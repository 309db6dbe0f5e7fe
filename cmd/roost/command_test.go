package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/roostmail/roost/core/server"
)

func TestVersion(t *testing.T) {
	if out, _, code := roost(t, "version"); code != 0 || !strings.HasPrefix(out, "roost "+version+" (go") {
		t.Errorf("%d %q", code, out)
	}
}

func TestUnknownCommandsFail(t *testing.T) {
	for _, args := range [][]string{{"sevre"}, {"serve"}, {"config", "chekc"}, {"plugin", "auth/nope"}, {"serve", "--config", "/nonexistent/roost.toml"}} {
		if _, stderr, code := roost(t, args...); code != 1 || !strings.HasPrefix(stderr, "roost: ") {
			t.Errorf("%v: %d %q", args, code, stderr)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "roost.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	valid := "[imap]\nlisten = [\"127.0.0.1:1143\"]\n[auth]\nplugin = \"passwd-file\"\noptions.path = \"users\"\n[storage]\nplugin = \"mdbox\"\noptions.mail_location = \"mdbox:/srv/mail/%u/mdbox\"\n"
	write(valid)
	if out, _, code := roost(t, "config", "check", "--config", file); code != 0 || out != file+": ok\n" {
		t.Errorf("%d %q", code, out)
	}
	if out, _, code := roost(t, "config", "show", "--config", file); code != 0 ||
		!strings.Contains(out, "options.scheme = \"CRYPT\"\n") || !strings.Contains(out, "unauthenticated_line = 8192\n") {
		t.Errorf("%d %q", code, out)
	}
	write(valid + "options.mdbox_rotate_sizes = \"10M\"\n\n[limits]\nlien = 5\n")
	for _, command := range [][]string{{"config", "check"}, {"config", "show"}, {"serve"}} {
		_, stderr, code := roost(t, append(command, "--config", file)...)
		for _, want := range []string{
			file + `:9: storage.options.mdbox_rotate_sizes: unknown key, did you mean "storage.options.mdbox_rotate_size"?`,
			file + `:12: limits.lien: unknown key, did you mean "limits.line"?`,
		} {
			if code != 1 || !strings.Contains(stderr, want) {
				t.Errorf("%v: %d, no %q in %q", command, code, want, stderr)
			}
		}
	}

	// The options of a program are known when it was started, and some mistakes only to the plugin.
	external := fmt.Sprintf("[keeper]\nenabled = false\n[plugins.x]\nkind = \"auth\"\ncommand = [%q, \"plugin\", \"auth/passwd-file\"]\n", binary)
	users := filepath.Join(filepath.Dir(file), "users")
	if err := os.WriteFile(users, []byte("jane:{PLAIN}secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := strings.Replace(valid, `"passwd-file"`, `"x"`, 1) + external
	for _, c := range []struct {
		text string
		want []string // each ends the line but for an explanation
	}{
		{strings.Replace(foreign, "options.path", "options.path = \"users\"\noptions.colour", 1), []string{":6: plugin auth/x: unknown option colour"}},
		{strings.Replace(foreign, `= "users"`, `= 5`, 1), []string{":5: plugin auth/x: option path must be of type string"}},
		{strings.Replace(foreign, `options.path = "users"`, `options.scheme = 1`, 1),
			[]string{":5: plugin auth/x: option path is required", ":5: plugin auth/x: option scheme must be of type string"}},
		{strings.Replace(foreign, `options.path = "users"`, "options.path = \"users\"\noptions.scheme = \"ROT13\"", 1), []string{":6: plugin auth/x: option scheme: \"ROT13\""}},
		{strings.Replace(valid, `options.path`, "options.scheme = \"ROT13\"\noptions.path", 1), []string{":5: plugin auth/passwd-file: option scheme: \"ROT13\""}},
		{strings.Replace(foreign, `= "users"`, `= "nobody-is-here"`, 1), []string{":5: plugin auth/x: the password file can not be read"}},
		{strings.Replace(foreign, `options.path = "users"`, "", 1), []string{":3: plugin auth/x: option path is required"}},
		{valid + "[notify]\nplugin = \"x\"\n" + strings.Replace(external, `"auth"`, `"notify"`, 1), []string{":13: plugin notify/x is of kind \"auth\", not \"notify\""}},
		{strings.Replace(valid, "options.path", "mechanisms = [\"PLAIN\", \"XOAUTH2\"]\noptions.path", 1), []string{"the auth plugin passwd-file has no SASL mechanism XOAUTH2 ([auth] mechanisms)"}},
		{strings.Replace(foreign, binary, binary+"-gone", 1), []string{":11: host: start plugin auth/x: "}},
	} {
		write(strings.Replace(c.text, ":1143", ":0", 1))
		for _, command := range [][]string{{"serve"}, {"config", "check", "--plugins"}} {
			_, stderr, code := roost(t, append(command, "--config", file)...)
			for _, want := range c.want {
				if command[0] == "serve" {
					want = strings.TrimPrefix(want, ":11: host: ") // it is not about the file
				}
				if code != 1 || !strings.Contains(stderr, want) || strings.HasPrefix(want, ":") && !strings.Contains(stderr, file+want) {
					t.Errorf("%v: %d, no %q in %q", command, code, want, stderr)
				}
			}
		}
		if out, stderr, code := roost(t, "config", "check", "--config", file); code != 0 {
			t.Errorf("without --plugins: %d %q %q", code, out, stderr)
		}
	}

	// All is well, with one plugin of each way to run it.
	for _, text := range []string{valid, foreign, strings.Replace(valid, "plugin = \"mdbox\"", "plugin = \"mdbox\"\nisolation = \"inproc\"", 1)} {
		write(text)
		if out, stderr, code := roost(t, "config", "check", "--plugins", "--config", file); code != 0 || out != file+": ok\n" || stderr != "" {
			t.Errorf("%d %q %q", code, out, stderr)
		}
	}
}

func TestPluginListAndInfo(t *testing.T) {
	out, _, code := roost(t, "plugin", "list")
	for _, want := range []string{"auth/passwd-file", "storage/mdbox", "storage/sdbox", "storage/maildir"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%d, no %q in %q", code, want, out)
		}
	}
	out, _, code = roost(t, "plugin", "info", "auth/passwd-file")
	for _, want := range []string{"argon2_max_memory", "required", "user-lookup"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%d, no %q in %q", code, want, out)
		}
	}
}

// TestListOfLivePlugins: what is wrong with one plugin does not push the rows of the others out of their columns.
func TestListOfLivePlugins(t *testing.T) {
	var out strings.Builder
	err := showLive(&out, []*server.PluginReport{
		{Name: "auth/x", State: "disabled", Version: "1.0.0", LastError: "disabled by an operator", Errors: map[string]uint64{"INTERNAL": 2}},
		{Name: "storage/a-long-name", State: "running", Version: "1.0.0", PID: 7},
	})
	lines := strings.Split(out.String(), "\n")
	if err != nil || len(lines) != 6 || lines[3] != "auth/x: errors: 2 INTERNAL" || lines[4] != "auth/x: last: disabled by an operator" {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	for i, state := range []string{"STATE", "disabled", "running"} {
		if at := strings.Index(lines[i], state); at != strings.Index(lines[0], "STATE") {
			t.Errorf("%s is in column %d:\n%s", state, at, out.String())
		}
	}
}

// TestArgumentsThatAreMissing: the error says how the command is used.
func TestArgumentsThatAreMissing(t *testing.T) {
	if _, errs, code := roost(t, "plugin", "reload"); code != 1 || !strings.Contains(errs, "usage: roost plugin reload NAME --config FILE") {
		t.Errorf("%d %q", code, errs)
	}
}

// TestPluginByHand: a plugin that is not started by core says so, instead of waiting for it.
func TestPluginByHand(t *testing.T) {
	if _, stderr, code := roost(t, "plugin", "auth/passwd-file"); code != 1 || stderr == "" {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestReload(t *testing.T) {
	r := startDev(t)
	file := filepath.Join(r.dir, "roost.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text, logged string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		from := len(r.lines())
		if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		r.waitLog(from, logged)
	}
	c := r.login()
	reload(string(text)+"[log]\nlevle = 'debug'\n", `msg="reload failed".*did you mean \\"log.level\\"`)
	ok(t, c, "NOOP")
	reload(string(text)+"[log]\nlevel = 'debug'\n", `msg=reloaded level=DEBUG`)
	ok(t, c, "NOOP")
}

// TestReloadSaysWhatCameOfIt: who has a new certificate installed, by a program, must learn that the server has refused it.
func TestReloadSaysWhatCameOfIt(t *testing.T) {
	r := startDev(t)
	file, cert := filepath.Join(r.dir, "roost.toml"), filepath.Join(r.dir, "cert.pem")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file string, text []byte) {
		t.Helper()
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(args ...string) (string, string, int) {
		t.Helper()
		return roost(t, append(args, "--config", file)...)
	}
	if out, stderr, code := reload("reload"); code != 0 || out != "" {
		t.Errorf("nothing has changed: %d %q %q", code, out, stderr)
	}
	write(cert, []byte("not a certificate"))
	if _, stderr, code := reload("reload"); code != 1 || !strings.Contains(stderr, "[tls] cert and key") {
		t.Errorf("a certificate that is none: %d %q", code, stderr)
	}
	write(cert, good)
	write(file, append(slices.Clone(text), "[limits]\nbad_commands = 7\n[log]\nlevel = 'debug'\n[plugins.mdbox]\nkind = 'storage'\nlog_lines = 7\n"...))
	restart, plugin := "roost reload --binary, or a restart: limits.bad_commands\n", "roost plugin reload: plugins.mdbox\n"
	if out, stderr, code := reload("reload"); code != 0 || !strings.Contains(out, restart) || !strings.Contains(out, plugin) || strings.Contains(out, "log.level") {
		t.Errorf("keys that are not taken over: %d %q %q", code, out, stderr)
	}
	if _, stderr, code := reload("plugin", "reload", "mdbox"); code != 0 {
		t.Fatal(stderr)
	}
	if out, stderr, code := reload("reload"); code != 0 || !strings.Contains(out, restart) || strings.Contains(out, plugin) {
		t.Errorf("after a reload of the plugin: %d %q %q", code, out, stderr)
	}
}

func TestMailDump(t *testing.T) {
	r := startDev(t)
	store := filepath.Join(r.dir, "mail", "demo", "mdbox")
	for _, file := range []string{"mailboxes/INBOX/dbox-Mails/dovecot.index.log", "mailboxes/INBOX/dbox-Mails/dovecot.index.cache",
		"storage/dovecot.map.index.log", "storage/m.1", "dovecot.list.index.log", "subscriptions", "dovecot-uidvalidity"} {
		if out, stderr, code := roost(t, "mail", "dump", filepath.Join(store, file)); code != 0 || out == "" {
			t.Errorf("%s: %d %s", file, code, stderr)
		}
	}
	if _, stderr, code := roost(t, "mail", "dump", filepath.Join(r.dir, "key.pem")); code != 1 {
		t.Errorf("a file that is none of Dovecot's: %d %s", code, stderr)
	}
}
