package main

import (
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
