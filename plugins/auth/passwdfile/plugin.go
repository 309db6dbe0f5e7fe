package passwdfile

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"runtime"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// Version of the plugin, semver.
const Version = "0.1.0"

// Plugin is the auth plugin. Its zero value is not usable: see New.
type Plugin struct {
	log    *slog.Logger
	opts   options
	tables *tables
	// hashing has one element for each hash that is being computed; its
	// capacity is the number of cores. One ARGON2 hash takes 64 MiB and more.
	hashing chan struct{}
}

var (
	_ backend.Auth       = (*Plugin)(nil)
	_ backend.UserLookup = (*Plugin)(nil)
)

// New returns a plugin that has to be configured before use.
func New(log *slog.Logger) *Plugin {
	return &Plugin{
		log:     log,
		tables:  newTables(log, time.Now),
		hashing: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	return backend.Info{
		Kind:         backend.KindAuth,
		Name:         "passwd-file",
		Version:      Version,
		Description:  "users and passwords from files in Dovecot's passwd-file syntax",
		Capabilities: []string{backend.CapUserLookup},
		Options:      optionList,
	}
}

// Configure reads the file once, unless its path has variables: a mistake shows at the start.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	opts, err := parseOptions(c)
	if err != nil {
		return err
	}
	p.opts = opts
	return p.readable()
}

// Health reports whether the file can be read. Files with variables in their path are not looked for.
func (p *Plugin) Health(context.Context) error { return p.readable() }

// Close has nothing to end.
func (p *Plugin) Close() error { return nil }

func (p *Plugin) readable() error {
	if p.opts.variable {
		return nil
	}
	path, _, err := vars{}.expandPath(p.opts.path)
	if err != nil {
		return &backend.Error{Kind: backend.KindInvalidArgument, Message: "option path: " + err.Error()}
	}
	if _, err := p.tables.get(path); err != nil {
		return &backend.Error{Kind: backend.KindUnavailable, Message: "the password file can not be read", Detail: err.Error(), Cause: err}
	}
	return nil
}

// account is a user's line with what was needed to find it.
type account struct {
	name  string // normalised login name
	vars  vars
	path  string
	table *table // nil if the file does not exist
	entry entry  // zero if ok is false
	ok    bool
}

// find looks a user up. Not being there is no error. A line that can not be used is logged, and counts as none.
func (p *Plugin) find(login string, v vars) (account, error) {
	a := account{vars: v}
	a.vars.user = login
	if !p.allowedName(login) {
		return a, nil
	}
	var err error
	if a.name, err = a.vars.expand(p.opts.authFormat); err != nil {
		return a, internal(err)
	}
	a.vars.user = a.name
	key, err := a.vars.expand(p.opts.userFormat)
	if err != nil {
		return a, internal(err)
	}
	path, ok, err := a.vars.expandPath(p.opts.path)
	if err != nil {
		return a, internal(err)
	}
	if !ok {
		return a, nil
	}
	a.path = path
	if a.table, err = p.tables.get(path); err != nil {
		if p.opts.variable && errors.Is(err, fs.ErrNotExist) {
			return a, nil
		}
		return a, &backend.Error{Kind: backend.KindUnavailable, Detail: err.Error(), Cause: err}
	}
	line, ok := a.table.line(key)
	if !ok {
		return a, nil
	}
	if a.entry, err = parseLine(line, systemIDs); err != nil {
		p.log.Error("passwd-file: line is ignored", "file", path, "error", err)
		return a, nil
	}
	a.ok = true
	return a, nil
}

// allowedName reports whether a login name has only allowed characters, and one at least.
func (p *Plugin) allowedName(name string) bool {
	if name == "" {
		return false
	}
	if p.opts.userChars == "" {
		return true
	}
	for _, c := range []byte(name) {
		if !containsByte(p.opts.userChars, c) {
			return false
		}
	}
	return true
}

func containsByte(s string, c byte) bool {
	for i := range len(s) {
		if s[i] == c {
			return true
		}
	}
	return false
}

func internal(err error) error {
	return &backend.Error{Kind: backend.KindInternal, Detail: err.Error(), Cause: err}
}
