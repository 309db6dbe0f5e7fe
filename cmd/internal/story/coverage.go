package story

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Coverage says where each section of an RFC is fulfilled and shown.
type Coverage map[Ref]*Cover

// Cover is one section.
type Cover struct {
	Files   []string // with a comment that names it, from the root of the module
	Stories []string // with it in their header
	Why     string   // there is none, "" = not said
}

// codeRef is a reference in a comment: "RFC 3501 §6.4.4", "RFC 7162 §3.2.5, §3.2.6", "RFC 3501 §9: fetch".
var (
	codeRef = regexp.MustCompile(`RFC ([0-9]+)((?:(?:,| and)? §[0-9A-Z]+(?:\.[0-9]+)*)*)`)
	section = regexp.MustCompile(`§([0-9A-Z]+(?:\.[0-9]+)*)`)
)

// refsIn returns the sections that a comment names.
func refsIn(comment string) (refs []Ref) {
	for _, m := range codeRef.FindAllStringSubmatch(comment, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			continue // no number of an RFC
		}
		sections := section.FindAllStringSubmatch(m[2], -1)
		if sections == nil {
			refs = append(refs, Ref{RFC: n})
		}
		for _, s := range sections {
			refs = append(refs, Ref{n, s[1]})
		}
	}
	return refs
}

// CoverageOf reads the comments of the code below the given rooms of the module, tests and generated files left out, the stories, and
// why some sections have none.
func CoverageOf(root string, rooms []string, stories []*Story, required Requirements) (Coverage, error) {
	c := Coverage{}
	for _, room := range rooms {
		err := filepath.WalkDir(filepath.Join(root, room), func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(p) != ".go" || strings.HasSuffix(p, "_test.go") || strings.HasSuffix(p, ".pb.go") {
				return err
			}
			rel, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			return c.addFile(p, filepath.ToSlash(rel))
		})
		if err != nil {
			return nil, err
		}
	}
	for _, s := range stories {
		for _, r := range s.Refs {
			add(&c.at(r).Stories, s.Name)
		}
	}
	for r, why := range required {
		c.at(r).Why = why
	}
	return c, nil
}

func (c Coverage) addFile(file, rel string) error {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, g := range f.Comments {
		for _, r := range refsIn(strings.Join(strings.Fields(g.Text()), " ")) {
			add(&c.at(r).Files, rel)
		}
	}
	return nil
}

func (c Coverage) at(r Ref) *Cover {
	if c[r] == nil {
		c[r] = &Cover{}
	}
	return c[r]
}

// add puts s into the sorted list.
func add(list *[]string, s string) {
	if i, found := slices.BinarySearch(*list, s); !found {
		*list = slices.Insert(*list, i, s)
	}
}

// Markdown is the table, one section a line, in the order of their numbers.
func (c Coverage) Markdown() []byte {
	var refs []Ref
	for r := range c {
		refs = append(refs, r)
	}
	slices.SortFunc(refs, compareRefs)
	var b bytes.Buffer
	for i, r := range refs {
		if i == 0 || refs[i-1].RFC != r.RFC {
			fmt.Fprintf(&b, "\n## RFC %d\n\n| Section | Code | Stories |\n|---|---|---|\n", r.RFC)
		}
		name := "§" + r.Section
		if r.Section == "" {
			name = "as a whole"
		}
		shown := strings.Join(c[r].Stories, ", ")
		if c[r].Why != "" {
			shown = "none: " + c[r].Why
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, files(c[r].Files), shown)
	}
	return b.Bytes()
}

// files lists paths, each directory once: "core/imap/: fetch.go, store.go; core/message/: date.go".
func files(paths []string) string {
	var b strings.Builder
	dir := ""
	for _, p := range paths {
		switch d := path.Dir(p); {
		case d == dir:
			b.WriteString(", ")
		case dir != "":
			b.WriteString("; " + d + "/: ")
		default:
			b.WriteString(d + "/: ")
		}
		dir = path.Dir(p)
		b.WriteString(path.Base(p))
	}
	return b.String()
}

// compareRefs orders by number, sections by their parts: 6.4.2 before 6.4.10, both before an appendix.
func compareRefs(a, b Ref) int {
	if a.RFC != b.RFC {
		return a.RFC - b.RFC
	}
	return slices.CompareFunc(strings.Split(a.Section, "."), strings.Split(b.Section, "."), func(x, y string) int {
		n, err1 := strconv.Atoi(x)
		m, err2 := strconv.Atoi(y)
		switch {
		case err1 == nil && err2 == nil:
			return n - m
		case err1 == nil && y != "":
			return -1
		case err2 == nil && x != "":
			return 1
		}
		return strings.Compare(x, y)
	})
}
