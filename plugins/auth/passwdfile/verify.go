package passwdfile

import (
	"context"
	"net/netip"

	"github.com/roostmail/roost/core/backend"
)

// VerifyPassword implements backend.Auth. An unknown user, a wrong password and a stored password that
// can not be checked are all KindAuthFailed with the same message; the Detail tells them apart.
func (p *Plugin) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	v := vars{service: r.Service, remote: addrText(r.Remote), local: addrText(r.Local), session: r.Session}
	a, err := p.find(r.User, v)
	if err != nil {
		return nil, err
	}
	tried := attempt{user: r.User, password: []byte(r.Password), limits: p.opts.limits}
	if !a.ok {
		return nil, p.unknown(ctx, a, r.User, tried)
	}
	d, err := expandFields(a)
	if err != nil {
		p.log.Error("passwd-file: login is not possible", "file", a.path, "user", a.name, "error", err)
		return nil, failed(err.Error())
	}
	if err := p.check(ctx, a, d, tried); err != nil {
		return nil, err
	}
	if r.AuthzID != "" && r.AuthzID != r.User && !p.sameUser(r.AuthzID, a.name, v) {
		return nil, &backend.Error{Kind: backend.KindAuthDenied, Message: "Authorization as another user is not allowed", Detail: "authorization identity differs"}
	}
	if refused := p.refusal(d, r.Remote); refused != nil {
		return nil, refused
	}
	if err := p.delay(ctx, d); err != nil {
		return nil, err
	}
	u, err := p.user(a, d)
	if err != nil {
		return nil, internal(err)
	}
	return &backend.Identity{User: u, Fields: d.fields}, nil
}

// LookupUser implements backend.UserLookup: the line as a userdb entry, whatever its passdb fields say.
func (p *Plugin) LookupUser(_ context.Context, name string) (*backend.User, error) {
	a, err := p.find(name, vars{})
	if err != nil {
		return nil, err
	}
	if !a.ok {
		return nil, backend.Errorf(backend.KindNotFound, "no such user")
	}
	d, err := expandFields(a)
	if err != nil {
		return nil, internal(err)
	}
	d.name = a.name
	u, err := p.user(a, d)
	if err != nil {
		return nil, internal(err)
	}
	return &u, nil
}

// unknown spends what checking the password of an existing user costs.
func (p *Plugin) unknown(ctx context.Context, a account, login string, tried attempt) error {
	if a.table != nil {
		if line, ok := a.table.decoy(login); ok {
			if e, err := parseLine(line, systemIDs); err == nil && e.password != "" {
				if _, err := p.hash(ctx, tried, e.password); err != nil && ctx.Err() != nil {
					return backend.Errorf(backend.KindCancelled, "cancelled")
				}
			}
		}
	}
	return failed("unknown user")
}

// check returns nil if the password is right. The error is a *backend.Error.
func (p *Plugin) check(ctx context.Context, a account, d passdb, tried attempt) error {
	for _, key := range []string{"fail", "noauthenticate"} {
		if _, set := d.fields[key]; set {
			return failed("extra field " + key + " is set")
		}
	}
	if _, set := d.fields["nopassword"]; set && emptyPassword(a.entry.password) {
		return nil
	}
	if a.entry.password == "" {
		return failed("the user has no password")
	}
	match, err := p.hash(ctx, tried, a.entry.password)
	switch {
	case err != nil && ctx.Err() != nil:
		return backend.Errorf(backend.KindCancelled, "cancelled")
	case err != nil:
		p.log.Error("passwd-file: stored password can not be checked", "file", a.path, "user", a.name, "error", err)
		return failed(err.Error())
	case !match:
		return failed("wrong password")
	}
	return nil
}

// emptyPassword reports whether a stored password is nothing, or a scheme without data, "{PLAIN}".
func emptyPassword(stored string) bool {
	_, data := splitScheme(stored, "")
	return data == ""
}

// hash checks a password when fewer hashes are being computed than there are cores.
func (p *Plugin) hash(ctx context.Context, tried attempt, stored string) (bool, error) {
	select {
	case p.hashing <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-p.hashing }()
	return checkPassword(tried, stored, p.opts.scheme)
}

// sameUser reports whether an authorization identity stands for the user who logs in.
func (p *Plugin) sameUser(authzID, name string, v vars) bool {
	v.user = authzID
	normalised, err := v.expand(p.opts.authFormat)
	return err == nil && normalised == name
}

func failed(detail string) *backend.Error {
	return &backend.Error{Kind: backend.KindAuthFailed, Message: "Authentication failed", Detail: detail}
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}
