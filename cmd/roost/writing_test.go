package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWritingPluginsWorks runs the commands of docs/writing-plugins.md that are marked as tested, one after the other.
func TestWritingPluginsWorks(t *testing.T) {
	b, err := os.ReadFile("../../docs/writing-plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`(?m)^<!-- tested -->\n\n((?:(?: {4}.*)?\n)+)`).FindAllStringSubmatch(string(b), -1)
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands, want 4", len(blocks))
	}
	var script strings.Builder
	for _, block := range blocks {
		for line := range strings.Lines(block[1]) {
			script.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "    "), "  ")) // two more in a list
		}
	}
	sh := exec.Command("sh", "-e", "-x")
	sh.Dir, sh.Stdin = t.TempDir(), strings.NewReader(script.String())
	sh.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	out, err := sh.CombinedOutput()
	if err != nil || strings.Count(string(out), "auth/my-auth 1.0.0") != 2 || !regexp.MustCompile(`(?m)^sha256 = "[0-9a-f]{64}"$`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}
