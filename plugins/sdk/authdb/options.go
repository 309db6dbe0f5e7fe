package authdb

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/password"
)

// Options are the settings that every plugin with a table of users has.
type Options struct {
	Scheme         string // of passwords without {SCHEME}
	AuthFormat     string // how a login name is normalised
	UserChars      string // that a login name may consist of; "" = any
	DefaultFields  []Field
	OverrideFields []Field
	// MasterSeparator is between a user and the master user who logs in as that; "" = login names have none.
	MasterSeparator string
	Limits          password.Limits
}

// OptionList documents Options. Defaults are also applied from here, so that the two can not differ.
var OptionList = slices.Concat([]backend.Option{
	{Name: "scheme", Type: backend.OptionString, Default: `"CRYPT"`, Help: "scheme of passwords that name none"},
	{Name: "auth_username_format", Type: backend.OptionString, Default: `"%Lu"`, Help: "how a login name is normalised"},
	{Name: "auth_username_chars", Type: backend.OptionString, Default: `"` + dovecotUserChars + `"`, Help: "characters that a login name may have; empty: any"},
	{Name: "default_fields", Type: backend.OptionStrings, Help: `userdb fields "key=value" for users whose entry has none, with variables`},
	{Name: "override_fields", Type: backend.OptionStrings, Help: `userdb fields "key=value" that replace those of every user, with variables`},
}, password.LimitOptions)

// MasterOption is for the list of a plugin that calls DB.SetMasters.
var MasterOption = backend.Option{Name: "auth_master_user_separator", Type: backend.OptionString,
	Help: `what is between a user and the master user who logs in as that, "*" in "user*master"; empty: no login name has both`}

// dovecotUserChars is the default of Dovecot's setting auth_username_chars.
const dovecotUserChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@"

// Values reads a plugin's options by name, and keeps the first thing that is wrong.
type Values struct {
	given map[string]any
	list  []backend.Option
	err   error
}

// NewValues returns the options of c, with the defaults of list.
func NewValues(c backend.Config, list []backend.Option) *Values {
	return &Values{given: c.Options, list: list}
}

// Err returns the first thing that was wrong, KindInvalidArgument, or nil.
func (v *Values) Err() error { return v.err }

// Fail says what is wrong with an option.
func (v *Values) Fail(name, format string, args ...any) {
	if v.err == nil {
		v.err = backend.OptionErrorf(name, format, args...)
	}
}

// raw returns the given value or else the default, as a string if that is quoted.
func (v *Values) raw(name string) any {
	if value, ok := v.given[name]; ok {
		return value
	}
	for _, o := range v.list {
		if o.Name == name {
			if s, err := strconv.Unquote(o.Default); err == nil {
				return s
			}
			return o.Default
		}
	}
	return nil
}

// Text returns a string.
func (v *Values) Text(name string) string {
	s, ok := v.raw(name).(string)
	if !ok {
		v.Fail(name, "is not a string")
	}
	return s
}

// Bool returns a truth value.
func (v *Values) Bool(name string) bool {
	switch b := v.raw(name).(type) {
	case bool:
		return b
	case string:
		return b == "true"
	}
	v.Fail(name, "is not true or false")
	return false
}

// Number returns a positive integer; with size, Dovecot's size syntax is taken too, and the result is in bytes.
func (v *Values) Number(name string, size bool) int64 {
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
		v.Fail(name, "is not a positive number")
	}
	return n
}

// Duration returns a positive duration.
func (v *Values) Duration(name string) time.Duration {
	d, err := time.ParseDuration(v.Text(name))
	if err != nil || d <= 0 {
		v.Fail(name, "is not a duration, such as 5s")
	}
	return d
}

// Strings returns an array of strings.
func (v *Values) Strings(name string) []string {
	list, _ := v.given[name].([]string)
	return list
}

// Fields returns an array of "key=value", values with variables.
func (v *Values) Fields(name string) []Field {
	var list []Field
	for _, w := range v.Strings(name) {
		key, value, _ := strings.Cut(w, "=")
		if key == "" {
			v.Fail(name, "%q has no key", w)
		}
		v.CheckVariables(name, value)
		list = append(list, Field{key, value})
	}
	return list
}

// CheckVariables expands a template once, so that a mistake shows at the start and not at the first login.
func (v *Values) CheckVariables(name, template string) {
	if _, err := (Vars{}).Expand(template); err != nil {
		v.Fail(name, "%v", err)
	}
}

// Options reads those of OptionList.
func (v *Values) Options() Options {
	o := Options{
		Scheme:         strings.ToUpper(v.Text("scheme")),
		AuthFormat:     v.Text("auth_username_format"),
		UserChars:      v.Text("auth_username_chars"),
		DefaultFields:  v.Fields("default_fields"),
		OverrideFields: v.Fields("override_fields"),
		Limits: password.Limits{
			Argon2MaxMemory: v.Number("argon2_max_memory", true),
			Argon2MaxTime:   v.Number("argon2_max_time", false),
			BcryptMaxCost:   v.Number("bcrypt_max_cost", false),
			CryptMaxRounds:  v.Number("crypt_max_rounds", false),
			PBKDF2MaxRounds: v.Number("pbkdf2_max_rounds", false),
		},
	}
	if slices.ContainsFunc(v.list, func(x backend.Option) bool { return x.Name == MasterOption.Name }) {
		o.MasterSeparator = v.Text(MasterOption.Name)
	}
	if v.err == nil && !password.Known(o.Scheme) {
		v.Fail("scheme", "%q is not a password scheme", o.Scheme)
	}
	v.CheckVariables("auth_username_format", o.AuthFormat)
	return o
}
