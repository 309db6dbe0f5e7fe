package server

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/roostmail/roost/core/config"
)

// Unapplied is the keys that have changed in the configuration, and that a reload does not take over.
type Unapplied struct {
	Restart []string `json:",omitempty"` // that need a restart, or a reload of the binary
	Plugin  []string `json:",omitempty"` // that need a reload of the plugin
}

// applied is the values that the server works with, by key. In the place of secrets there are digests.
type applied struct {
	mu     sync.Mutex
	values map[string]string
}

func newApplied(c *config.Config) *applied { return &applied{values: maps.Clone(c.Values())} }

// ofReload reports whether Reload takes a key over: that is, another file in the place of one.
func ofReload(key, before, after string) bool {
	switch key {
	case "log.level":
		return true
	case "tls.cert", "tls.key", "tls.client_ca":
		return before != "" && after != ""
	}
	return false
}

// ofPlugin reports whether a key belongs to the plugin of a kind and name.
func ofPlugin(key, kind, name string) bool {
	return strings.HasPrefix(key, kind+".options.") || strings.HasPrefix(key, "plugins."+name+".")
}

func (a *applied) compare(c *config.Config) (left Unapplied) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.Values()
	all := maps.Clone(a.values)
	maps.Copy(all, now)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		before, after := a.values[key], now[key]
		if table := tableOf(key); !has(a.values, table) || !has(now, table) { // the whole of it has come or gone
			key = table
		}
		switch {
		case before == after, ofReload(key, before, after):
		case strings.HasPrefix(key, "plugins.") || strings.Contains(key, ".options."):
			left.Plugin = append(left.Plugin, key)
		default:
			left.Restart = append(left.Restart, key)
		}
	}
	left.Restart, left.Plugin = slices.Compact(left.Restart), slices.Compact(left.Plugin)
	return left
}

// tableOf returns the table that a key is in: "plugins.my-auth" of "plugins.my-auth.restart.min".
func tableOf(key string) string {
	parts := strings.SplitN(key, ".", 3)
	if parts[0] == "plugins" {
		return parts[0] + "." + parts[1]
	}
	return parts[0]
}

// has reports whether there is a key in a table.
func has(values map[string]string, table string) bool {
	for key := range values {
		if strings.HasPrefix(key, table+".") {
			return true
		}
	}
	return false
}

// plugin takes down that a plugin, "storage/mdbox", works with what a configuration says of it.
func (a *applied) plugin(plugin string, c *config.Config) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kind, name, _ := strings.Cut(plugin, "/")
	mine := func(key, _ string) bool { return ofPlugin(key, kind, name) }
	maps.DeleteFunc(a.values, mine)
	for key, value := range c.Values() {
		if mine(key, value) {
			a.values[key] = value
		}
	}
}
