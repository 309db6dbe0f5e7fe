package config

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

var kinds = []string{
	string(backend.KindStorage), string(backend.KindAuth), string(backend.KindHibernation),
	string(backend.KindNotify), string(backend.KindState),
}

// readExternals reads [plugins.NAME].
func readExternals(t *table, bundled Catalog) []External {
	var list []External
	for _, name := range slices.Sorted(maps.Keys(t.raw)) {
		e := readExternal(t.sub(name), name)
		if _, ok := bundled.find(e.Kind, name); !ok && len(e.Command) == 0 && e.Address == "" && e.Kind != "" {
			t.fail(name, "needs command or address: no plugin of this name and kind is bundled")
		}
		list = append(list, e)
	}
	return list
}

func readExternal(t *table, name string) External {
	e := External{
		Name:      name,
		Command:   t.texts("command"),
		Address:   t.text("address", ""),
		SHA256:    strings.ToLower(t.text("sha256", "")),
		User:      t.text("user", ""),
		Group:     t.text("group", ""),
		Isolation: t.oneOf("isolation", IsolationProcess, IsolationProcess),
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.doc.fail(t.path, "names of plugins consist of a-z, 0-9, '-' and '_'")
	}
	if kind := t.text("kind", ""); kind == "" {
		t.doc.fail(t.path, "needs kind, one of %s", quoteAll(kinds))
	} else if !slices.Contains(kinds, kind) {
		t.fail("kind", "must be one of %s, not %q", quoteAll(kinds), kind)
	} else {
		e.Kind = backend.Kind(kind)
	}
	if b, err := hex.DecodeString(e.SHA256); e.SHA256 != "" && (err != nil || len(b) != 32) {
		t.fail("sha256", "must be 64 hex digits")
	}
	if len(e.Command) > 0 {
		switch {
		case e.Command[0] == "":
			t.fail("command", "must not start with an empty string")
		case strings.ContainsRune(e.Command[0], '/'):
			e.Command[0] = t.doc.absolute(e.Command[0])
		default:
			t.fail("command", "must start with a path; PATH is not searched")
		}
	} else {
		if t.has("command") {
			t.fail("command", "must not be empty")
		}
		if e.SHA256 != "" {
			t.fail("sha256", "needs command")
		}
	}
	checkAddress(t, e)
	e.Process = readProcess(t, e.Kind)
	t.done()
	return e
}

// checkAddress reports what is wrong with the address, and what makes no sense beside it.
func checkAddress(t *table, e External) {
	if !t.has("address") {
		return
	}
	path, ok := strings.CutPrefix(e.Address, "unix://")
	switch {
	case !ok || !strings.HasPrefix(path, "/"):
		t.fail("address", `must be "unix://" and an absolute path`)
	case len(path) > maxSocketPath:
		t.fail("address", "must have %d bytes of path at most", maxSocketPath)
	}
	for _, key := range []string{"command", "sha256", "group", "env", "limits", "no_new_privs", "sandbox"} {
		if t.has(key) {
			t.fail(key, "is for plugins that roost starts, not for those with address")
		}
	}
}

// External returns the [plugins.NAME] of a name, if it has a command or an address.
func (c *Config) External(name string) (External, bool) {
	i := slices.IndexFunc(c.external, func(e External) bool { return e.Name == name && (len(e.Command) > 0 || e.Address != "") })
	if i < 0 {
		return External{}, false
	}
	return c.external[i], true
}

// pluginReader reads the sections that name a plugin.
type pluginReader struct {
	bundled  Catalog
	external []External
}

func (r pluginReader) read(t *table, kind backend.Kind, required bool) Plugin {
	p := Plugin{
		Kind:      kind,
		Name:      t.text("plugin", ""),
		Isolation: t.oneOf("isolation", IsolationProcess, IsolationProcess, IsolationInProcess),
		Where:     t.at(""),
	}
	p.External.Process = readProcess(&table{doc: t.doc, path: t.path}, kind)
	if kind == backend.KindStorage {
		p.ReadOnly = t.yes("read_only", false)
	}
	options := t.sub("options")
	t.done()
	if p.Name == "" {
		if required || t.has("plugin") || len(options.raw) > 0 {
			t.doc.fail(t.path, "needs plugin, one of %s", quoteAll(r.names(kind)))
		}
		return p
	}
	info, bundled := r.bundled.find(kind, p.Name)
	i := slices.IndexFunc(r.external, func(e External) bool { return e.Name == p.Name })
	if i >= 0 {
		p.External = r.external[i]
		p.Where = (&table{doc: t.doc, path: join("plugins", p.Name)}).at("")
	}
	p.At = map[string]string{"": options.at("")}
	for name := range options.raw {
		p.At[name] = options.at(name)
	}
	switch {
	case i >= 0 && p.External.Kind != kind && p.External.Kind != "":
		t.fail("plugin", "%q is a plugin of kind %s, not %s", p.Name, p.External.Kind, kind)
	case i >= 0 && (len(p.External.Command) > 0 || p.External.Address != ""):
		if p.Isolation == IsolationInProcess {
			t.fail("isolation", "only bundled plugins run inside of roost")
		}
		p.Options = untyped(options)
		return p
	case bundled:
		p.Bundled, p.schema = true, info.Options
		p.Options = readOptions(options, info.Options)
	default:
		t.fail("plugin", "there is no %s plugin %q%s", kind, p.Name, suggestPlugin(p.Name, r.names(kind)))
	}
	return p
}

// names returns the plugins of a kind that there are.
func (r pluginReader) names(kind backend.Kind) []string {
	var names []string
	if kind == backend.KindNotify {
		names = append(names, NotifyLocal)
	}
	for _, info := range r.bundled {
		if info.Kind == kind {
			names = append(names, info.Name)
		}
	}
	for _, e := range r.external {
		if e.Kind == kind && !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	return names
}

func suggestPlugin(name string, known []string) string {
	if k := nearest(name, known); k != "" {
		return `, did you mean "` + k + `"?`
	}
	return ""
}

// readOptions checks options against a plugin's schema.
func readOptions(t *table, schema []backend.Option) map[string]any {
	values := map[string]any{}
	for _, o := range schema {
		if !t.has(o.Name) {
			t.known = append(t.known, o.Name)
			if o.Required {
				t.doc.fail(t.path, "needs %s: %s", o.Name, o.Help)
			}
			continue
		}
		before := len(t.doc.errs)
		if v := readOption(t, o); len(t.doc.errs) == before {
			values[o.Name] = v
		}
	}
	t.done()
	return values
}

func readOption(t *table, o backend.Option) any {
	switch o.Type {
	case backend.OptionBool:
		return t.yes(o.Name, false)
	case backend.OptionInt:
		return read(t, o.Name, "an integer", int64(0))
	case backend.OptionStrings:
		return t.texts(o.Name)
	case backend.OptionDuration:
		t.duration(o.Name, 0)
		return asText(t.raw[o.Name])
	case backend.OptionSize:
		t.size(o.Name, 0, 0, 1<<62)
		return asText(t.raw[o.Name])
	}
	return t.text(o.Name, "")
}
