package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// document is a file that is being read.
type document struct {
	file  string // as given by the user
	dir   string // absolute directory of the file
	lines positions
	errs  Errors
}

func (d *document) fail(path, format string, args ...any) {
	d.errs = append(d.errs, &Error{File: d.file, Line: d.line(path), Key: path, Msg: fmt.Sprintf(format, args...)})
}

// line returns the line of a path, or of the nearest table around it that has one.
func (d *document) line(path string) int {
	for path != "" {
		if n, ok := d.lines[path]; ok {
			return n
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

// at returns FILE:LINE of a key, "" = of the table.
func (t *table) at(key string) string {
	return fmt.Sprint(t.doc.file, ":", t.doc.line(strings.TrimSuffix(t.path+"."+key, ".")))
}

// absolute returns a path of the file's as an absolute one.
func (d *document) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

// table is a TOML table whose values are read by name. Methods that read a
// value return the default if it is not there, and also, after reporting it, if it is wrong.
type table struct {
	doc   *document
	path  string
	raw   map[string]any
	known []string
}

func (t *table) key(name string) string { return join(t.path, name) }

// has reports whether the key is written in the file.
func (t *table) has(name string) bool { _, ok := t.raw[name]; return ok }

func (t *table) fail(name, format string, args ...any) { t.doc.fail(t.key(name), format, args...) }

func (t *table) get(name string) (any, bool) {
	t.known = append(t.known, name)
	v, ok := t.raw[name]
	return v, ok
}

// read returns the value of a key as T, which TOML calls kind.
func read[T any](t *table, name, kind string, def T) T {
	v, ok := t.get(name)
	if !ok {
		return def
	}
	value, ok := v.(T)
	if !ok {
		t.fail(name, "must be %s, not %s", kind, describe(v))
		return def
	}
	return value
}

func (t *table) text(name, def string) string { return read(t, name, "a string", def) }
func (t *table) yes(name string, def bool) bool {
	return read(t, name, "true or false", def)
}

// oneOf reads a string that is one of a few.
func (t *table) oneOf(name, def string, choices ...string) string {
	v := t.text(name, def)
	if !slices.Contains(choices, v) {
		t.fail(name, "must be one of %s, not %q", quoteAll(choices), v)
		return def
	}
	return v
}

func (t *table) integer(name string, def, low, high int) int {
	v := read(t, name, "an integer", int64(def))
	if v < int64(low) || v > int64(high) {
		t.fail(name, "must be from %d to %d, not %d", low, high, v)
		return def
	}
	return int(v)
}

// size reads a number of bytes, or a string in Dovecot's size syntax.
func (t *table) size(name string, def, low, high int64) int64 {
	raw, ok := t.get(name)
	if !ok {
		return def
	}
	n := int64(0)
	switch v := raw.(type) {
	case int64:
		n = v
	case string:
		var err error
		if n, err = backend.ParseSize(v); err != nil {
			t.fail(name, "%q %v", v, err)
			return def
		}
	default:
		t.fail(name, `must be a size such as "10M", not %s`, describe(raw))
		return def
	}
	if n < low || n > high {
		t.fail(name, "must be from %d to %d bytes, not %d", low, high, n)
		return def
	}
	return n
}

func (t *table) duration(name string, def time.Duration) time.Duration {
	s := t.text(name, "")
	if s == "" {
		if t.has(name) && t.raw[name] == "" {
			t.fail(name, `"" is not a time such as "30s"`)
		}
		return def
	}
	d, err := backend.ParseDuration(s)
	if err != nil {
		t.fail(name, "%q %v", s, err)
		return def
	}
	return d
}

func (t *table) texts(name string) []string {
	list := read(t, name, "an array of strings", []any(nil))
	var texts []string
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			t.fail(name+index(i), "must be a string, not %s", describe(v))
			continue
		}
		texts = append(texts, s)
	}
	return texts
}

// sub returns the table of that name, which is empty if it is not there.
func (t *table) sub(name string) *table {
	return &table{doc: t.doc, path: t.key(name), raw: read(t, name, "a table", map[string]any(nil))}
}

// subs returns the tables of an array of that name.
func (t *table) subs(name string) []*table {
	raw, ok := t.get(name)
	if !ok {
		return nil
	}
	var list []*table
	switch v := raw.(type) {
	case []map[string]any:
		for i, m := range v {
			list = append(list, &table{doc: t.doc, path: t.key(name) + index(i), raw: m})
		}
	case []any:
		for i, e := range v {
			m, ok := e.(map[string]any)
			if !ok {
				t.fail(name+index(i), "must be a table, not %s", describe(e))
				continue
			}
			list = append(list, &table{doc: t.doc, path: t.key(name) + index(i), raw: m})
		}
	default:
		t.fail(name, "must be an array of tables, not %s", describe(raw))
	}
	return list
}

// done reports the keys that nobody asked for.
func (t *table) done() {
	for _, name := range slices.Sorted(maps.Keys(t.raw)) {
		if !slices.Contains(t.known, name) {
			t.fail(name, "unknown key%s", suggestion(t.path, name, t.known))
		}
	}
}

// suggestion is what to write instead of an unknown key.
func suggestion(path, name string, known []string) string {
	if k := nearest(name, known); k != "" {
		return fmt.Sprintf(", did you mean %q?", join(path, k))
	}
	if len(known) == 0 {
		return "; there are none here"
	}
	return "; known are " + quoteAll(known)
}

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(quoted, ", ")
}

// describe names the TOML type of a value.
func describe(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	case []any, []map[string]any:
		return "an array"
	}
	return "something else"
}
