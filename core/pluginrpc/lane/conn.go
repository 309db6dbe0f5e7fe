package lane

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	spb "google.golang.org/genproto/googleapis/rpc/status"
)

// ErrUnsent is in the error of a call of which it is certain that the plugin did not execute it.
var ErrUnsent = errors.New("lane: the call was not sent")

// Raw is a message that is encoded already. The codec of the gRPC connection has to send it as it is.
type Raw []byte

// Conn makes calls over lanes. Those that find no lane, or have a request that is too large for one, it makes over gRPC. It ignores
// call options; over gRPC they count.
type Conn struct {
	grpc  grpc.ClientConnInterface
	lanes *Lanes
	codec encoding.CodecV2
}

// NewConn returns a Conn. Everything stays the caller's.
func NewConn(conn grpc.ClientConnInterface, lanes *Lanes, codec encoding.CodecV2) *Conn {
	return &Conn{grpc: conn, lanes: lanes, codec: codec}
}

// Invoke implements grpc.ClientConnInterface.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	s, err := c.newStream(ctx, &grpc.StreamDesc{}, method, opts)
	if err != nil {
		return err
	}
	if s == nil {
		return c.grpc.Invoke(ctx, method, args, reply, opts...)
	}
	if err := s.SendMsg(args); err != nil && err != io.EOF {
		return err
	}
	return s.RecvMsg(reply)
}

// NewStream implements grpc.ClientConnInterface. A request over a lane is sent when it is complete: with CloseSend, or when an answer is
// waited for. So the two sides do not talk in turns; a call that does so needs OverGRPC.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.newStream(ctx, desc, method, opts)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.grpc.NewStream(ctx, desc, method, opts...)
	}
	return s, nil
}

// OverGRPC returns the connection that uses no lane.
func (c *Conn) OverGRPC() grpc.ClientConnInterface { return c.grpc }

// newStream returns nil if there is no lane.
func (c *Conn) newStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts []grpc.CallOption) (*stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	var timeout time.Duration
	if d, ok := ctx.Deadline(); ok {
		timeout = max(1, time.Until(d))
	}
	origin := backend.OriginOf(ctx)
	if len(origin.User) > math.MaxUint16 {
		return nil, nil
	}
	l := c.lanes.get()
	if l == nil {
		return nil, nil
	}
	l.call++
	l.out = appendRequestHead(l.out[:0], l.call, method, timeout, origin)
	s := &stream{c: c, ctx: ctx, desc: desc, method: method, opts: opts, lane: l}
	s.stop = context.AfterFunc(ctx, func() { l.conn.SetDeadline(time.Unix(1, 0)) })
	return s, nil
}

// stream is a call over a lane. It implements grpc.ClientStream, for one goroutine at a time.
type stream struct {
	c      *Conn
	ctx    context.Context
	desc   *grpc.StreamDesc
	method string
	opts   []grpc.CallOption

	lane *lane       // nil after the end
	stop func() bool // ends the watch over ctx
	sent bool
	err  error             // how it ended, io.EOF if well
	over grpc.ClientStream // not nil: it goes over gRPC
}

// SendMsg implements grpc.ClientStream.
func (s *stream) SendMsg(m any) error {
	switch {
	case s.over != nil:
		return s.over.SendMsg(m)
	case s.lane == nil || s.sent:
		return io.EOF
	}
	data, err := s.c.codec.Marshal(m)
	if err != nil {
		s.giveUp()
		s.err = status.Errorf(codes.Internal, "lane: encode a request: %v", err)
		return s.err
	}
	defer data.Free()
	n := data.Len()
	if n > MaxRequest-len(s.lane.out) {
		if err := s.overGRPC(); err != nil {
			return err
		}
		return s.over.SendMsg(Raw(data.Materialize()))
	}
	s.lane.out = binary.LittleEndian.AppendUint32(s.lane.out, uint32(n))
	s.lane.out = appendData(s.lane.out, data)
	return nil
}

func appendData(b []byte, data mem.BufferSlice) []byte {
	for _, p := range data {
		b = append(b, p.ReadOnlyData()...)
	}
	return b
}

// overGRPC makes the call, of which nothing was sent, over gRPC, with the messages so far.
func (s *stream) overGRPC() error {
	r, err := decodeRequest(s.lane.out[4:])
	s.lane.out = nil  // gRPC may still have the messages when the lane has its next call
	s.finish(!s.sent) // one that could not be written to is of no use
	if err != nil {
		s.err = err
		return err
	}
	if s.over, err = s.c.grpc.NewStream(s.ctx, s.desc, s.method, s.opts...); err != nil {
		s.err = unsent(s.ctx, err)
		return s.err
	}
	for rest := r.messages; len(rest) > 0; {
		var m []byte
		m, rest, _ = cutMessage(rest)
		if err := s.over.SendMsg(Raw(m)); err != nil {
			return err
		}
	}
	return nil
}

// unsent adds to an error that the call was not executed, unless it is the caller who gave it up.
func unsent(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return fmt.Errorf("%w: %w", ErrUnsent, err)
}

// CloseSend implements grpc.ClientStream: it sends the request.
func (s *stream) CloseSend() error {
	if s.over != nil {
		return s.over.CloseSend()
	}
	return s.send()
}

func (s *stream) send() error {
	if s.lane == nil || s.sent {
		return nil // RecvMsg tells what was wrong
	}
	s.sent = true
	setLength(s.lane.out)
	_, err := s.lane.conn.Write(s.lane.out)
	switch {
	case err == nil:
	case s.lane.call == 1 && s.ctx.Err() == nil: // the plugin has not taken the lane: it lacks descriptors, or is gone
		if s.overGRPC() == nil {
			return s.over.CloseSend()
		}
	default: // The plugin executes a request only when it has all of it.
		s.giveUp()
		s.err = unsent(s.ctx, err)
	}
	return nil
}

// RecvMsg implements grpc.ClientStream. What m refers to is valid until the next call, if it refers to what was received.
func (s *stream) RecvMsg(m any) error {
	if s.over != nil {
		return s.over.RecvMsg(m)
	}
	if err := s.send(); err != nil {
		return err
	}
	if s.over != nil {
		return s.over.RecvMsg(m)
	}
	if s.lane == nil {
		return s.err
	}
	payload, err := s.receive()
	if err != nil {
		if err == io.EOF && !s.desc.ServerStreams {
			err = status.Error(codes.Internal, "lane: an answer without a message")
		}
		return err
	}
	if err := s.c.codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(payload)}, m); err != nil {
		s.giveUp()
		s.err = status.Errorf(codes.Internal, "lane: decode an answer: %v", err)
		return s.err
	}
	if s.desc.ServerStreams {
		return nil
	}
	switch _, err := s.receive(); err {
	case io.EOF:
		return nil
	case nil:
		s.giveUp()
		s.err = status.Error(codes.Internal, "lane: more than one message in an answer")
		return s.err
	default:
		return err
	}
}

// receive returns the next message of the answer, io.EOF after the last.
func (s *stream) receive() ([]byte, error) {
	kind, payload, err := s.lane.answer(s.lane.call)
	switch {
	case err != nil && s.ctx.Err() != nil:
		s.giveUp()
		s.err = status.FromContextError(s.ctx.Err()).Err()
	case errors.Is(err, errFrame):
		s.giveUp()
		s.err = status.Error(codes.Internal, err.Error())
	case errors.Is(err, unix.ECONNRESET):
		// What Linux says when the other side has closed a unix socket without having read all of what was sent: the request.
		s.giveUp()
		s.err = unsent(s.ctx, err)
	case err != nil:
		s.giveUp()
		s.err = status.Errorf(codes.Unavailable, "lane: the connection broke: %v", err)
	case kind == kindEnd:
		var ok bool
		ok, s.err = endOf(payload)
		s.finish(ok && s.lane.r == s.lane.w) // more behind the end is nobody's answer
	default:
		return payload, nil
	}
	return nil, s.err
}

// endOf returns the error that an end says, io.EOF for none. ok is false if it is none of the plugin.
func endOf(payload []byte) (ok bool, err error) {
	if len(payload) == 0 {
		return true, io.EOF
	}
	var st spb.Status
	if err := proto.Unmarshal(payload, &st); err != nil || st.Code == int32(codes.OK) {
		return false, status.Errorf(codes.Internal, "%v: status of %d bytes", errFrame, len(payload))
	}
	return true, status.ErrorProto(&st)
}

// finish ends the use of the lane, which can be used again if it is clean.
func (s *stream) finish(clean bool) {
	l := s.lane
	s.lane = nil
	if s.stop() && clean {
		s.c.lanes.put(l)
		return
	}
	s.c.lanes.drop(l)
}

func (s *stream) giveUp() { s.finish(false) }

// Context implements grpc.ClientStream.
func (s *stream) Context() context.Context { return s.ctx }

// Header implements grpc.ClientStream: there is none.
func (s *stream) Header() (metadata.MD, error) { return nil, nil }

// Trailer implements grpc.ClientStream: there is none.
func (s *stream) Trailer() metadata.MD { return nil }
