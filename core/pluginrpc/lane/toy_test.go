package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/roostmail/roost/core/backend"
)

type text = wrapperspb.StringValue

var toyCodec = encoding.GetCodecV2("proto")

// toy is a service with a call of each form.
type toy struct {
	waiting chan struct{} // gets one for each call of Wait that has begun
	ended   chan error    // and how its context ended

	repeated chan struct{} // gets one for each call of Repeat that has ended
}

func newToy() *toy {
	return &toy{make(chan struct{}, 100), make(chan error, 100), make(chan struct{}, 100)}
}

var toyService = grpc.ServiceDesc{
	ServiceName: "toy.Toy",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(srv any, ctx context.Context, dec func(any) error, i grpc.UnaryServerInterceptor) (any, error) {
		in := new(text)
		if err := dec(in); err != nil {
			return nil, err
		}
		return i(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/toy.Toy/Echo"}, func(ctx context.Context, req any) (any, error) {
			return srv.(*toy).echo(ctx, req.(*text))
		})
	}}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Repeat", ServerStreams: true, Handler: func(srv any, s grpc.ServerStream) error { return srv.(*toy).repeat(s) }},
		{StreamName: "Join", ClientStreams: true, Handler: func(srv any, s grpc.ServerStream) error { return srv.(*toy).join(s) }},
	},
}

// echo returns what it gets; "wait" waits for the end of the call, "fail" fails, "origin" tells for whom.
func (y *toy) echo(ctx context.Context, in *text) (*text, error) {
	switch in.Value {
	case "wait":
		y.waiting <- struct{}{}
		<-ctx.Done()
		y.ended <- ctx.Err()
		return nil, ctx.Err()
	case "origin":
		o := backend.OriginOf(ctx)
		return &text{Value: fmt.Sprint(o.Request, " ", o.User)}, nil
	case "fail":
		return nil, status.Error(codes.DataLoss, "as asked for")
	case "plain":
		return nil, errors.New("an error of no kind")
	}
	return in, nil
}

// repeat sends each of the request's bytes 1000 times, as one message.
func (y *toy) repeat(s grpc.ServerStream) error {
	defer func() { y.repeated <- struct{}{} }()
	in := new(text)
	if err := s.RecvMsg(in); err != nil {
		return err
	}
	for i := range in.Value {
		if err := s.SendMsg(&text{Value: strings.Repeat(in.Value[i:i+1], 1000)}); err != nil {
			return err
		}
	}
	return nil
}

// join answers with all messages of the request.
func (y *toy) join(s grpc.ServerStream) error {
	all := new(text)
	for {
		in := new(text)
		if err := s.RecvMsg(in); err == io.EOF {
			return s.SendMsg(all)
		} else if err != nil {
			return err
		}
		all.Value += in.Value
	}
}

// passThrough are interceptors that do nothing.
func passThrough() ServerOptions {
	return ServerOptions{
		Codec: toyCodec,
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(ctx, req)
		},
		Stream: func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(srv, s)
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

// serveToy answers over lanes until the end of the test.
func serveToy(t testing.TB, y *toy, over grpc.ClientConnInterface) *Conn {
	t.Helper()
	lanes, child, err := New()
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(passThrough())
	s.RegisterService(&toyService, y)
	done := make(chan error, 1)
	go func() { done <- s.Serve(child) }() // ends with lanes.Close
	t.Cleanup(func() {
		lanes.Close()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
		child.Close()
	})
	return NewConn(over, lanes, toyCodec)
}

func echo(ctx context.Context, c grpc.ClientConnInterface, in string) (string, error) {
	out := new(text)
	err := c.Invoke(ctx, "/toy.Toy/Echo", &text{Value: in}, out)
	return out.Value, err
}

// noGRPC fails calls that are not made over a lane.
type noGRPC struct{ t testing.TB }

func (n noGRPC) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	n.t.Error("a unary call went over gRPC")
	return status.Error(codes.Internal, "no gRPC here")
}

func (n noGRPC) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	n.t.Error("a stream went over gRPC")
	return nil, status.Error(codes.Internal, "no gRPC here")
}

// fakePlugin is the other end of lanes, to which a test writes what it likes.
type fakePlugin struct {
	t     testing.TB
	lanes *Lanes
	child *os.File
	open  sync.WaitGroup

	memory *memory // of the last lane, if it has any
}

func newFakePlugin(t testing.TB) *fakePlugin {
	t.Helper()
	lanes, child, err := New()
	if err != nil {
		t.Fatal(err)
	}
	p := &fakePlugin{t: t, lanes: lanes, child: child}
	t.Cleanup(func() { lanes.Close(); child.Close(); p.open.Wait() })
	return p
}

// answers does something with each new lane, after its first request was read; it gets the lane's number and that of the call.
func (p *fakePlugin) answers(n int, do func(number uint64, w io.WriteCloser, call uint32)) {
	p.open.Go(func() {
		for range n {
			number, conn, fd, err := receiveLane(p.child)
			for err == nil && conn == nil { // one that was given up
				number, conn, fd, err = receiveLane(p.child)
			}
			if err != nil || conn == nil {
				p.t.Errorf("lane %d: %v", number, err)
				return
			}
			if fd >= 0 {
				if p.memory, err = takeMemory(fd); err != nil {
					p.t.Error(err)
					return
				}
			}
			d := reader{src: conn}
			b, err := d.request()
			if err != nil {
				p.t.Error(err)
				return
			}
			r, err := decodeRequest(b, p.memory)
			if err != nil {
				p.t.Error(err)
				return
			}
			do(number, conn, r.call)
			conn.Close()
		}
	})
}
