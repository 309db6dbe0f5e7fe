package passwdfile

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// options is the plugin's configuration.
type options struct {
	path           string // absolute, with variables
	variable       bool   // path has variables
	scheme         string // of passwords without {SCHEME}
	authFormat     string // how a login name is normalised
	userFormat     string // what of the normalised name is looked up in the file
	userChars      string // that a login name may consist of; "" = any
	defaultFields  []field
	overrideFields []field
	limits         limits
}

// optionList documents the options. Defaults are also applied from here, so that the two can not differ.
var optionList = []backend.Option{
	{Name: "path", Type: backend.OptionString, Required: true, Help: "the file; may contain variables such as %d"},
	{Name: "scheme", Type: backend.OptionString, Default: `"CRYPT"`, Help: "scheme of passwords that name none"},
	{Name: "auth_username_format", Type: backend.OptionString, Default: `"%Lu"`, Help: "how a login name is normalised"},
	{Name: "username_format", Type: backend.OptionString, Default: `"%u"`, Help: "what of the normalised name is looked up in the file"},
	{Name: "auth_username_chars", Type: backend.OptionString, Default: `"` + dovecotUserChars + `"`, Help: "characters that a login name may have; empty: any"},
	{Name: "default_fields", Type: backend.OptionStrings, Help: `userdb fields "key=value" for users whose line has none, with variables`},
	{Name: "override_fields", Type: backend.OptionStrings, Help: `userdb fields "key=value" that replace those of every user, with variables`},
	{Name: "argon2_max_memory", Type: backend.OptionSize, Default: `"256M"`, Help: "largest memory that an ARGON2 hash may ask for"},
	{Name: "argon2_max_time", Type: backend.OptionInt, Default: "16", Help: "most passes that an ARGON2 hash may ask for"},
	{Name: "bcrypt_max_cost", Type: backend.OptionInt, Default: "14", Help: "highest cost of a BLF-CRYPT hash"},
	{Name: "crypt_max_rounds", Type: backend.OptionInt, Default: "1000000", Help: "most rounds of a SHA256-CRYPT or SHA512-CRYPT hash"},
	{Name: "pbkdf2_max_rounds", Type: backend.OptionInt, Default: "1000000", Help: "most rounds of a PBKDF2 or SCRAM hash"},
}

// dovecotUserChars is the default of Dovecot's setting auth_username_chars.
const dovecotUserChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@"

// values reads options by name, and keeps the first thing that is wrong.
type values struct {
	given map[string]any
	err   error
}

func (v *values) fail(name, format string, args ...any) {
	if v.err == nil {
		v.err = backend.Errorf(backend.KindInvalidArgument, "option %s: %s", name, fmt.Sprintf(format, args...))
	}
}

// raw returns the given value or else the default, as a string if that is quoted.
func (v *values) raw(name string) any {
	if value, ok := v.given[name]; ok {
		return value
	}
	for _, o := range optionList {
		if o.Name == name {
			if s, err := strconv.Unquote(o.Default); err == nil {
				return s
			}
			return o.Default
		}
	}
	return nil
}

func (v *values) text(name string) string {
	s, ok := v.raw(name).(string)
	if !ok {
		v.fail(name, "is not a string")
	}
	return s
}

// number takes an integer, or a string with a unit of Dovecot's size syntax if size is set. It must be positive.
func (v *values) number(name string, size bool) int64 {
	n := int64(-1)
	switch value := v.raw(name).(type) {
	case int64:
		n = value
	case string:
		parse := func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }
		if size {
			parse = backend.ParseSize
		}
		if i, err := parse(value); err == nil {
			n = i
		}
	}
	if n <= 0 {
		v.fail(name, "is not a positive number")
	}
	return n
}

func (v *values) fields(name string) []field {
	var list []field
	words, _ := v.given[name].([]string)
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		if key == "" {
			v.fail(name, "%q has no key", w)
		}
		v.checkVariables(name, value)
		list = append(list, field{key, value})
	}
	return list
}

// checkVariables expands a template once, so that a mistake shows at the start and not at the first login.
func (v *values) checkVariables(name, template string) {
	if _, err := (vars{}).expand(template); err != nil {
		v.fail(name, "%v", err)
	}
}

func parseOptions(c backend.Config) (options, error) {
	v := &values{given: c.Options}
	o := options{
		path:           v.text("path"),
		scheme:         strings.ToUpper(v.text("scheme")),
		authFormat:     v.text("auth_username_format"),
		userFormat:     v.text("username_format"),
		userChars:      v.text("auth_username_chars"),
		defaultFields:  v.fields("default_fields"),
		overrideFields: v.fields("override_fields"),
		limits: limits{
			argon2MaxMemory: v.number("argon2_max_memory", true),
			argon2MaxTime:   v.number("argon2_max_time", false),
			bcryptMaxCost:   v.number("bcrypt_max_cost", false),
			cryptMaxRounds:  v.number("crypt_max_rounds", false),
			pbkdf2MaxRounds: v.number("pbkdf2_max_rounds", false),
		},
	}
	if o.path == "" {
		v.fail("path", "is required")
	}
	if name, _, _ := strings.Cut(o.scheme, "."); v.err == nil {
		if _, ok := schemes[name]; !ok {
			v.fail("scheme", "%q is not a password scheme", o.scheme)
		}
	}
	v.checkVariables("path", o.path)
	v.checkVariables("auth_username_format", o.authFormat)
	v.checkVariables("username_format", o.userFormat)
	o.variable = strings.Contains(strings.ReplaceAll(o.path, "%%", ""), "%")
	if !filepath.IsAbs(o.path) {
		o.path = filepath.Join(c.BaseDir, o.path)
	}
	return o, v.err
}
