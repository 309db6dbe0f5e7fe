// Package scaffold starts the repository of a new plugin as a copy of an example in contrib/plugins, so that what an author begins with is
// built and tested with roost itself.
package scaffold

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/roostmail/roost/contrib/plugins"
	"github.com/roostmail/roost/proto"
)

// Options say what is made.
type Options struct {
	Name string // of the plugin: a-z, 0-9 and '-'
	Kind string // "auth"
	Lang string // "go" or "python"
	Dir  string // must not exist, or be empty
	// Checkout is the directory of a checkout of roost that a Go plugin is built with, by go.work; "" = the released module.
	Checkout string
}

// example is a plugin that copies are made of.
type example struct {
	dir    string
	option string // that it can not do without, as roost.toml has it
}

// examples are by kind and language.
var examples = map[string]example{
	"auth go":            {"auth-http", `url = "http://127.0.0.1:8080/"`},
	"auth python":        {"auth-python", `path = "users.json"`},
	"hibernation go":     {"hibernation-idle", ""},
	"hibernation python": {"hibernation-python", ""},
	"notify python":      {"notify-python", `url = "http://127.0.0.1:8080/"`},
	"state go":           {"state-map", ""},
	"state python":       {"state-python", ""},
	"storage go":         {"storage-mbox", `path = "/var/mail/%u"`},
	"storage python":     {"storage-python", `path = "/var/mail/%u"`},
}

//go:embed templates
var templates embed.FS

// Write makes the repository.
func Write(o Options) error {
	if o.Name == "" || strings.Trim(o.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.HasPrefix(o.Name, "-") {
		return fmt.Errorf("scaffold: the name %q must consist of a-z, 0-9 and '-'", o.Name)
	}
	example, ok := examples[o.Kind+" "+o.Lang]
	if !ok {
		var known []string
		for e := range examples {
			known = append(known, e)
		}
		slices.Sort(known)
		return fmt.Errorf("scaffold: there is no example of kind %s in %s; there are: %s", o.Kind, o.Lang, strings.Join(known, ", "))
	}
	if entries, err := os.ReadDir(o.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("scaffold: %s is not empty", o.Dir)
	}
	if o.Checkout != "" {
		abs, err := filepath.Abs(o.Checkout)
		if err != nil {
			return fmt.Errorf("scaffold: %w", err)
		}
		if _, err := os.Stat(filepath.Join(abs, "go.mod")); err != nil {
			return fmt.Errorf("scaffold: %s is no checkout of roost: %w", o.Checkout, err)
		}
		o.Checkout = abs
	}
	if err := o.copyTree(plugins.Examples, example.dir, o.Dir, example.dir); err != nil {
		return fmt.Errorf("scaffold: %w", err)
	}
	if o.Lang == "python" {
		for _, pkg := range []string{"plugin", o.Kind} {
			from := "roost/" + pkg + "/v1"
			if err := o.copyTree(proto.Files, from, filepath.Join(o.Dir, "proto", filepath.FromSlash(from)), ""); err != nil {
				return fmt.Errorf("scaffold: %w", err)
			}
		}
	}
	if err := o.render(example.option); err != nil {
		return fmt.Errorf("scaffold: %w", err)
	}
	return nil
}

// copyTree copies the files of a directory. In them, the name of the example, if it is not empty, becomes that of the plugin.
func (o Options) copyTree(from fs.FS, root, to, example string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := fs.ReadDir(from, root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		b, err := fs.ReadFile(from, path.Join(root, e.Name()))
		if err != nil {
			return err
		}
		if example != "" {
			b = bytes.ReplaceAll(b, []byte(example), []byte(o.Name))
			b = bytes.ReplaceAll(b, []byte("../../../proto"), []byte("proto"))
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), b, mode(b)); err != nil {
			return err
		}
	}
	return nil
}

// mode returns that of a file: a script can be executed.
func mode(b []byte) os.FileMode {
	if bytes.HasPrefix(b, []byte("#!")) {
		return 0o755
	}
	return 0o644
}

// render writes what no example has: the files around a repository. option is the one that the example needs.
func (o Options) render(option string) error {
	entries, err := templates.ReadDir("templates/" + o.Lang)
	if err != nil {
		return err
	}
	for _, e := range entries {
		t, err := template.ParseFS(templates, path.Join("templates", o.Lang, e.Name()))
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, struct {
			Options
			Option string
		}{o, option}); err != nil {
			return err
		}
		if b.Len() == 0 {
			continue
		}
		name := strings.TrimSuffix(strings.Replace(e.Name(), "dot-", ".", 1), ".tmpl")
		if err := os.WriteFile(filepath.Join(o.Dir, name), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
