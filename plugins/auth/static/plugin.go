// Package static is the auth plugin "static": every user has the same password and the same fields. It is for tests, for servers behind a
// proxy that has checked the users, and for userdb fields that follow from the name.
package static

import (
	"context"
	"log/slog"
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// Version of the plugin, semver.
const Version = "0.1.0"

// Plugin is the auth plugin. Its zero value is not usable: see New.
type Plugin struct {
	*authdb.DB // after Configure
	log        *slog.Logger
	password   string
	fields     []authdb.Field
}

var (
	_ backend.Auth       = (*Plugin)(nil)
	_ backend.UserLookup = (*Plugin)(nil)
	_ backend.SASL       = (*Plugin)(nil)
)

// New returns a plugin that has to be configured before use.
func New(log *slog.Logger) *Plugin { return &Plugin{log: log} }

// optionList documents the options. Defaults are also applied from here, so that the two can not differ.
var optionList = slices.Concat([]backend.Option{
	{Name: "password", Type: backend.OptionString, Required: true, Secret: true, Help: "password of every user, as it is, or {SCHEME}data"},
	{Name: "fields", Type: backend.OptionStrings, Help: `extra fields "key=value" of every user, with variables; userdb fields are "userdb_KEY=value"`},
}, plain(authdb.OptionList))

// plain returns options with PLAIN as the default scheme, as Dovecot's passdb static has it.
func plain(options []backend.Option) []backend.Option {
	options = slices.Clone(options)
	i := slices.IndexFunc(options, func(o backend.Option) bool { return o.Name == "scheme" })
	options[i].Default = `"PLAIN"`
	return options
}

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	return backend.Info{
		Kind: backend.KindAuth, Name: "static", Version: Version, Description: "any user, with one password",
		Capabilities: authdb.Capabilities(), Options: optionList,
	}
}

// Configure refuses an empty password: it would let everybody in.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	v := authdb.NewValues(c, optionList)
	common := v.Options()
	if p.password = v.Text("password"); p.password == "" {
		v.Fail("password", "is required")
	}
	p.fields = v.Fields("fields")
	p.DB = authdb.New(p.log, common, p, nil)
	return v.Err()
}

// Health is always well.
func (p *Plugin) Health(context.Context) error { return nil }

// Close has nothing to end.
func (p *Plugin) Close() error { return nil }

// Find implements authdb.Source: there is every user.
func (p *Plugin) Find(_ context.Context, _ string, v authdb.Vars) (authdb.Entry, error) {
	e := authdb.Entry{Found: true, Password: p.password, Where: "option password"}
	for _, f := range p.fields {
		value, err := v.ExpandField(f.Value)
		if err != nil {
			e.Err = err
			break
		}
		e.Fields = append(e.Fields, authdb.Field{Key: f.Key, Value: value})
	}
	return e, nil
}
