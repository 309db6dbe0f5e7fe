package pluginrpc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	authv1 "github.com/roostmail/roost/proto/roost/auth/v1"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// Auth is an auth plugin at the other end of a connection. It implements
// backend.Auth, backend.UserLookup (KindUnsupported unless CapUserLookup is announced), and backend.SASL (KindUnsupported
// unless CapSASL is announced for the mechanism).
type Auth struct {
	*client
	auth authv1.AuthClient
}

func newAuth(c *client, conn grpc.ClientConnInterface) *Auth {
	return &Auth{client: c, auth: authv1.NewAuthClient(conn)}
}

// VerifyPassword implements backend.Auth.
func (a *Auth) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	resp, err := a.auth.VerifyPassword(ctx, &authv1.VerifyPasswordRequest{
		User:     []byte(r.User),
		AuthzId:  []byte(r.AuthzID),
		Password: []byte(r.Password),
		Service:  r.Service,
		Remote:   addrText(r.Remote),
		Local:    addrText(r.Local),
		Secured:  r.Secured,
		Session:  r.Session,
	})
	if err != nil {
		return nil, a.err(ctx, err)
	}
	u, err := a.user("VerifyPassword", resp.User)
	if err != nil {
		return nil, err
	}
	return identity(u, resp), nil
}

// admission is what answers with an identity have beside the user.
type admission interface {
	GetFields() map[string][]byte
	GetReadOnly() bool
	GetLabel() string
	GetExpires() int64
}

func identity(u *backend.User, a admission) *backend.Identity {
	id := &backend.Identity{User: *u, Fields: fieldsFromProto(a.GetFields()), ReadOnly: a.GetReadOnly(), Label: a.GetLabel()}
	if s := a.GetExpires(); s != 0 {
		id.Expires = time.Unix(s, 0)
	}
	return id
}

// StepSASL implements backend.SASL.
func (a *Auth) StepSASL(ctx context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	if !a.info.Has(backend.CapSASL + r.Mechanism) {
		return nil, backend.Errorf(backend.KindUnsupported, "no such SASL mechanism")
	}
	resp, err := a.auth.StepSASL(ctx, &authv1.StepSASLRequest{
		Mechanism: r.Mechanism,
		Response:  r.Response,
		State:     r.State,
		Service:   r.Service,
		Remote:    addrText(r.Remote),
		Local:     addrText(r.Local),
		Secured:   r.Secured,
		Session:   r.Session,

		Bindings:    bindingsToProto(r.Bindings),
		Certificate: r.Certificate,
	})
	if err != nil {
		return nil, a.err(ctx, err)
	}
	if resp.User != nil {
		u, err := a.user("StepSASL", resp.User)
		if err != nil {
			return nil, err
		}
		return &backend.SASLAnswer{Identity: identity(u, resp)}, nil
	}
	if len(resp.State) > backend.MaxSASLState || len(resp.Challenge) > backend.MaxSASLMessage {
		return nil, a.lie("StepSASL", fmt.Errorf("challenge of %d bytes, state of %d bytes", len(resp.Challenge), len(resp.State)))
	}
	return &backend.SASLAnswer{Challenge: resp.Challenge, State: resp.State}, nil
}

func bindingsToProto(bindings []backend.ChannelBinding) (list []*authv1.ChannelBinding) {
	for _, b := range bindings {
		list = append(list, &authv1.ChannelBinding{Type: b.Type, Data: b.Data})
	}
	return list
}

// LookupUser implements backend.UserLookup.
func (a *Auth) LookupUser(ctx context.Context, name string) (*backend.User, error) {
	if !a.info.Has(backend.CapUserLookup) {
		return nil, backend.Errorf(backend.KindUnsupported, "no user lookup")
	}
	if err := checkUTF8("user name", name); err != nil {
		return nil, err
	}
	resp, err := a.auth.LookupUser(ctx, &authv1.LookupUserRequest{Name: name})
	if err != nil {
		return nil, a.err(ctx, err)
	}
	return a.user("LookupUser", resp.User)
}

// user refuses an answer that would let someone in as nobody.
func (a *Auth) user(call string, p *pluginv1.User) (*backend.User, error) {
	if p.GetName() == "" {
		return nil, a.lie(call, errors.New("success without a user name"))
	}
	return userFromProto(p), nil
}

// addrText is "" for an unknown address.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
