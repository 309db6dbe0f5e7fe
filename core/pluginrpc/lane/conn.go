package lane

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

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

// PartsTaker is a message that the codec decodes from a Part as it is. All others get a copy.
type PartsTaker interface{ TakesParts() }

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
	s.mu.Lock() // abandon comes at once if ctx has just ended
	defer s.mu.Unlock()
	s.stop = context.AfterFunc(ctx, func() {
		l.conn.expire()
		s.abandon()
	})
	return s, nil
}

// stream is a call over a lane. It implements grpc.ClientStream, for one goroutine at a time.
type stream struct {
	c      *Conn
	ctx    context.Context
	desc   *grpc.StreamDesc
	method string
	opts   []grpc.CallOption

	mu          sync.Mutex  // held by whoever uses the rest
	lane        *lane       // nil after the end
	acknowledge bool        // that the last message is done with
	filled      int         // bytes of the lane's memory that the request has
	stop        func() bool // ends the watch over ctx
	sent        bool
	answered    bool              // something of the answer has come: the plugin has the request
	err         error             // how it ended, io.EOF if well
	over        grpc.ClientStream // not nil: it goes over gRPC
}

// SendMsg implements grpc.ClientStream.
func (s *stream) SendMsg(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	if p, ok := s.inMemory(data); ok {
		s.lane.out = binary.LittleEndian.AppendUint32(extend(s.lane.out, 4+4), uint32(n)|messageInMemory)
		s.lane.out = binary.LittleEndian.AppendUint32(s.lane.out, uint32(p.offset))
		s.filled = p.offset + n
		p.memory.used = max(p.memory.used, s.filled)
		return nil
	}
	if n > MaxRequest-len(s.lane.out) {
		all := Raw(data.Materialize())
		if err := s.overGRPC(); err != nil {
			return err
		}
		return s.over.SendMsg(all)
	}
	s.lane.out = binary.LittleEndian.AppendUint32(extend(s.lane.out, 4+n), uint32(n))
	s.lane.out = appendData(s.lane.out, data)
	return nil
}

// inMemory returns the part that a message is, if it is in the last slot.
func (s *stream) inMemory(data mem.BufferSlice) (Part, bool) {
	if len(data) != 1 || len(s.lane.out) > MaxRequest-(4+4) {
		return Part{}, false
	}
	p, ok := data[0].(Part)
	return p, ok && p.memory == s.lane.memory && p.offset >= s.filled
}

// leastSlot is how much of the lane's memory is worth a slot of a request, in bytes.
const leastSlot = 16 << 10

// Slot returns room for the next message of the request, which is as large as what is left of the lane's memory. Until a message in it is sent, the next one is the same.
// false: there is none. It may be written to until the request is complete, and must not be read.
func (s *stream) Slot() (Slot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lane == nil || s.sent || s.lane.memory == nil {
		return Slot{}, false
	}
	m := s.lane.memory
	if len(m.b)-s.filled < leastSlot {
		return Slot{}, false
	}
	return Slot{m.b[s.filled:], m, s.filled}, true
}

func appendData(b []byte, data mem.BufferSlice) []byte {
	for _, p := range data {
		b = append(b, p.ReadOnlyData()...)
	}
	return b
}

// overGRPC makes the call, of which nothing was sent, over gRPC, with the messages so far.
func (s *stream) overGRPC() error {
	memory := s.lane.memory
	r, err := decodeRequest(s.lane.out[4:], memory)
	var messages []Raw
	for rest := r.messages; len(rest) > 0; {
		var m []byte
		var inMemory bool
		if m, rest, inMemory, _ = cutMessage(rest, memory); inMemory {
			m = bytes.Clone(m) // the memory is that of another call, soon
		}
		messages = append(messages, m)
	}
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
	for _, m := range messages {
		if err := s.over.SendMsg(m); err != nil {
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
	s.mu.Lock()
	defer s.mu.Unlock()
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
	if s.ctx.Err() != nil { // it may be that nobody has heard of it yet
		s.giveUp()
		s.err = status.FromContextError(s.ctx.Err()).Err()
		return nil
	}
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
	s.mu.Lock()
	defer s.mu.Unlock()
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
	data, err := s.receive()
	if err != nil {
		if err == io.EOF && !s.desc.ServerStreams {
			err = status.Error(codes.Internal, "lane: an answer without a message")
		}
		return err
	}
	if parts, _ := countParts(data); parts > 0 {
		if _, ok := m.(PartsTaker); !ok {
			data = mem.BufferSlice{mem.SliceBuffer(data.Materialize())}
		}
	}
	if err := s.c.codec.Unmarshal(data, m); err != nil {
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

// receive returns the next message of the answer, io.EOF after the last. The one before is done with.
func (s *stream) receive() (data mem.BufferSlice, err error) {
	if s.acknowledge {
		s.acknowledge = false
		_, _ = s.lane.conn.Write(acknowledgement[:]) // what went wrong is seen below
	}
	kind, payload, err := s.lane.answer(s.lane.call)
	s.answered = s.answered || err == nil
	if err == nil && kind == kindParts {
		data, s.acknowledge, err = s.lane.memory.parts(payload, nil)
	}
	switch {
	case err != nil && s.ctx.Err() != nil:
		s.giveUp()
		s.err = status.FromContextError(s.ctx.Err()).Err()
	case errors.Is(err, errFrame):
		s.giveUp()
		s.err = status.Error(codes.Internal, err.Error())
	case err == io.EOF && !s.answered && s.lane.conn.unread() > 0: // Not all of the request. Later it is an acknowledgement.
		s.giveUp()
		s.err = unsent(s.ctx, err)
	case err != nil:
		s.giveUp()
		s.err = status.Errorf(codes.Unavailable, "lane: the connection broke: %v", err)
	case kind == kindEnd:
		var ok bool
		ok, s.err = endOf(payload)
		s.finish(ok && s.lane.r == s.lane.w) // more behind the end is nobody's answer
	case kind == kindParts:
		return data, nil
	default:
		return mem.BufferSlice{mem.SliceBuffer(payload)}, nil
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

// abandon gives the call up when its context has ended and nobody waits for its answer.
func (s *stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lane != nil {
		s.giveUp()
		s.err = status.FromContextError(s.ctx.Err()).Err()
	}
}

// Context implements grpc.ClientStream.
func (s *stream) Context() context.Context { return s.ctx }

// Header implements grpc.ClientStream: there is none.
func (s *stream) Header() (metadata.MD, error) { return nil, nil }

// Trailer implements grpc.ClientStream: there is none.
func (s *stream) Trailer() metadata.MD { return nil }
