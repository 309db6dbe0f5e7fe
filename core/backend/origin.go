package backend

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
)

// Origin says on whose behalf a call is made. The zero value: on roost's own.
type Origin struct {
	// Request is the number of a mail client's command, the same in all the calls that are made for it and in the log
	// records about it; 0 = none. Numbers of another start of roost are others.
	Request uint64
	// User is the name under which the client is logged in, "" before that. It is for logs: what a call is about stands in its request.
	User string
}

// originContext is a context with an Origin. Both come with every command, so they are one allocation.
type originContext struct {
	context.Context
	origin Origin
}

type originKey struct{}

func (c *originContext) Value(key any) any {
	if key == (originKey{}) {
		return &c.origin
	}
	return c.Context.Value(key)
}

// WithOrigin returns a context for calls on behalf of o.
func WithOrigin(ctx context.Context, o Origin) context.Context { return &originContext{ctx, o} }

// OriginOf returns on whose behalf a call is made. A plugin asks the context of its call.
func OriginOf(ctx context.Context) Origin {
	if o, ok := ctx.Value(originKey{}).(*Origin); ok {
		return *o
	}
	return Origin{}
}

// FormatRequest returns a request's number as it stands in logs: 16 hexadecimal digits.
func FormatRequest(n uint64) string { return fmt.Sprintf("%016x", n) }

// ParseRequest is the inverse of FormatRequest.
func ParseRequest(s string) (uint64, error) { return strconv.ParseUint(s, 16, 64) }

// LogOrigin returns a handler that adds to each record with the context of a call (slog.InfoContext) the attributes request and user, as far as they are
// known and the record does not have them itself.
func LogOrigin(h slog.Handler) slog.Handler { return originHandler{h} }

type originHandler struct{ slog.Handler }

func (h originHandler) Handle(ctx context.Context, r slog.Record) error {
	o := OriginOf(ctx)
	if o == (Origin{}) {
		return h.Handler.Handle(ctx, r)
	}
	r = r.Clone()
	named := false
	r.Attrs(func(a slog.Attr) bool {
		named = a.Key == "user"
		return !named
	})
	if o.User != "" && !named {
		r.AddAttrs(slog.String("user", o.User))
	}
	if o.Request != 0 {
		r.AddAttrs(slog.String("request", FormatRequest(o.Request)))
	}
	return h.Handler.Handle(ctx, r)
}

func (h originHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return originHandler{h.Handler.WithAttrs(attrs)}
}

func (h originHandler) WithGroup(name string) slog.Handler {
	return originHandler{h.Handler.WithGroup(name)}
}
