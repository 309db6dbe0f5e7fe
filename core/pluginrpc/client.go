package pluginrpc

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc/lane"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// ClientOptions says how core talks to a plugin.
type ClientOptions struct {
	// Name names the plugin in errors; "" = the name in its Info.
	Name   string
	Limits Limits
	// FDs receives descriptors from the plugin. nil: CapWatchFD is not used.
	FDs *FDReceiver
	// Lanes lead to the plugin, if it announces CapLanes. nil: all calls go over gRPC.
	Lanes *lane.Lanes
}

// client is the part of a plugin's client side that all kinds share. It implements backend.Plugin.
type client struct {
	name   string
	limits Limits
	fds    *FDReceiver
	lanes  bool // calls go over lanes
	base   pluginv1.PluginClient

	// Set by Configure for the last time.
	info     backend.Info
	readOnly bool
}

// New connects the kind that the plugin announces: the result is a *Storage,
// an *Auth, a *Hibernation, a *Notify or a *State. conn must have been made with DialOptions; it stays the caller's.
func New(ctx context.Context, conn grpc.ClientConnInterface, o ClientOptions) (backend.Plugin, error) {
	c, err := newClient(ctx, conn, o)
	if err != nil {
		return nil, err
	}
	direct := conn
	if o.Lanes != nil && c.info.Has(backend.CapLanes) {
		if c.info.Has(backend.CapLaneMemory) {
			o.Lanes.ShareMemory()
		}
		conn, c.lanes = lane.NewConn(conn, o.Lanes, newCodec(nil)), true
	}
	conn = patient(conn, c.name, c.limits.AnswerTimeout)
	switch c.info.Kind {
	case backend.KindStorage:
		return newStorage(c, conn), nil
	case backend.KindAuth:
		return newAuth(c, conn), nil
	case backend.KindHibernation:
		return newHibernation(c, conn), nil
	case backend.KindNotify:
		return newNotify(c, conn, direct), nil
	case backend.KindState:
		return newState(c, conn, direct), nil
	default:
		return nil, c.lie("Info", fmt.Errorf("unknown kind %q", c.info.Kind))
	}
}

// NewStorage is New for a plugin that must be a storage plugin.
func NewStorage(ctx context.Context, conn grpc.ClientConnInterface, o ClientOptions) (*Storage, error) {
	p, err := New(ctx, conn, o)
	if err != nil {
		return nil, err
	}
	s, ok := p.(*Storage)
	if !ok {
		return nil, backend.Errorf(backend.KindInvalidArgument, "plugin %s is of kind %q, not storage", o.Name, p.Info().Kind)
	}
	return s, nil
}

// NewAuth is New for a plugin that must be an auth plugin.
func NewAuth(ctx context.Context, conn grpc.ClientConnInterface, o ClientOptions) (*Auth, error) {
	p, err := New(ctx, conn, o)
	if err != nil {
		return nil, err
	}
	a, ok := p.(*Auth)
	if !ok {
		return nil, backend.Errorf(backend.KindInvalidArgument, "plugin %s is of kind %q, not auth", o.Name, p.Info().Kind)
	}
	return a, nil
}

func newClient(ctx context.Context, conn grpc.ClientConnInterface, o ClientOptions) (*client, error) {
	c := &client{name: o.Name, limits: o.Limits.withDefaults(), fds: o.FDs, base: pluginv1.NewPluginClient(conn)}
	resp, err := c.base.Info(ctx, &pluginv1.InfoRequest{})
	if err != nil {
		return nil, c.err(ctx, err)
	}
	c.info = infoFromProto(resp)
	if c.name == "" {
		c.name = c.info.Name
	}
	return c, nil
}

// Info implements backend.Plugin. It was asked when the client was made, and by Configure. CapWrite is taken out
// of it when Configure says ReadOnly.
func (c *client) Info() backend.Info { return c.info }

// Configure implements backend.Plugin.
func (c *client) Configure(ctx context.Context, conf backend.Config) error {
	req, err := configToProto(conf)
	if err != nil {
		return err
	}
	if _, err = c.base.Configure(ctx, req); err != nil {
		return c.err(ctx, err)
	}
	resp, err := c.base.Info(ctx, &pluginv1.InfoRequest{})
	if err != nil {
		return c.err(ctx, err)
	}
	c.info.Capabilities = resp.Capabilities
	if conf.ReadOnly {
		c.readOnly = true
		c.info = c.info.Without(backend.CapWrite)
	}
	return nil
}

// Health implements backend.Plugin. The plugin is not told how long core waits: each time it would be another header, and HTTP/2 keeps the last
// headers on both sides.
func (c *client) Health(ctx context.Context) error {
	_, err := c.base.Health(untimed{ctx}, &pluginv1.HealthRequest{})
	return c.err(ctx, err)
}

// untimed is a context that ends when the other one does, and does not say when that is.
type untimed struct{ context.Context }

// Deadline implements context.Context.
func (untimed) Deadline() (time.Time, bool) { return time.Time{}, false }

// closeTimeout bounds Close, which has no context.
const closeTimeout = 5 * time.Second

// Close implements backend.Plugin: it asks the plugin to end, for up to five seconds.
func (c *client) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_, err := c.base.Shutdown(ctx, &pluginv1.ShutdownRequest{})
	return c.err(ctx, err)
}

// err makes the error of a failed call, nil for nil.
func (c *client) err(ctx context.Context, err error) error { return fromStatus(ctx, c.name, err) }

// lie makes the error of an answer that breaks a rule of the contract.
func (c *client) lie(call string, rule error) *backend.Error {
	return &backend.Error{
		Kind:    backend.KindInternal,
		Message: "a plugin gave a wrong answer",
		Detail:  fmt.Sprintf("plugin %s broke the protocol: %s: %v", c.name, call, rule),
	}
}
