package plugintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// testWire holds the cases about what comes over the socket: each method is called with what is no request, and the connection itself is
// misused. Nothing of it may end the process, hang, or be taken for something that it is not.
func (s subject) testWire(t T, config backend.Config) {
	t.Run("Wire", func(t T) {
		config.ReadOnly = true // some garbage may be a request
		c, conn, _ := s.dial(t, config)
		alive := func(t T, what string) {
			t.Helper()
			if c.gone() {
				t.Fatalf("after %s, the process ended with %v", what, c.cmd.ProcessState)
			}
			answers(t, conn, what)
		}
		bad := garbage()
		for _, m := range methodsOf(s.kind) {
			if m.FullName() == "roost.notify.v1.Notify.Listen" {
				continue // lasts until core ends it
			}
			t.Run(string(m.Name()), func(t T) {
				for _, g := range bad {
					t.Run(g.name, func(t T) {
						callWith(t, conn, m, g)
						alive(t, "a call of "+string(m.FullName())+" with "+g.name)
					})
				}
				t.Run("Cancelled", func(t T) {
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					if err := exchange(ctx, conn, m, nil); status.Code(err) != codes.Canceled {
						t.Errorf("a cancelled call: %v", err)
					}
					alive(t, "a cancelled call")
				})
				t.Run("NoTime", func(t T) { // the deadline is over when the plugin sees the call, or a little later
					for _, d := range []time.Duration{time.Nanosecond, 50 * time.Microsecond, 500 * time.Microsecond} {
						ctx, cancel := context.WithTimeout(t.Context(), d)
						_ = exchange(ctx, conn, m, nil)
						cancel()
					}
					alive(t, "calls without time")
				})
			})
		}
		t.Run("UnknownMethods", func(t T) {
			for _, name := range []string{"/roost.plugin.v1.Plugin/NoSuchCall", "/roost." + string(s.kind) + ".v1.NoSuchService/X", "/roost." + string(s.kind) + ".v2.X/Y", "/x/y", "/"} {
				t.Run(name, func(t T) {
					err := conn.Invoke(t.Context(), name, raw(nil), new(raw), grpc.ForceCodec(rawCodec{}))
					if code := status.Code(err); code != codes.Unimplemented && code != codes.Internal {
						t.Errorf("%v, want UNIMPLEMENTED", err)
					}
					alive(t, "a call of "+name)
				})
			}
		})
		for _, g := range noise() {
			t.Run("Noise/"+g.name, func(t T) {
				sendNoise(t, c.socket(t), g.data)
				alive(t, "a connection with "+g.name)
			})
		}
		t.Run("ManyConnections", func(t T) {
			for range 50 {
				nc, err := net.Dial("unix", c.socket(t))
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
			}
			alive(t, "50 connections that say nothing")
		})
		t.Run("SecondConnection", func(t T) { answers(t, c.connect(t), "a second connection was opened") })
		t.Run("ManyCallsAtOnce", func(t T) {
			var wg sync.WaitGroup
			for range 200 {
				wg.Go(func() {
					if _, err := pluginv1.NewPluginClient(conn).Health(t.Context(), &pluginv1.HealthRequest{}); err != nil {
						t.Errorf("Health: %v", err)
					}
				})
			}
			wg.Wait()
		})
		t.Run("ManyCancelledCalls", func(t T) {
			for range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = pluginv1.NewPluginClient(conn).Info(ctx, &pluginv1.InfoRequest{})
				}()
				cancel()
				<-done
			}
			alive(t, "100 calls that were cancelled at once")
		})
		t.Run("LongMetadata", func(t T) {
			_, err := pluginv1.NewPluginClient(conn).Health(t.Context(), &pluginv1.HealthRequest{},
				grpc.PerRPCCredentials(callHeader{"x-plugintest": strings.Repeat("x", 2000)}))
			if err != nil {
				t.Errorf("a call with a header that the plugin does not know: %v", err)
			}
		})
		for _, o := range []struct{ name, key, value string }{
			{"Request", "roost-request", "00000000000000ff"}, {"NoUser", "roost-user-bin", ""}, {"User", "roost-user-bin", "Jürgen \n\x00\xff"},
			{"NoNumber", "roost-request", "x"}, {"NegativeNumber", "roost-request", "-1"}, {"LongNumber", "roost-request", strings.Repeat("f", 100)},
			{"OfALaterVersion", "roost-later", "1"},
		} {
			t.Run("Origin/"+o.name, func(t T) { // metadata is for logs: whatever it says, the call is answered
				if _, err := pluginv1.NewPluginClient(conn).Health(t.Context(), &pluginv1.HealthRequest{}, grpc.PerRPCCredentials(callHeader{o.key: o.value})); err != nil {
					t.Errorf("Health with %s: %v", o.key, err)
				}
			})
		}
		t.Run("InfoIsTheSame", func(t T) { // after all of it
			p, err := pluginrpc.New(t.Context(), conn, pluginrpc.ClientOptions{})
			if err != nil || p.Info().Kind != s.kind {
				t.Errorf("Info: %v", err)
			}
		})
	})
}

// callHeader is metadata of a call.
type callHeader map[string]string

func (h callHeader) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return h, nil
}

func (callHeader) RequireTransportSecurity() bool { return false }

// methodsOf returns the methods of the base service and of a kind's services, but those that end the plugin.
func methodsOf(kind backend.Kind) (list []protoreflect.MethodDescriptor) {
	for _, pkg := range []string{"plugin", string(kind)} {
		protoregistry.GlobalFiles.RangeFilesByPackage(protoreflect.FullName("roost."+pkg+".v1"), func(f protoreflect.FileDescriptor) bool {
			for i := range f.Services().Len() {
				methods := f.Services().Get(i).Methods()
				for k := range methods.Len() {
					if m := methods.Get(k); m.Name() != "Shutdown" {
						list = append(list, m)
					}
				}
			}
			return true
		})
	}
	return list
}

// badRequest is sent in the place of a request.
type badRequest struct {
	name   string
	data   []byte
	broken bool // no protobuf library takes it for a message, whatever the type: it must be refused
}

// garbage makes all of them: some MiB, which a process that only links this package does not have.
func garbage() []badRequest {
	return []badRequest{
		{"Nothing", nil, false},
		{"UnknownFields", []byte{0xfa, 0xff, 0x7f, 3, 'n', 'e', 'w', 0xf8, 0xff, 0x7f, 1}, false}, // of a later version
		{"Text", []byte("GET / HTTP/1.1\r\n\r\n"), true},
		{"CutTag", []byte{0xff}, true},
		{"CutLength", []byte{0x0a, 0xff, 0xff, 0xff, 0xff}, true},
		{"LengthBeyondEnd", []byte{0x0a, 0x7f, 'x'}, true},
		{"FieldZero", []byte{0x02, 0x01, 'x'}, true},
		{"EndOfNoGroup", []byte{0x0c}, false},
		{"EndlessVarint", bytes.Repeat([]byte{0x80}, 64), true},
		{"WrongTypes", []byte{0x08, 1, 0x10, 1, 0x18, 1, 0x20, 1, 0x28, 1}, false},
		{"NotUTF8", []byte{0x0a, 2, 0xff, 0xfe, 0x12, 2, 0xff, 0xfe, 0x1a, 2, 0xff, 0xfe}, false},
		{"DeepNesting", nested(5000), false},
		{"OneMiBOfZeros", make([]byte, 1<<20), false},
		{"MoreThanTheLimit", append([]byte{0x0a, 0x80, 0x80, 0xc0, 2}, make([]byte, 5<<20)...), true},
	}
}

// nested returns a message in which field 1 holds a message in which field 1 holds …
func nested(depth int) []byte {
	var b []byte
	for range depth {
		n := len(b)
		head := []byte{0x0a}
		for ; n >= 0x80; n >>= 7 {
			head = append(head, byte(n)|0x80)
		}
		b = append(append(head, byte(n)), b...)
	}
	return b
}

// callWith calls a method with garbage. It must be answered, and be refused if it is no message.
func callWith(t T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, g badRequest) {
	t.Helper()
	wait := patience
	if m.IsStreamingServer() || m.IsStreamingClient() {
		wait = time.Second // some streams last as long as their caller likes
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	err := exchange(ctx, conn, m, g.data)
	switch code := status.Code(err); {
	case err == nil && g.broken:
		t.Errorf("what is no request is answered like one")
	case err == nil && m.Name() == "VerifyPassword":
		t.Errorf("an empty request logs somebody in")
	case code == codes.DeadlineExceeded && wait == patience:
		t.Errorf("no answer after %v", patience)
	case code == codes.Unavailable && strings.Contains(err.Error(), "transport"):
		t.Errorf("the connection broke: %v", err)
	}
}

// exchange makes a call of any form with one request, and reads until it ends or has given a few answers.
func exchange(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, data []byte) error {
	name := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, name, grpc.ForceCodec(rawCodec{}), grpc.MaxCallSendMsgSize(64<<20))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(raw(data)); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg says why
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for range 10 {
		if err := stream.RecvMsg(new(raw)); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
	return nil
}

// raw is a message that is not encoded.
type raw []byte

// rawCodec hands raw through.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) {
	switch m := v.(type) {
	case raw:
		return m, nil
	case *raw:
		return *m, nil
	}
	return nil, fmt.Errorf("plugintest: %T", v)
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*raw) = bytes.Clone(data)
	return nil
}

func (rawCodec) Name() string { return "proto" }

type noiseData struct {
	name string
	data []byte
}

// noise is what may come over a connection that is not, or no longer, gRPC.
func noise() []noiseData {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	return []noiseData{
		{"Nothing", nil},
		{"HalfAPreface", []byte(preface[:10])},
		{"HTTP1", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"TLS", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
		{"Zeros", make([]byte, 100_000)},
		{"Ones", bytes.Repeat([]byte{0xff}, 100_000)},
		{"PrefaceAndNoise", append([]byte(preface), bytes.Repeat([]byte{0xfe}, 50_000)...)},
		{"FrameTooLarge", []byte(preface + settings + "\xff\xff\xff\x00\x00\x00\x00\x00\x01")},
		{"HeadersThatAreNone", []byte(preface + settings + "\x00\x00\x04\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff")},
		{"DataWithoutStream", []byte(preface + settings + "\x00\x00\x04\x00\x01\x00\x00\x00\x63abcd")},
		{"ResetOfNoStream", []byte(preface + settings + "\x00\x00\x04\x03\x00\x00\x00\x00\x63\x00\x00\x00\x08")},
		{"Pings", []byte(preface + settings + strings.Repeat("\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", 1000))},
		{"WindowOverflow", []byte(preface + settings + strings.Repeat("\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff", 3))},
	}
}

// sendNoise opens a connection, writes, and closes it.
func sendNoise(t T, socket string, data []byte) {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	_, _ = nc.Write(data) // the plugin may close it meanwhile
}
