package oauth2

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// Version of the plugin, semver.
const Version = "0.1.0"

// Plugin is the auth plugin. Its zero value is not usable: see New.
type Plugin struct {
	log     *slog.Logger
	opts    options
	db      *authdb.DB
	checker checker
}

var (
	_ backend.Auth = (*Plugin)(nil)
	_ backend.SASL = (*Plugin)(nil)
)

// New returns a plugin that has to be configured before use.
func New(log *slog.Logger) *Plugin { return &Plugin{log: log} }

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	return backend.Info{
		Kind: backend.KindAuth, Name: "oauth2", Version: Version, Description: "users with access tokens of an OAuth 2.0 server",
		Capabilities: []string{backend.CapSASL + "OAUTHBEARER", backend.CapSASL + "XOAUTH2"}, Options: optionList,
	}
}

// Configure reads nothing: keys that can not be had make the plugin unhealthy, and logins unavailable.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	opts, common, err := parseOptions(c)
	if err != nil {
		return err
	}
	p.opts = opts
	p.db = authdb.New(p.log, common, nobody{}, nil)
	if opts.introspectionURL != "" {
		p.checker = newIntrospection(&p.opts)
	} else {
		p.checker = newKeys(p.log, &p.opts)
	}
	return nil
}

// Health reports whether tokens can be checked, as far as that shows without one.
func (p *Plugin) Health(ctx context.Context) error {
	if err := p.checker.ready(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

// Close has nothing to end.
func (p *Plugin) Close() error { return nil }

// nobody is a source without users: there are no passwords.
type nobody struct{}

func (nobody) Find(context.Context, string, authdb.Vars) (authdb.Entry, error) {
	return authdb.Entry{}, nil
}

// VerifyPassword implements backend.Auth: nobody has a password. Clients that know no other mechanism may send their token as one.
func (p *Plugin) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	if err := ctx.Err(); err != nil {
		return nil, backend.Errorf(backend.KindCancelled, "cancelled")
	}
	if r.User == "" || r.AuthzID != "" && r.AuthzID != r.User { // with a password, a client names whom it means
		return nil, failed("no user, or two")
	}
	return p.admit(ctx, bearer{user: r.User, token: r.Password}, r)
}

// StepSASL implements backend.SASL.
func (p *Plugin) StepSASL(ctx context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	switch string(r.State) {
	case "", "first":
	default: // the client has seen why
		return nil, failed(string(r.State))
	}
	if r.Response == nil {
		return &backend.SASLAnswer{State: []byte("first")}, nil
	}
	b, err := parseResponse(r.Mechanism, string(r.Response))
	if err != nil {
		return nil, err
	}
	id, err := p.admit(ctx, b, backend.PasswordRequest{Service: r.Service, Remote: r.Remote, Local: r.Local, Session: r.Session})
	if err != nil && backend.KindOf(err) == backend.KindAuthFailed {
		return &backend.SASLAnswer{Challenge: p.refusal(), State: []byte("refused: " + err.(*backend.Error).Detail)}, nil
	}
	if err != nil {
		return nil, err
	}
	return &backend.SASLAnswer{Identity: id}, nil
}

// refusal is what a client is told about its token (RFC 7628 §3.2.2).
func (p *Plugin) refusal() []byte {
	b, _ := json.Marshal(struct { // never fails
		Status        string `json:"status"`
		Schemes       string `json:"schemes"`
		Scope         string `json:"scope,omitempty"`
		Configuration string `json:"openid-configuration,omitempty"`
	}{"invalid_token", "bearer", strings.Join(p.opts.scopes, " "), p.opts.discovery})
	return b
}

// admit checks a token, and returns whose it is. A token that is not good is KindAuthFailed.
func (p *Plugin) admit(ctx context.Context, b bearer, from backend.PasswordRequest) (*backend.Identity, error) {
	if !isToken(b.token) {
		return nil, failed("not a token")
	}
	claims, refused, unknown := p.checker.claims(ctx, b.token)
	switch {
	case unknown != nil && ctx.Err() != nil:
		return nil, backend.Errorf(backend.KindCancelled, "cancelled")
	case unknown != nil:
		return nil, unavailable(unknown)
	case refused != nil:
		return nil, failed("token: " + refused.Error())
	}
	granted := strings.Fields(strings.Join(append(texts(claims["scope"]), texts(claims["scp"])...), " "))
	for _, s := range p.opts.scopes {
		if !slices.Contains(granted, s) {
			return nil, failed("token without the scope " + s)
		}
	}
	name, _ := claims[p.opts.claim].(string)
	if name == "" {
		return nil, failed("token without the claim " + p.opts.claim)
	}
	if verified, ok := claims["email_verified"].(bool); ok && !verified && p.opts.claim == "email" {
		return nil, failed("the address of the token is not verified")
	}
	v := authdb.Vars{Service: from.Service, Remote: addr(from.Remote), Local: addr(from.Local), Session: from.Session}
	id, err := p.db.Admit(ctx, name, authdb.Entry{}, b.user, v, from.Remote)
	if backend.KindOf(err) == backend.KindAuthDenied && err != nil { // a token of somebody else is as good as none
		err = failed("token of another user")
	}
	if err == nil { // a token that is sent as a password is not remembered beyond its time
		id.Expires = expiry(claims)
	}
	return id, err
}

// expiry returns when a token stops being good; zero: its server has not said.
func expiry(claims map[string]any) time.Time {
	exp, ok := claims["exp"].(float64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(int64(exp), 0)
}

// isToken reports whether s has the form of a token (RFC 6750 §2.1: b64token).
func isToken(s string) bool {
	s = strings.TrimRight(s, "=")
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") == ""
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

func failed(detail string) error {
	return &backend.Error{Kind: backend.KindAuthFailed, Message: "Authentication failed", Detail: detail}
}

// unavailable is for a question that nobody has answered.
func unavailable(err error) error {
	return &backend.Error{Kind: backend.KindUnavailable, Message: "tokens can not be checked", Detail: err.Error(), Cause: err}
}
