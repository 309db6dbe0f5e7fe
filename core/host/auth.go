package host

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// Auth returns the plugin as backend.Auth, nil if it is of another kind. The
// value also implements backend.UserLookup and backend.SASL; without CapUserLookup or the mechanism's CapSASL these fail with KindUnsupported.
func (p *Plugin) Auth() backend.Auth {
	if p.kind != backend.KindAuth {
		return nil
	}
	return auth{base{p}}
}

type auth struct{ base }

// VerifyPassword implements backend.Auth.
func (a auth) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (id *backend.Identity, err error) {
	err = a.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		id, err = p.(backend.Auth).VerifyPassword(ctx, r)
		return err
	})
	return id, err
}

// StepSASL implements backend.SASL.
func (a auth) StepSASL(ctx context.Context, r backend.SASLRequest) (x *backend.SASLAnswer, err error) {
	err = a.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		s, ok := p.(backend.SASL)
		if !ok || !p.Info().Has(backend.CapSASL+r.Mechanism) {
			return backend.Errorf(backend.KindUnsupported, "no such SASL mechanism")
		}
		x, err = s.StepSASL(ctx, r)
		return err
	})
	return x, err
}

// LookupUser implements backend.UserLookup.
func (a auth) LookupUser(ctx context.Context, name string) (u *backend.User, err error) {
	err = a.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		l, ok := p.(backend.UserLookup)
		if !ok || !p.Info().Has(backend.CapUserLookup) {
			return backend.Errorf(backend.KindUnsupported, "no user lookup")
		}
		u, err = l.LookupUser(ctx, name)
		return err
	})
	return u, err
}

var (
	_ backend.UserLookup = auth{}
	_ backend.SASL       = auth{}
)
