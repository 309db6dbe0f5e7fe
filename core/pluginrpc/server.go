package pluginrpc

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/heap"
	"github.com/roostmail/roost/core/pluginrpc/lane"
	"github.com/roostmail/roost/core/quiet"
	authv1 "github.com/roostmail/roost/proto/roost/auth/v1"
	hibernationv1 "github.com/roostmail/roost/proto/roost/hibernation/v1"
	notifyv1 "github.com/roostmail/roost/proto/roost/notify/v1"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
	statev1 "github.com/roostmail/roost/proto/roost/state/v1"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Server is the plugin's side of the connection.
type Server struct {
	plugin backend.Plugin
	opts   ServerOptions
	quiet  *quiet.Watch
	refs   *receivedRefs
	state  atomic.Int32                              // stateNew …
	config atomic.Pointer[pluginv1.ConfigureRequest] // with which the plugin was configured
}

// quietAfter is how long a plugin has had no call when it gives back the memory that its work has left behind.
const quietAfter = 12 * time.Second

// States of a plugin. A plugin whose Configure failed stays new.
const (
	stateNew int32 = iota
	stateConfiguring
	stateReady
	stateClosed
)

// ServerOptions says how a plugin is served.
type ServerOptions struct {
	// Log gets panics; nil = slog.Default().
	Log *slog.Logger
	// FDs sends descriptors to core. nil: the plugin's CapWatchFD is not announced.
	FDs *FDSender
	// Lanes is the lane socket that the process inherited, for ServeLanes. nil: CapLanes is not announced.
	Lanes *os.File
	// Standalone: the plugin outlives those who use it. Shutdown closes it, and Configure may be called again; it closes a plugin that
	// was not shut down.
	Standalone bool
	// OnShutdown is called after the plugin was closed by Shutdown, before the answer is sent; may be nil.
	OnShutdown func()
}

// NewServer makes the server of p. Its Info must name a kind whose interface it implements.
func NewServer(p backend.Plugin, o ServerOptions) (*Server, error) {
	kind := p.Info().Kind
	ok := false
	switch kind {
	case backend.KindStorage:
		_, ok = p.(backend.Storage)
	case backend.KindAuth:
		_, ok = p.(backend.Auth)
	case backend.KindHibernation:
		_, ok = p.(backend.Hibernation)
	case backend.KindNotify:
		_, ok = p.(backend.Notify)
	case backend.KindState:
		_, ok = p.(backend.State)
	}
	if !ok {
		return nil, fmt.Errorf("pluginrpc: %T does not implement the plugin kind %q that its Info names", p, kind)
	}
	if _, writes := p.(backend.Writer); !writes && p.Info().Has(backend.CapWrite) {
		return nil, fmt.Errorf("pluginrpc: %T announces %q and does not implement backend.Writer", p, backend.CapWrite)
	}
	_, metadata := p.(backend.Metadata)
	_, quota := p.(backend.Quota)
	_, acl := p.(backend.ACL)
	_, listens := p.(backend.Listener)
	_, watches := p.(backend.StateWatcher)
	for capability, implemented := range map[string]bool{backend.CapMetadata: metadata, backend.CapQuota: quota, backend.CapACL: acl, backend.CapListen: listens, backend.CapListenGapless: listens,
		backend.CapWatch: watches} {
		if !implemented && p.Info().Has(capability) {
			return nil, fmt.Errorf("pluginrpc: %T announces %q and does not implement its interface", p, capability)
		}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Server{plugin: p, opts: o, quiet: quiet.NewWatch(quietAfter, heap.Free), refs: newReceivedRefs()}, nil
}

// GRPCOptions returns the options with which the gRPC server must be made.
func (s *Server) GRPCOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec(s.refs)),
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(ioBuffer),
		grpc.WriteBufferSize(ioBuffer),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ChainUnaryInterceptor(receiveOrigin, s.unary),
		grpc.ChainStreamInterceptor(receiveOriginOfStream, s.stream),
	}
}

// Register adds the plugin's services to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	pluginv1.RegisterPluginServer(r, &baseServer{s: s})
	s.registerKind(r)
}

// registerKind adds the service of the plugin's kind.
func (s *Server) registerKind(r grpc.ServiceRegistrar) {
	switch s.plugin.Info().Kind {
	case backend.KindStorage:
		warmStorage()
		storagev1.RegisterStorageServer(r, &storageServer{s: s, storage: s.plugin.(backend.Storage)})
		storagev1.RegisterMetadataServer(r, &metadataServer{s: s})
		storagev1.RegisterQuotaServer(r, &quotaServer{s: s})
		storagev1.RegisterACLServer(r, &aclServer{s: s})
	case backend.KindAuth:
		authv1.RegisterAuthServer(r, &authServer{auth: s.plugin.(backend.Auth)})
	case backend.KindHibernation:
		hibernationv1.RegisterHibernationServer(r, &hibernationServer{policy: s.plugin.(backend.Hibernation)})
	case backend.KindNotify:
		notifyv1.RegisterNotifyServer(r, &notifyServer{notify: s.plugin.(backend.Notify)})
	case backend.KindState:
		statev1.RegisterStateServer(r, &stateServer{state: s.plugin.(backend.State)})
	}
}

// info returns what the plugin announces, less what can not be served here.
func (s *Server) info() backend.Info {
	i := s.plugin.Info().Without(backend.CapLanes).Without(backend.CapLaneMemory)
	if s.opts.Lanes != nil {
		i.Capabilities = append(i.Capabilities, backend.CapLanes, backend.CapLaneMemory)
	}
	if s.opts.FDs != nil {
		return i
	}
	return i.Without(backend.CapWatchFD)
}

// ServeLanes answers calls of the plugin's kind that come over lanes, until core closes the lane socket.
func (s *Server) ServeLanes() error {
	l := lane.NewServer(lane.ServerOptions{Codec: newCodec(s.refs), Unary: s.unary, Stream: s.stream, Log: s.opts.Log})
	s.registerKind(l)
	return l.Serve(s.opts.Lanes)
}

// admit refuses calls of the kind's service outside of the plugin's life. Other
// services on the same connection (go-plugin's) are none of its business.
func (s *Server) admit(method string) error {
	if !strings.HasPrefix(method, "/roost.") || strings.HasPrefix(method, "/roost.plugin.v1.") {
		return nil
	}
	s.quiet.Touch()
	switch s.state.Load() {
	case stateReady:
		return nil
	case stateClosed:
		return backend.Errorf(backend.KindUnavailable, "the plugin is shutting down")
	default:
		return backend.Errorf(backend.KindInvalidArgument, "the plugin is not configured")
	}
}

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	if !strings.HasPrefix(info.FullMethod, "/roost.") {
		return next(ctx, req)
	}
	defer func() { err = toStatus(err) }()
	defer recoverCall(ctx, s.opts.Log, info.FullMethod, &err)
	if err := s.admit(info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	if !strings.HasPrefix(info.FullMethod, "/roost.") {
		return next(srv, ss)
	}
	defer func() { err = toStatus(err) }()
	defer recoverCall(ss.Context(), s.opts.Log, info.FullMethod, &err)
	if err := s.admit(info.FullMethod); err != nil {
		return err
	}
	return next(srv, ss)
}

// recoverCall is deferred around every call of a plugin: a panic becomes an error of
// KindInternal, and a log record with its stack.
func recoverCall(ctx context.Context, log *slog.Logger, method string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	log.ErrorContext(ctx, "panic in a plugin call", "call", method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	*err = &backend.Error{Kind: backend.KindInternal, Detail: fmt.Sprintf("panic in %s: %v", method, v)}
}

// baseServer serves roost.plugin.v1.Plugin.
type baseServer struct {
	pluginv1.UnimplementedPluginServer
	s *Server
}

func (b *baseServer) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	return infoToProto(b.s.info()), nil
}

func (b *baseServer) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	c, err := configFromProto(r)
	if err != nil {
		return nil, err
	}
	if err := b.s.again(r); err != nil {
		return nil, err
	}
	if !b.s.state.CompareAndSwap(stateNew, stateConfiguring) {
		// The next connection to a plugin that the operator runs, or that of the next core.
		if before := b.s.config.Load(); b.s.state.Load() == stateReady && before != nil && proto.Equal(before, r) {
			return &pluginv1.ConfigureResponse{}, nil
		}
		return nil, backend.Errorf(backend.KindInvalidArgument, "Configure was called before, with another configuration: the process has to be started anew")
	}
	ready := false
	defer func() { // also after a panic
		if ready {
			b.s.state.CompareAndSwap(stateConfiguring, stateReady)
		} else {
			b.s.state.CompareAndSwap(stateConfiguring, stateNew)
		}
	}()
	if err := b.s.plugin.Configure(ctx, c); err != nil {
		return nil, err
	}
	b.s.config.Store(r)
	ready = true
	return &pluginv1.ConfigureResponse{}, nil
}

// again makes a plugin that stands alone new again, unless it is configured as r says.
func (s *Server) again(r *pluginv1.ConfigureRequest) error {
	if before := s.config.Load(); !s.opts.Standalone || s.state.Load() == stateReady && before != nil && proto.Equal(before, r) {
		return nil
	}
	if s.state.CompareAndSwap(stateReady, stateClosed) {
		if err := s.plugin.Close(); err != nil {
			return err
		}
	}
	s.state.CompareAndSwap(stateClosed, stateNew)
	return nil
}

// Close closes the plugin, if it is configured, as Shutdown does.
func (s *Server) Close() error {
	if s.state.CompareAndSwap(stateReady, stateClosed) {
		return s.plugin.Close()
	}
	return nil
}

func (b *baseServer) Health(ctx context.Context, _ *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	return &pluginv1.HealthResponse{}, b.s.plugin.Health(ctx)
}

func (b *baseServer) Shutdown(context.Context, *pluginv1.ShutdownRequest) (*pluginv1.ShutdownResponse, error) {
	if b.s.state.Swap(stateClosed) == stateClosed {
		return &pluginv1.ShutdownResponse{}, nil
	}
	err := b.s.plugin.Close()
	if b.s.opts.OnShutdown != nil {
		b.s.opts.OnShutdown()
	}
	return &pluginv1.ShutdownResponse{}, err
}
