package mdboxtest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestData returns the path of the directory testdata of the module.
func TestData(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no source file name in the test binary")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "testdata")
}

// GoldenNames returns the golden stores, as "dovecot-2.3/small".
func GoldenNames(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(TestData(t), "dovecot-*", "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no golden stores in %s (%v)", TestData(t), err)
	}
	for i, d := range dirs {
		dirs[i] = filepath.Join(filepath.Base(filepath.Dir(d)), filepath.Base(d))
	}
	return dirs
}

// Golden copies a golden store to a temporary directory.
func Golden(t testing.TB, name string) *Store {
	t.Helper()
	src, home := filepath.Join(TestData(t), name), filepath.Join(t.TempDir(), "home")
	if err := os.CopyFS(home, os.DirFS(src)); err != nil {
		t.Fatal(err)
	}
	return &Store{
		Home:        home,
		Root:        filepath.Join(home, "mdbox"),
		Alt:         filepath.Join(home, "mdbox-alt"),
		Attachments: filepath.Join(home, "attachments"),
		Expected:    ReadExpected(t, filepath.Join(home, "expected.json")),
	}
}
