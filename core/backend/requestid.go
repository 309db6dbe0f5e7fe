package backend

import "context"

type requestIDKey struct{}

// WithRequestID returns a context for one call of Writer that tells the plugin its request id: 16 random bytes
// that are this write's own, while Origin.Request is that of the whole command. Without it the plugin boundary makes one up.
func WithRequestID(ctx context.Context, id [16]byte) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the request id of a call of Writer, for logs. ok is false if it has none.
func RequestID(ctx context.Context) (id [16]byte, ok bool) {
	id, ok = ctx.Value(requestIDKey{}).([16]byte)
	return id, ok
}
