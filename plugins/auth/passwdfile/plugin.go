package passwdfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

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
	tables     *files[*table]
	apps       *files[map[string][]AppLine]
}

var (
	_ backend.Auth       = (*Plugin)(nil)
	_ backend.UserLookup = (*Plugin)(nil)
	_ backend.SASL       = (*Plugin)(nil)
)

// New returns a plugin that has to be configured before use.
func New(log *slog.Logger) *Plugin {
	return &Plugin{log: log, tables: newFiles(log, time.Now, readTable), apps: newFiles(log, time.Now, appLines)}
}

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	return backend.Info{
		Kind:         backend.KindAuth,
		Name:         "passwd-file",
		Version:      Version,
		Description:  "users and passwords from files in Dovecot's passwd-file syntax",
		Capabilities: authdb.Capabilities(),
		Options:      optionList,
	}
}

// Configure reads the file once, unless its path has variables: a mistake shows at the start.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	opts, common, err := parseOptions(c)
	if err != nil {
		return err
	}
	p.opts = opts
	p.DB = authdb.New(p.log, common, users{source{p, opts.users}}, p.tables.now)
	if opts.masters.path != "" {
		p.DB.SetMasters(source{p, opts.masters})
	}
	return p.readable()
}

// Health reports whether the file can be read. Files with variables in their path are not looked for.
func (p *Plugin) Health(context.Context) error { return p.readable() }

// Close has nothing to end.
func (p *Plugin) Close() error { return nil }

func (p *Plugin) readable() error {
	for _, f := range []file{p.opts.users, p.opts.masters} {
		if f.variable || f.path == "" {
			continue
		}
		path, _, err := authdb.Vars{}.ExpandPath(f.path)
		if err != nil {
			return backend.OptionErrorf(f.option, "%v", err)
		}
		if _, err := p.tables.get(path); err != nil {
			return &backend.Error{Kind: backend.KindUnavailable, Message: "the password file can not be read", Detail: err.Error(), Cause: err, Option: f.option}
		}
	}
	return nil
}

// source is one of the plugin's files.
type source struct {
	*Plugin
	file
}

// users is the source of users, who may have app passwords.
type users struct{ source }

// Find implements authdb.Source. A line that can not be used is logged, and counts as none.
func (p source) Find(_ context.Context, name string, v authdb.Vars) (authdb.Entry, error) {
	key, err := v.Expand(p.opts.userFormat)
	if err != nil {
		return authdb.Entry{}, internal(err)
	}
	path, ok, err := v.ExpandPath(p.path)
	if err != nil {
		return authdb.Entry{}, internal(err)
	}
	if !ok {
		return authdb.Entry{}, nil
	}
	t, err := p.tables.get(path)
	if err != nil {
		if p.variable && errors.Is(err, fs.ErrNotExist) {
			return authdb.Entry{}, nil
		}
		return authdb.Entry{}, &backend.Error{Kind: backend.KindUnavailable, Detail: err.Error(), Cause: err}
	}
	line, ok := t.line(key)
	if !ok {
		return p.absent(t, name), nil
	}
	e, err := parseLine(line, systemIDs)
	if err != nil {
		p.log.Error("line is ignored", "file", path, "error", err)
		return p.absent(t, name), nil
	}
	out := authdb.Entry{Found: true, Password: e.password, UserDB: columns(e), Where: path}
	out.UserOf = func(ctx context.Context, other string, v authdb.Vars) (map[string]string, error) {
		if other == name {
			return out.UserDB, nil
		}
		return p.userOf(ctx, other, v, out.UserDB)
	}
	v.Home = e.home
	for _, f := range e.extra {
		if f.Value, err = v.Expand(f.Value); err != nil {
			out.Err = fmt.Errorf("extra field %s: %w", f.Key, err)
			return out, nil
		}
		out.Fields = append(out.Fields, f)
	}
	return out, nil
}

// userOf returns the userdb fields of the user who has taken another's place, by the field user= or its like; own, which are those of that line, if
// there is no line of such a user.
func (p source) userOf(ctx context.Context, name string, v authdb.Vars, own map[string]string) (map[string]string, error) {
	e, err := p.Find(ctx, name, v)
	switch {
	case err != nil:
		return nil, err
	case !e.Found:
		return own, nil
	case e.Err != nil:
		return nil, e.Err
	}
	return authdb.UserFields(&e), nil
}

// absent is the entry of a user who is not there.
func (p *Plugin) absent(t *table, name string) authdb.Entry {
	var out authdb.Entry
	if line, ok := t.decoy(name); ok {
		if e, err := parseLine(line, systemIDs); err == nil {
			out.Decoy = e.password
		}
	}
	return out
}

// columns returns the userdb fields that have a column of their own.
func columns(e entry) map[string]string {
	m := map[string]string{}
	for _, f := range []authdb.Field{{Key: "uid", Value: e.uid}, {Key: "gid", Value: e.gid}, {Key: "home", Value: e.home}} {
		if f.Value != "" {
			m[f.Key] = f.Value
		}
	}
	return m
}

func internal(err error) error {
	return &backend.Error{Kind: backend.KindInternal, Detail: err.Error(), Cause: err}
}
