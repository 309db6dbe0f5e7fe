package ldap

import (
	"context"
	"errors"
	"log/slog"

	"github.com/go-ldap/ldap/v3"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// Version of the plugin, semver.
const Version = "0.1.0"

// Plugin is the auth plugin. Its zero value is not usable: see New.
type Plugin struct {
	*authdb.DB // after Configure
	log        *slog.Logger
	opts       options
	directory  *directory
}

var (
	_ backend.Auth       = (*Plugin)(nil)
	_ backend.UserLookup = (*Plugin)(nil)
	_ backend.SASL       = (*Plugin)(nil)
)

// New returns a plugin that has to be configured before use.
func New(log *slog.Logger) *Plugin { return &Plugin{log: log} }

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	return backend.Info{
		Kind:         backend.KindAuth,
		Name:         "ldap",
		Version:      Version,
		Description:  "users from an LDAP directory, by search or bind, as Dovecot asks it",
		Capabilities: authdb.Capabilities(),
		Options:      optionList,
	}
}

// Configure does not connect: a directory that is down makes the plugin unhealthy, and logins unavailable, until it is back.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	opts, common, err := parseOptions(c)
	if err != nil {
		return err
	}
	p.opts = opts
	p.directory = newDirectory(&p.opts)
	p.DB = authdb.New(p.log, common, p, nil)
	if opts.master.filter != "" {
		p.DB.SetMasters(masters{p})
	}
	return nil
}

// Health connects, if there is no connection, and binds as the one who searches.
func (p *Plugin) Health(ctx context.Context) error {
	if _, err := p.directory.searcher(ctx, nil); err != nil {
		return &backend.Error{Kind: backend.KindUnavailable, Message: unreachable, Detail: err.Error(), Cause: err}
	}
	return nil
}

// Close ends the connections.
func (p *Plugin) Close() error {
	if p.directory != nil {
		p.directory.close()
	}
	return nil
}

// Find implements authdb.Source.
func (p *Plugin) Find(ctx context.Context, name string, v authdb.Vars) (authdb.Entry, error) {
	e := authdb.Entry{Where: "pass_filter"}
	dn := ""
	if p.opts.userDN != "" {
		var err error
		if dn, err = v.ExpandWith(p.opts.userDN, ldap.EscapeDN); err != nil {
			return e, internal(err)
		}
		e.Found = true
	} else {
		found, list, err := p.ask(ctx, p.opts.base, p.opts.passFilter, p.opts.passAttrs, v)
		if err != nil || found == nil {
			return e, err
		}
		dn = p.passdb(&e, found, list)
	}
	if p.opts.authBind {
		p.bindAs(&e, dn)
	}
	if p.opts.userFilter == "" {
		return e, nil
	}
	if p.opts.userDN == "" {
		e.UserOf = p.userdb
		return e, nil
	}
	var err error
	e.UserDB, err = p.userdb(ctx, name, v)
	if errors.Is(err, errNoUser) { // nobody else has looked whether the user exists
		return authdb.Entry{}, nil
	}
	return e, err
}

var errNoUser = errors.New("user_filter finds no entry for a user of pass_filter")

// userdb returns what user_filter finds of a user.
func (p *Plugin) userdb(ctx context.Context, _ string, v authdb.Vars) (map[string]string, error) {
	found, list, err := p.ask(ctx, p.opts.base, p.opts.userFilter, p.opts.userAttrs, v)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, errNoUser
	}
	fields := map[string]string{}
	for _, f := range list {
		fields[f.Key] = f.Value
	}
	return fields, nil
}

// passdb fills in what was found of a user, and returns the entry's name.
func (p *Plugin) passdb(e *authdb.Entry, found *ldap.Entry, list []authdb.Field) string {
	e.Found = true
	for _, f := range list {
		if f.Key == "password" {
			e.Password = f.Value
		} else {
			e.Fields = append(e.Fields, f)
		}
	}
	return found.DN
}

// bindAs lets the directory check the password.
func (p *Plugin) bindAs(e *authdb.Entry, dn string) {
	e.Password = ""
	e.Verify = func(ctx context.Context, password string) (bool, error) {
		ok, err := p.directory.bind(ctx, dn, password)
		if err != nil {
			return false, unavailable(err)
		}
		return ok, nil
	}
}

// masters is the source of master users.
type masters struct{ *Plugin }

// Find implements authdb.Source.
func (m masters) Find(ctx context.Context, _ string, v authdb.Vars) (authdb.Entry, error) {
	e := authdb.Entry{Where: "master_filter"}
	found, list, err := m.ask(ctx, m.opts.master.base, m.opts.master.filter, m.opts.master.attrs, v)
	if err != nil || found == nil {
		return e, err
	}
	dn := m.passdb(&e, found, list)
	if m.opts.authBind {
		m.bindAs(&e, dn)
	}
	return e, nil
}

// ask returns the entry that a filter finds, and its fields; nil = there is none.
func (p *Plugin) ask(ctx context.Context, base, filter string, attrs []attr, v authdb.Vars) (*ldap.Entry, []authdb.Field, error) {
	base, filter, err := expand(base, filter, v)
	if err != nil {
		return nil, nil, internal(err)
	}
	e, err := p.directory.find(ctx, base, filter, names(attrs))
	if errors.Is(err, errMany) {
		p.log.Error("filter finds more than one entry: nobody is let in", "filter", filter)
	}
	if err != nil {
		return nil, nil, unavailable(err)
	}
	if e == nil {
		return nil, nil, nil
	}
	list, err := fields(attrs, e, v)
	if err != nil {
		return nil, nil, internal(err)
	}
	return e, list, nil
}

// expand returns the base and the filter of a search.
func expand(base, filter string, v authdb.Vars) (string, string, error) {
	base, err := v.ExpandWith(base, ldap.EscapeDN)
	if err != nil {
		return "", "", err
	}
	filter, err = v.ExpandWith(filter, ldap.EscapeFilter)
	return base, filter, err
}

const unreachable = "the user directory can not be reached"

// unavailable is for a question that the directory has not answered.
func unavailable(err error) error {
	if errors.Is(err, errGivenUp) { // by the caller
		return backend.Errorf(backend.KindCancelled, "cancelled")
	}
	return &backend.Error{Kind: backend.KindUnavailable, Message: unreachable, Detail: err.Error(), Cause: err}
}

func internal(err error) error {
	return &backend.Error{Kind: backend.KindInternal, Detail: err.Error(), Cause: err}
}
