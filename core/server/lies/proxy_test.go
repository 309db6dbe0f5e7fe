package lies

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
	"github.com/roostmail/roost/core/pluginrpc/lane"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
	_ "github.com/roostmail/roost/proto/roost/storage/v1"
)

// rawCodec leaves messages as they are: []byte.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return encoding.GetCodecV2("proto").Marshal(v)
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if b, ok := v.(*[]byte); ok {
		*b = data.Materialize()
		return nil
	}
	return encoding.GetCodecV2("proto").Unmarshal(data, v)
}

// lie changes answers: it is called with each response of the calls that it is about, n of them before, and sends what it likes. An error ends
// the call; io.EOF as if the answer had ended.
type lie func(n int, response []byte, send func([]byte) error) error

// errSilence of a lie: nothing more is said.
var errSilence = errors.New("silence")

// proxy passes calls on to a plugin, and lies about its answers.
type proxy struct {
	to grpc.ClientConnInterface

	mu     sync.Mutex
	method string // of the lie; "" = the truth
	lie    lie
	n      int
}

// arm makes the proxy lie about a method, in its call from now on.
func (p *proxy) arm(method string, l lie) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.method, p.lie, p.n = method, l, 0
}

// told returns how many responses were lied about.
func (p *proxy) told() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// current returns the lie about a method, and the number of the response.
func (p *proxy) current(method string) (lie, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.method == "" || !strings.HasSuffix(method, "."+p.method) && !strings.HasSuffix(method, "/"+p.method) {
		return nil, 0
	}
	p.n++
	return p.lie, p.n - 1
}

// register adds all services of storage plugins, as streams of bytes.
func (p *proxy) register(r grpc.ServiceRegistrar, packages ...protoreflect.FullName) {
	for _, pkg := range packages {
		protoregistry.GlobalFiles.RangeFilesByPackage(pkg, func(f protoreflect.FileDescriptor) bool {
			for i := range f.Services().Len() {
				s := f.Services().Get(i)
				desc := &grpc.ServiceDesc{ServiceName: string(s.FullName()), HandlerType: (*any)(nil)}
				for k := range s.Methods().Len() {
					name := string(s.Methods().Get(k).Name())
					desc.Streams = append(desc.Streams, grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: true,
						Handler: func(_ any, ss grpc.ServerStream) error { return p.pass("/"+desc.ServiceName+"/"+name, ss) }})
				}
				r.RegisterService(desc, p)
			}
			return true
		})
	}
}

// pass makes a call.
func (p *proxy) pass(method string, ss grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(ss.Context())
	defer cancel()
	out, err := p.to.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		return err
	}
	go func() { // ends with the call
		for {
			var b []byte
			if err := ss.RecvMsg(&b); err != nil {
				if err == io.EOF {
					_ = out.CloseSend()
				}
				return
			}
			if out.SendMsg(b) != nil {
				return
			}
		}
	}()
	for {
		var b []byte
		if err := out.RecvMsg(&b); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		send := func(b []byte) error { return ss.SendMsg(b) }
		l, n := p.current(method)
		if l == nil {
			l = func(_ int, b []byte, send func([]byte) error) error { return send(b) }
		}
		switch err := l(n, b, send); err {
		case nil:
			continue
		case errSilence:
			<-ctx.Done()
			return ctx.Err()
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// serveInMemory serves what register adds, and connects to it.
func serveInMemory(t *testing.T, opts []grpc.ServerOption, register func(grpc.ServiceRegistrar)) *grpc.ClientConn {
	t.Helper()
	ln := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(opts...)
	register(srv)
	done := make(chan struct{})
	go func() { // ends with srv.Stop
		defer close(done)
		_ = srv.Serve(ln)
	}()
	conn, err := grpc.NewClient("passthrough:plugin", append(pluginrpc.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		srv.Stop()
		<-done
	})
	return conn
}

// liar is a plugin that tells the truth until its proxy is armed, as core sees it.
func liar(t *testing.T, truth backend.Plugin, lanes bool, limits pluginrpc.Limits) (backend.Plugin, *proxy) {
	t.Helper()
	service := protoreflect.FullName("roost." + truth.Info().Kind + ".v1")
	s, err := pluginrpc.NewServer(truth, pluginrpc.ServerOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: serveInMemory(t, s.GRPCOptions(), s.Register)}
	o := pluginrpc.ClientOptions{Name: "liar", Limits: limits}
	p.arm("Info", edit(func(_ int, m *pluginv1.InfoResponse) {
		if m.Name = "liar"; lanes {
			m.Capabilities = append(m.Capabilities, backend.CapLanes)
		}
	}))
	if lanes {
		l, socket, err := lane.New()
		if err != nil {
			t.Fatal(err)
		}
		o.Lanes = l
		srv := lane.NewServer(lane.ServerOptions{Codec: rawCodec{}, Log: slog.New(slog.DiscardHandler),
			Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				return next(ctx, req)
			},
			Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				return next(srv, ss)
			}})
		p.register(srv, service)
		done := make(chan error)
		go func() { done <- srv.Serve(socket) }() // ends with l
		t.Cleanup(func() {
			l.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
			socket.Close()
		})
	}
	conn := serveInMemory(t, []grpc.ServerOption{grpc.ForceServerCodecV2(rawCodec{})}, func(r grpc.ServiceRegistrar) { p.register(r, "roost.plugin.v1", service) })
	c, err := pluginrpc.New(t.Context(), conn, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	p.arm("", nil)
	return c, p
}

// marshal returns the bytes of a message that a lie sends.
func marshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err) // a mistake in the test
	}
	return b
}

// edit is a lie that changes the message of a response, and sends it.
func edit[T any, M interface {
	*T
	proto.Message
}](change func(n int, m M)) lie {
	return func(n int, response []byte, send func([]byte) error) error {
		m := M(new(T))
		if err := proto.Unmarshal(response, m); err != nil {
			return err
		}
		change(n, m)
		return send(marshal(m))
	}
}
