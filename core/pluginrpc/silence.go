package pluginrpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc/lane"
)

// patientConn ends calls that the plugin does not answer: one whose next message does not come within a time. How long the caller takes for what has
// come does not count, nor how many messages there are.
type patientConn struct {
	grpc.ClientConnInterface
	name  string // of the plugin
	limit time.Duration
}

// patient returns conn with the limit, if there is one.
func patient(conn grpc.ClientConnInterface, name string, limit time.Duration) grpc.ClientConnInterface {
	if limit <= 0 {
		return conn
	}
	return &patientConn{conn, name, limit}
}

// errSilent is the cause with which a call is cancelled that is not answered.
var errSilent = errors.New("no answer")

// deadlineBehind is by how much the deadline that the plugin is told comes after the end of patience: a plugin that notices it first would end
// the call with an error of its own, and nobody would be told who was silent.
const deadlineBehind = time.Second

// Invoke implements grpc.ClientConnInterface.
func (p *patientConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx, done := context.WithTimeout(ctx, p.limit+deadlineBehind)
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer time.AfterFunc(p.limit, func() { cancel(errSilent) }).Stop()
	return p.explain(ctx, method, p.ClientConnInterface.Invoke(ctx, method, args, reply, opts...))
}

// NewStream implements grpc.ClientConnInterface.
func (p *patientConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	s, err := p.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	return &patientStream{ClientStream: s, conn: p, ctx: ctx, cancel: cancel, method: method}, nil
}

// explain makes the error of a call say that it was not answered, if it ended for that.
func (p *patientConn) explain(ctx context.Context, method string, err error) error {
	if err == nil || context.Cause(ctx) != errSilent {
		return err
	}
	// Not KindUnavailable: to make the call again would be to wait as long again.
	return &backend.Error{Kind: backend.KindInUse, Message: "a part of the server takes too long, try again later",
		Detail: "plugin " + p.name + " does not answer " + method + " within [limits] plugin_answer_timeout of " + p.limit.String()}
}

type patientStream struct {
	grpc.ClientStream
	conn   *patientConn
	ctx    context.Context
	cancel context.CancelCauseFunc
	method string
}

// Slot implements slotter.
func (s *patientStream) Slot() (lane.Slot, bool) {
	if l, ok := s.ClientStream.(slotter); ok {
		return l.Slot()
	}
	return lane.Slot{}, false
}

// RecvMsg implements grpc.ClientStream.
func (s *patientStream) RecvMsg(m any) error {
	timer := time.AfterFunc(s.conn.limit, func() { s.cancel(errSilent) })
	err := s.ClientStream.RecvMsg(m)
	timer.Stop()
	if err == nil {
		return nil
	}
	err = s.conn.explain(s.ctx, s.method, err)
	s.cancel(nil) // the stream has ended
	return err
}

// SendMsg implements grpc.ClientStream. A plugin that takes nothing does not answer, either.
func (s *patientStream) SendMsg(m any) error {
	timer := time.AfterFunc(s.conn.limit, func() { s.cancel(errSilent) })
	err := s.ClientStream.SendMsg(m)
	timer.Stop()
	return s.conn.explain(s.ctx, s.method, err)
}
