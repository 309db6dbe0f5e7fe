package story

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCoverageReadsCommentsAndHeaders(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a/x.go", "// Package a is RFC 7162\n// §3.1.2, §3.1.10 and more.\npackage a\n\nvar s = \"RFC 1\" // RFC 3501 §9: fetch\n")
	write("a/y.go", "package a\n\n// RFC 3501 §9\n\n// Of RFC 7162 A: no section.\n")
	write("a/b/z.go", "package b\n\n// RFC 3501 §9\n")
	write("a/x_test.go", "package a\n\n// RFC 2 §1\n")
	write("a/x.pb.go", "package a\n\n// RFC 3 §1\n")
	write("other/x.go", "package other\n\n// RFC 4 §1\n")
	s := parse(t, "# t\nrfc: 7162 §3.1.2, §A\n1> a NOOP\n")
	c, err := CoverageOf(root, []string{"a"}, []*Story{s}, Requirements{{3501, "2"}: "of clients", {7162, "3.1.2"}: ""})
	if err != nil {
		t.Fatal(err)
	}
	want := "\n## RFC 3501\n\n| Section | Code | Stories |\n|---|---|---|\n" +
		"| §2 |  | none: of clients |\n| §9 | a/b/: z.go; a/: x.go, y.go |  |\n" +
		"\n## RFC 7162\n\n| Section | Code | Stories |\n|---|---|---|\n" +
		"| as a whole | a/: y.go |  |\n| §3.1.2 | a/: x.go | x |\n| §3.1.10 | a/: x.go |  |\n| §A |  | x |\n"
	if got := string(c.Markdown()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRequirements(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	load := func(text string) (Requirements, error) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return LoadRequirements(file)
	}
	all, err := load("# x\n\n3501 §2: of clients\n3501 §3\n7162 §3.1.2: wrong\n7162 §3.1.3\n")
	if err != nil {
		t.Fatal(err)
	}
	err = all.Check(Coverage{{3501, "3"}: {Stories: []string{"s"}}, {7162, "3.1.2"}: {Stories: []string{"s"}}, {7162, "3.1.3"}: {Files: []string{"f"}}})
	var got []string
	if err != nil {
		got = slices.Sorted(strings.SplitSeq(err.Error(), "\n"))
	}
	want := []string{"RFC 7162 §3.1.2 is shown by s: there is no reason to give why not", "RFC 7162 §3.1.3: no story, and no reason why not"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, text := range []string{"3501", "x §1", "3501 §1, §2"} {
		if _, err := load(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestRefsAreOrderedByNumber(t *testing.T) {
	want := []Ref{{3501, ""}, {3501, "6.4"}, {3501, "6.4.2"}, {3501, "6.4.10"}, {3501, "11"}, {3501, "A"}, {7162, "1"}}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareRefs)
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
