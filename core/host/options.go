package host

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// checkOptions holds the configured values against what the plugin announces.
// The error is of KindInvalidArgument and names the option, and where it stands.
func (c Config) checkOptions(info backend.Info) error {
	values := c.Plugin.Options
	wrong := func(name, format string, args ...any) error {
		at := c.At[name]
		if at != "" {
			at += ": "
		}
		return backend.Errorf(backend.KindInvalidArgument, "%splugin %s: %s", at, c.Name, fmt.Sprintf(format, args...))
	}
	known := map[string]backend.Option{}
	for _, o := range info.Options {
		known[o.Name] = o
		if _, ok := values[o.Name]; o.Required && !ok {
			return wrong("", "option %s is required", o.Name)
		}
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		o, ok := known[name]
		if !ok {
			return wrong(name, "unknown option %s (%s)", name, knownNames(info.Options))
		}
		if !typeMatches(o.Type, values[name]) {
			return wrong(name, "option %s must be of type %s", name, o.Type)
		}
	}
	return nil
}

func knownNames(options []backend.Option) string {
	if len(options) == 0 {
		return "it has no options"
	}
	var names []string
	for _, o := range options {
		names = append(names, o.Name)
	}
	sort.Strings(names)
	return "known: " + strings.Join(names, ", ")
}

// typeMatches reports whether a value from TOML fits. A type that this core does not know is the plugin's to check.
func typeMatches(t backend.OptionType, value any) bool {
	switch value.(type) {
	case string:
		return t != backend.OptionBool && t != backend.OptionInt && t != backend.OptionStrings
	case bool:
		return t == backend.OptionBool
	case int64:
		return t == backend.OptionInt || t == backend.OptionSize
	case []string:
		return t == backend.OptionStrings
	default:
		return false
	}
}
