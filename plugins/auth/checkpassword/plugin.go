// Package checkpassword is the auth plugin "checkpassword": a program of the operator checks passwords, over the interface that
// D. J. Bernstein's checkpassword introduced and Dovecot's passdb checkpassword extends.
//
// The program is run once for each login, with descriptor 3 to read from:
//
//	user NUL password NUL timestamp NUL
//
// and in its environment SERVICE and PROTO ("IMAP"), TCPREMOTEIP, TCPLOCALIP, SESSION_ID. It exits with 1 if the password is wrong or there is no such
// user, and with 111 if it can not tell; else it sets USER, HOME, EXTRA (names of further variables that are fields) and userdb_KEY variables, and runs the
// program that its arguments name. That one, which the plugin passes, writes the environment to descriptor 4.
//
// For a lookup of a user without a password, descriptor 3 has the user alone, AUTHORIZED=1 is in the environment, and the exit status for no such user is 3.
package checkpassword

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// Version of the plugin, semver.
const Version = "0.1.0"

// Plugin is the auth plugin. Its zero value is not usable: see New.
type Plugin struct {
	log     *slog.Logger
	db      *authdb.DB
	program string
	args    []string
	timeout time.Duration
	turn    chan struct{} // one element for each program that runs
}

var (
	_ backend.Auth       = (*Plugin)(nil)
	_ backend.UserLookup = (*Plugin)(nil)
)

// New returns a plugin that has to be configured before use.
func New(log *slog.Logger) *Plugin { return &Plugin{log: log} }

// optionList documents the options. Defaults are also applied from here, so that the two can not differ.
var optionList = slices.Concat([]backend.Option{
	{Name: "program", Type: backend.OptionString, Required: true, Help: "the program that checks passwords"},
	{Name: "args", Type: backend.OptionStrings, Help: "its arguments, before the program that it is to run"},
	{Name: "timeout", Type: backend.OptionDuration, Default: `"30s"`, Help: "how long it may run"},
	{Name: "max_programs", Type: backend.OptionInt, Default: "10", Help: "programs that run at once"},
}, authdb.OptionList)

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	return backend.Info{
		Kind: backend.KindAuth, Name: "checkpassword", Version: Version, Description: "passwords checked by a program, over checkpassword's interface",
		Capabilities: []string{backend.CapUserLookup}, Options: optionList,
	}
}

// Configure does not run the program.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	v := authdb.NewValues(c, optionList)
	common := v.Options()
	p.program, p.args, p.timeout = v.Text("program"), v.Strings("args"), v.Duration("timeout")
	p.turn = make(chan struct{}, max(1, min(v.Number("max_programs", false), 1000)))
	if p.program == "" {
		v.Fail("program", "is required")
	}
	if !filepath.IsAbs(p.program) {
		p.program = filepath.Join(c.BaseDir, p.program)
	}
	p.db = authdb.New(p.log, common, p, nil)
	return v.Err()
}

// Health is always well: only a login shows whether the program works.
func (p *Plugin) Health(context.Context) error { return nil }

// Close has nothing to end: a program ends with the call that runs it.
func (p *Plugin) Close() error { return nil }

// Find implements authdb.Source, for lookups alone.
func (p *Plugin) Find(ctx context.Context, name string, v authdb.Vars) (authdb.Entry, error) {
	e, result, err := p.run(ctx, name, nil, v)
	if err != nil {
		return authdb.Entry{}, err
	}
	e.Found = result == resultOK
	return e, nil
}

// LookupUser implements backend.UserLookup.
func (p *Plugin) LookupUser(ctx context.Context, name string) (*backend.User, error) {
	return p.db.LookupUser(ctx, name)
}

// VerifyPassword implements backend.Auth.
func (p *Plugin) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	v := authdb.Vars{Service: r.Service, Session: r.Session}
	if r.Remote.IsValid() {
		v.Remote = r.Remote.Unmap().String()
	}
	if r.Local.IsValid() {
		v.Local = r.Local.Unmap().String()
	}
	name, err := p.db.Normalise(r.User, v)
	if err != nil {
		return nil, err
	}
	e, result, err := p.run(ctx, name, &r.Password, v)
	if err != nil {
		return nil, err
	}
	if result != resultOK {
		return nil, failed("the program exited with status 1")
	}
	return p.db.Admit(ctx, r.User, e, r.AuthzID, v, r.Remote)
}

func failed(detail string) error {
	return &backend.Error{Kind: backend.KindAuthFailed, Message: "Authentication failed", Detail: detail}
}
