package arch

import (
	"go/ast"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTopLevel: the tree shows the architecture, so the top level holds the rooms and nothing else.
func TestTopLevel(t *testing.T) {
	allowed := []string{
		"cmd", "core", "plugins", "mdbox", "notifier", "proto", "contrib", "testdata", "docs",
		"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "go.mod", "go.sum",
		".ci", ".gitignore", ".gitattributes", "staticcheck.conf",
		".git", "bin", "var", // not in the repository
	}
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}

// TestPackageNames: a package has a purpose that can be named.
func TestPackageNames(t *testing.T) {
	for _, s := range sources(t) {
		for _, name := range []string{s.file.Name.Name, path.Base(s.room)} {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "shared"}, name) {
				t.Errorf("%s: a package named %q says nothing about its purpose", s.path, name)
			}
		}
	}
}

// TestPackageComments: the package comment is the design document of its room.
func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || s.generated() {
			continue
		}
		documented[s.room] = documented[s.room] || s.file.Doc != nil
	}
	for room, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", room)
		}
	}
}

// TestNothingIsSkipped: a test that can not run fails and says what is missing.
func TestNothingIsSkipped(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "tb"}, x.Name) {
				t.Errorf("%s: %s.%s: nothing is skipped silently", s.fset.Position(n.Pos()), x.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

// TestShellScriptsParse: scripts are rarely run, and so rarely seen to be broken.
func TestShellScriptsParse(t *testing.T) {
	top := root(t)
	scripts := []string{filepath.Join(top, ".ci", "run")}
	for _, room := range []string{"contrib", "core", "plugins", "mdbox", "testdata", "cmd"} {
		found, err := exec.Command("find", filepath.Join(top, room), "-name", "*.sh").Output()
		if err != nil {
			if _, statErr := os.Stat(filepath.Join(top, room)); os.IsNotExist(statErr) {
				continue
			}
			t.Fatal(err)
		}
		scripts = append(scripts, strings.Fields(string(found))...)
	}
	for _, script := range scripts {
		shell := "sh"
		if b, err := os.ReadFile(script); err == nil && strings.Contains(strings.SplitN(string(b), "\n", 2)[0], "bash") {
			shell = "bash"
		}
		if out, err := exec.Command(shell, "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
	}
}
