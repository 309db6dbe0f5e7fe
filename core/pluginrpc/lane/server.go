package lane

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
)

// Server answers calls that come over lanes. It implements grpc.ServiceRegistrar.
type Server struct {
	o       ServerOptions
	methods map[string]method

	mu    sync.Mutex
	lanes map[uint64]*serverLane
	wg    sync.WaitGroup
}

// ServerOptions says how calls are answered. All but Log is required.
type ServerOptions struct {
	Codec  encoding.CodecV2
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
	Log    *slog.Logger // gets what breaks the protocol; nil = slog.Default()
}

// method is one that was registered: unary, or with streams.
type method struct {
	impl   any
	unary  grpc.MethodHandler
	stream *grpc.StreamDesc
}

// NewServer returns a server without services.
func NewServer(o ServerOptions) *Server {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Server{o: o, methods: map[string]method{}, lanes: map[uint64]*serverLane{}}
}

// RegisterService implements grpc.ServiceRegistrar. It must not be called after Serve.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for i := range desc.Methods {
		m := &desc.Methods[i]
		s.methods["/"+desc.ServiceName+"/"+m.MethodName] = method{impl: impl, unary: m.Handler}
	}
	for i := range desc.Streams {
		m := &desc.Streams[i]
		s.methods["/"+desc.ServiceName+"/"+m.StreamName] = method{impl: impl, stream: m}
	}
}

// Serve takes lanes from the socket that the process inherited, until core closes it. It returns after all calls have ended.
func (s *Server) Serve(socket *os.File) error {
	defer s.end()
	for {
		number, conn, memory, err := receiveLane(socket)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case conn == nil:
			s.cancel(number)
		default:
			s.take(number, conn, memory)
		}
	}
}

// receiveLane reads one packet: a new lane, perhaps with a descriptor of its memory (otherwise -1), or (nil) the number of one that was given up.
func receiveLane(socket *os.File) (number uint64, conn *pipes, memory int, err error) {
	var b [8]byte
	oob := make([]byte, unix.CmsgSpace(4*4))
	var n, oobn int
	var inner error
	c, err := socket.SyscallConn()
	if err != nil {
		return 0, nil, -1, err
	}
	err = c.Read(func(fd uintptr) bool {
		n, oobn, _, _, inner = unix.Recvmsg(int(fd), b[:], oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		return inner != unix.EAGAIN && inner != unix.EINTR
	})
	if err = errors.Join(err, inner); err != nil {
		return 0, nil, -1, fmt.Errorf("lane: socket: %w", err)
	}
	fds := rights(oob[:oobn])
	if n == 0 && len(fds) == 0 {
		return 0, nil, -1, io.EOF
	}
	if n != len(b) || len(fds) == 1 || len(fds) > 3 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return 0, nil, -1, fmt.Errorf("lane: packet of %d bytes with %d descriptors", n, len(fds))
	}
	memory = -1
	if len(fds) == 3 {
		memory = fds[2]
	}
	if len(fds) > 0 {
		p := takePipes(fds[0], fds[1])
		conn = &p
	}
	return binary.LittleEndian.Uint64(b[:]), conn, memory, nil
}

// rights returns all descriptors in control messages.
func rights(oob []byte) (fds []int) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

// take starts to answer the calls of a lane. memory is -1 if it has none.
func (s *Server) take(number uint64, conn *pipes, memory int) {
	l := &serverLane{s: s, conn: conn, reader: reader{src: conn}}
	if memory >= 0 {
		var err error
		if l.memory, err = takeMemory(memory); err != nil { // core makes its call over gRPC then
			s.o.Log.Warn("a lane is not taken", "err", err)
			conn.Close()
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes[number] = l
	s.wg.Add(1)
	go func() { // ends when core closes the lane, or end does
		defer s.wg.Done()
		l.serve()
		conn.Close()
		if l.memory != nil {
			unmap(l.memory.b)
		}
		s.mu.Lock()
		delete(s.lanes, number)
		s.mu.Unlock()
	}()
}

// cancel ends the call of a lane that was given up.
func (s *Server) cancel(number uint64) {
	s.mu.Lock()
	l := s.lanes[number]
	s.mu.Unlock()
	if l != nil {
		l.giveUp()
	}
}

// end closes all lanes and waits for their calls, which are cancelled.
func (s *Server) end() {
	s.mu.Lock()
	lanes := make([]*serverLane, 0, len(s.lanes))
	for _, l := range s.lanes {
		lanes = append(lanes, l)
	}
	s.mu.Unlock()
	for _, l := range lanes {
		l.giveUp()
		l.conn.Close()
	}
	s.wg.Wait()
}

// serverLane is the plugin's end of a lane.
type serverLane struct {
	s    *Server
	conn *pipes
	reader
	memory *memory // nil: it has none
	out    []byte  // what of the answer was not written yet
	flags  int     // where in out those of a message in parts are, 0 = there is none
	owed   int     // how many acknowledgements are to come
	user   string  // of the last call

	mu      sync.Mutex
	cancel  context.CancelFunc // of the call under way; nil: there is none
	givenUp bool
}

// serve answers one call after the other.
func (l *serverLane) serve() {
	for {
		b, err := l.next()
		if err == nil {
			err = l.execute(b)
		}
		if errors.Is(err, errFrame) {
			l.s.o.Log.Error("core broke the protocol of lanes", "err", err)
		}
		if err != nil {
			return
		}
		l.rest()
		l.out = shrink(l.out)
	}
}

// next returns the next request. Acknowledgements in the call before that nobody has waited for come first.
func (l *serverLane) next() ([]byte, error) {
	for {
		b, err := l.request()
		if err != nil || len(b) > 0 || l.owed == 0 {
			return b, err
		}
		l.owed--
	}
}

// awaitAcknowledgement waits until core is done with one more message. The request stays where it was read to.
func (l *serverLane) awaitAcknowledgement() error {
	var b [len(acknowledgement)]byte
	if l.r < l.w {
		return broken("%d bytes behind a request", l.w-l.r)
	}
	if _, err := io.ReadFull(l.src, b[:]); err != nil {
		return err
	}
	if b != acknowledgement {
		return broken("a request before the answer to the last one has ended")
	}
	l.owed--
	return nil
}

// giveUp cancels the call under way, and any later one.
func (l *serverLane) giveUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.givenUp = true
	if l.cancel != nil {
		l.cancel()
	}
}

// begin returns the context of a call; end must follow.
func (l *serverLane) begin(r request) (context.Context, context.CancelFunc) {
	of := context.Background()
	if r.number != 0 || len(r.user) != 0 {
		if string(r.user) != l.user {
			l.user = string(r.user)
		}
		of = backend.WithOrigin(of, backend.Origin{Request: r.number, User: l.user})
	}
	ctx, cancel := context.WithCancel(of)
	if r.timeout > 0 {
		cancel()
		ctx, cancel = context.WithTimeout(of, r.timeout)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel = cancel
	if l.givenUp {
		cancel()
	}
	return ctx, func() {
		l.mu.Lock()
		l.cancel = nil
		l.mu.Unlock()
		cancel()
	}
}

// execute answers a request. An error means that the lane can not be used any more.
func (l *serverLane) execute(b []byte) error {
	r, err := decodeRequest(b, l.memory)
	if err != nil {
		return err
	}
	ctx, end := l.begin(r)
	defer end()
	ss := &serverStream{lane: l, ctx: ctx, call: r.call, rest: r.messages, noSlots: r.inMemory || l.memory == nil}
	err = l.s.call(ctx, ss, r)
	if ss.err != nil {
		return ss.err // of writing
	}
	return ss.end(err)
}

// call runs the method of a request.
func (s *Server) call(ctx context.Context, ss *serverStream, r request) error {
	m, ok := s.methods[string(r.method)]
	if !ok {
		return status.Errorf(codes.Unimplemented, "unknown method %q", r.method)
	}
	if m.unary == nil {
		return s.o.Stream(m.impl, ss, &grpc.StreamServerInfo{
			FullMethod: string(r.method), IsClientStream: m.stream.ClientStreams, IsServerStream: m.stream.ServerStreams}, m.stream.Handler)
	}
	// The interceptor gets the full name from the generated handler.
	resp, err := m.unary(m.impl, ctx, func(req any) error { return notEmpty(ss.RecvMsg(req)) }, s.o.Unary)
	if err != nil {
		return err
	}
	return ss.SendMsg(resp)
}

// notEmpty makes an error of io.EOF.
func notEmpty(err error) error {
	if err == io.EOF {
		return status.Error(codes.InvalidArgument, "a request without a message")
	}
	return err
}

// endFrame appends the end of an answer.
func endFrame(b []byte, call uint32, err error) []byte {
	if err == nil {
		return appendAnswerHead(b, call, kindEnd, 0)
	}
	st, ok := status.FromError(err)
	if !ok {
		st = status.FromContextError(err)
	}
	p, merr := proto.Marshal(st.Proto())
	if merr != nil || len(p) > MaxMessage || len(p) == 0 {
		p, _ = proto.Marshal(status.New(codes.Internal, "an error that can not be sent").Proto())
	}
	return append(appendAnswerHead(b, call, kindEnd, len(p)), p...)
}
