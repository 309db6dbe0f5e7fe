package config

import (
	"maps"
	"slices"
	"strconv"

	"github.com/roostmail/roost/core/backend"
)

// asText returns a size or duration as backend.Config wants it: a string in its syntax.
func asText(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case string:
		return v
	}
	return ""
}

// untyped reads options whose schema is only known when the plugin runs; core/host checks them then.
func untyped(t *table) map[string]any {
	values := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(t.raw)) {
		switch v := t.raw[name].(type) {
		case string, bool, int64:
			values[name] = v
		case []any:
			values[name] = t.texts(name)
		default:
			t.fail(name, "must be a string, a boolean, an integer or an array of strings, not %s", describe(v))
		}
	}
	return values
}

// Config returns what the plugin's Configure gets. Only storage is told the namespaces.
func (c *Config) Config(p Plugin) backend.Config {
	b := backend.Config{Options: p.Options, BaseDir: c.Dir, ReadOnly: p.ReadOnly}
	if p.Kind == backend.KindStorage {
		b.Namespaces = c.Namespaces
	}
	return b
}
