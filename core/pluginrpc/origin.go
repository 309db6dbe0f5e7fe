package pluginrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/roostmail/roost/core/backend"
)

// Metadata of a call over gRPC. A call over a lane has both in its frame.
const (
	mdRequest = "roost-request"  // backend.FormatRequest of Origin.Request
	mdUser    = "roost-user-bin" // Origin.User. -bin: it may hold any UTF-8
)

// withOriginSent returns the context of a call over gRPC that tells the plugin the origin of ctx.
func withOriginSent(ctx context.Context) context.Context {
	o := backend.OriginOf(ctx)
	if o.Request != 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, mdRequest, backend.FormatRequest(o.Request))
	}
	if o.User != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, mdUser, o.User)
	}
	return ctx
}

// withOriginReceived returns the context of a call with the origin that core has sent. Metadata that is no number of a request is none.
func withOriginReceived(ctx context.Context) context.Context {
	var o backend.Origin
	if v := metadata.ValueFromIncomingContext(ctx, mdRequest); len(v) == 1 {
		o.Request, _ = backend.ParseRequest(v[0])
	}
	if v := metadata.ValueFromIncomingContext(ctx, mdUser); len(v) == 1 {
		o.User = v[0]
	}
	if o == (backend.Origin{}) {
		return ctx
	}
	return backend.WithOrigin(ctx, o)
}

func sendOrigin(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(withOriginSent(ctx), method, req, reply, cc, opts...)
}

func sendOriginOfStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return stream(withOriginSent(ctx), desc, cc, method, opts...)
}

func receiveOrigin(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	return next(withOriginReceived(ctx), req)
}

func receiveOriginOfStream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx := ss.Context()
	if with := withOriginReceived(ctx); with != ctx {
		ss = &originStream{ss, with}
	}
	return next(srv, ss)
}

// originStream is a stream whose context has an origin.
type originStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *originStream) Context() context.Context { return s.ctx }
