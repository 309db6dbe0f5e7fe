package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPluginNew makes a plugin of each kind and language, builds it, and runs a part of the conformance kit on it. (The whole kit runs on the
// examples that these are copies of, in contrib/plugins.)
func TestPluginNew(t *testing.T) {
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, lang, program string
		arguments           []string
	}{
		{"auth", "go", "my-plugin", []string{"--option", "url=http://127.0.0.1:1/", "--run", "Life|Wire"}},
		{"storage", "go", "my-plugin", []string{"--option", "path=/nonexistent/%u"}},
		{"hibernation", "go", "my-plugin", nil},
		{"hibernation", "python", "plugin.py", nil},
		{"state", "go", "my-plugin", []string{"--run", "Life|Wire|process"}},
		{"auth", "python", "plugin.py", nil},
		{"storage", "python", "plugin.py", nil},
		{"notify", "python", "plugin.py", nil},
		{"state", "python", "plugin.py", nil},
	} {
		t.Run(c.kind+" "+c.lang, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "repository")
			out, errs, code := roost(t, "plugin", "new", "--kind", c.kind, "--lang", c.lang, "--dir", dir, "--checkout", checkout, "my-plugin")
			if code != 0 || !strings.Contains(out, "make test") {
				t.Fatalf("exit code %d: %s%s", code, out, errs)
			}
			target := "build"
			if c.lang == "python" {
				target = "test" // which is the kit
			}
			make := exec.Command("make", "-C", dir, target)
			make.Env = append(os.Environ(), "ROOST="+binary)
			if out, err := make.CombinedOutput(); err != nil {
				t.Fatalf("make %s: %v\n%s", target, err, out)
			}
			program := filepath.Join(dir, c.program)
			if out, _, code := roost(t, "plugin", "info", program); code != 0 || !strings.HasPrefix(out, c.kind+"/my-plugin 1.0.0: ") {
				t.Errorf("plugin info: exit code %d: %s", code, out)
			}
			checkReadme(t, dir, program)
			if c.lang == "python" {
				return
			}
			vet := exec.Command("go", "vet", "./...") // compiles the tests too
			vet.Dir = dir
			if out, err := vet.CombinedOutput(); err != nil {
				t.Errorf("go vet: %v\n%s", err, out)
			}
			out, errs, code = roost(t, append([]string{"plugin", "test", "--quiet", program}, c.arguments...)...)
			if code != 0 {
				t.Errorf("plugin test: exit code %d: %s%s", code, out, errs)
			}
		})
	}
}

// checkReadme takes what the README of a new plugin says of roost.toml: nothing in it is unknown, and no option that the plugin needs is left out.
func checkReadme(t *testing.T, dir, program string) {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(readme), "In roost.toml")
	_, text, after := strings.Cut(text, "\n")
	if !found || !after {
		t.Fatalf("%s", readme)
	}
	for section, rest := range map[string]string{"[auth]": "plugin = 'static'\noptions.password = '{PLAIN}x'\n", "[storage]": "plugin = 'mdbox'\n", "[imap]": "listen = ['127.0.0.1:1']\n"} {
		if !strings.Contains(text, section) {
			text += section + "\n" + rest
		}
	}
	file := filepath.Join(t.TempDir(), "roost.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := roost(t, "config", "check", "--config", file); code != 0 {
		t.Errorf("%s%s", errs, text)
	}
	out, _, _ := roost(t, "plugin", "info", "--json", program)
	var info struct {
		Options []struct {
			Name     string
			Required bool
		}
	}
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		t.Fatal(err)
	}
	for _, o := range info.Options {
		if o.Required && !strings.Contains(text, "options."+o.Name+" = ") {
			t.Errorf("needs options.%s:\n%s", o.Name, text)
		}
	}
}

func TestPluginNewRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"must consist of a-z":                {"--kind", "auth", "--dir", t.TempDir(), "../x"},
		"there is no example of kind notify": {"--kind", "notify", "--lang", "go", "--dir", t.TempDir(), "x"},
		"is not empty":                       {"--kind", "auth", "--dir", full, "x"},
		"is no checkout of roost":            {"--kind", "auth", "--dir", t.TempDir(), "--checkout", full, "x"},
		`required flag(s) "kind"`:            {"x"},
	} {
		if out, errs, code := roost(t, append([]string{"plugin", "new"}, args...)...); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %s%s, want %q", args, code, out, errs, want)
		}
	}
}
