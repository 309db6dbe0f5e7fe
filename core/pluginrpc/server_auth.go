package pluginrpc

import (
	"context"
	"net/netip"
	"time"

	"github.com/roostmail/roost/core/backend"
	authv1 "github.com/roostmail/roost/proto/roost/auth/v1"
)

// authServer serves roost.auth.v1.Auth.
type authServer struct {
	authv1.UnimplementedAuthServer
	auth backend.Auth
}

func (a *authServer) VerifyPassword(ctx context.Context, r *authv1.VerifyPasswordRequest) (*authv1.VerifyPasswordResponse, error) {
	// An address that does not parse is an unknown address: only rules like allow_nets look at it, and refuse.
	remote, _ := netip.ParseAddr(r.Remote)
	local, _ := netip.ParseAddr(r.Local)
	id, err := a.auth.VerifyPassword(ctx, backend.PasswordRequest{
		User:     string(r.User),
		AuthzID:  string(r.AuthzId),
		Password: string(r.Password),
		Service:  r.Service,
		Remote:   remote,
		Local:    local,
		Secured:  r.Secured,
		Session:  r.Session,
	})
	if err != nil {
		return nil, err
	}
	return &authv1.VerifyPasswordResponse{User: userToProto(&id.User), Fields: fieldsToProto(id.Fields),
		ReadOnly: id.ReadOnly, Label: id.Label, Expires: unixTime(id.Expires)}, nil
}

func (a *authServer) StepSASL(ctx context.Context, r *authv1.StepSASLRequest) (*authv1.StepSASLResponse, error) {
	p, ok := a.auth.(backend.SASL)
	if !ok {
		return nil, backend.Errorf(backend.KindUnsupported, "no SASL mechanisms")
	}
	remote, _ := netip.ParseAddr(r.Remote)
	local, _ := netip.ParseAddr(r.Local)
	var bindings []backend.ChannelBinding
	for _, b := range r.Bindings {
		bindings = append(bindings, backend.ChannelBinding{Type: b.Type, Data: b.Data})
	}
	x, err := p.StepSASL(ctx, backend.SASLRequest{
		Mechanism: r.Mechanism,
		Response:  r.Response,
		State:     r.State,
		Service:   r.Service,
		Remote:    remote,
		Local:     local,
		Secured:   r.Secured,
		Session:   r.Session,

		Bindings:    bindings,
		Certificate: r.Certificate,
	})
	if err != nil {
		return nil, err
	}
	if id := x.Identity; id != nil {
		return &authv1.StepSASLResponse{User: userToProto(&id.User), Fields: fieldsToProto(id.Fields),
			ReadOnly: id.ReadOnly, Label: id.Label, Expires: unixTime(id.Expires)}, nil
	}
	return &authv1.StepSASLResponse{Challenge: x.Challenge, State: x.State}, nil
}

// unixTime is 0 for the zero time.
func unixTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func (a *authServer) LookupUser(ctx context.Context, r *authv1.LookupUserRequest) (*authv1.LookupUserResponse, error) {
	l, ok := a.auth.(backend.UserLookup)
	if !ok {
		return nil, backend.Errorf(backend.KindUnsupported, "no user lookup")
	}
	u, err := l.LookupUser(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	return &authv1.LookupUserResponse{User: userToProto(u)}, nil
}
