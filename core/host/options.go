package host

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// checkOptions holds the configured values against what the plugin announces.
// The error has one of KindInvalidArgument for each that is wrong, which names the option, and where it stands.
func (c Config) checkOptions(info backend.Info) error {
	values := c.Plugin.Options
	var errs []error
	wrong := func(name, format string, args ...any) {
		errs = append(errs, backend.Errorf(backend.KindInvalidArgument, "%splugin %s: %s", c.at(name), c.Name, fmt.Sprintf(format, args...)))
	}
	known := map[string]backend.Option{}
	for _, o := range info.Options {
		known[o.Name] = o
		if _, ok := values[o.Name]; o.Required && !ok {
			wrong("", "option %s is required", o.Name)
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
			wrong(name, "unknown option %s (%s)", name, knownNames(info.Options))
		} else if !typeMatches(o.Type, values[name]) {
			wrong(name, "option %s must be of type %s", name, o.Type)
		}
	}
	return errors.Join(errs...)
}

// at returns "FILE:LINE: " of an option, or of all of them if that is not known or the option was left out; "" without At.
func (c Config) at(option string) string {
	return prefix(cmp.Or(c.At[option], c.At[""]))
}

// prefix returns "WHERE: ", "" for nowhere.
func prefix(where string) string {
	if where == "" {
		return ""
	}
	return where + ": "
}

// located adds to what Configure said where the option is that it complains of.
func (c Config) located(err error) error {
	var e *backend.Error
	option := ""
	if errors.As(err, &e) {
		option = e.Option
	}
	return fmt.Errorf("%splugin %s: %w", c.at(option), c.Name, err)
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
