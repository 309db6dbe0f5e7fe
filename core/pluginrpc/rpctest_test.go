package pluginrpc

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/roostmail/roost/core/backend"
)

// fakeStorage answers with what its fields say.
type fakeStorage struct {
	info     backend.Info
	list     []backend.MailboxInfo
	status   func(names []string) ([]backend.MailboxStatus, error)
	snapshot *backend.Snapshot
	changes  *backend.Changes
	fetch    func(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error
	err      error

	mu     sync.Mutex
	config backend.Config
	ref    backend.MailboxRef
	since  []byte
	closed bool
}

func (s *fakeStorage) Info() backend.Info {
	i := s.info
	i.Kind = backend.KindStorage
	if i.Name == "" {
		i.Name = "fake"
	}
	return i
}

func (s *fakeStorage) Configure(_ context.Context, c backend.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = c
	return nil
}

func (s *fakeStorage) Health(context.Context) error { return s.err }

func (s *fakeStorage) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *fakeStorage) ListMailboxes(context.Context, *backend.User, string) ([]backend.MailboxInfo, error) {
	return s.list, s.err
}

func (s *fakeStorage) Status(_ context.Context, _ *backend.User, _ string, names []string, _ backend.StatusItems) ([]backend.MailboxStatus, error) {
	return s.status(names)
}

func (s *fakeStorage) Open(_ context.Context, m backend.MailboxRef) (*backend.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ref = m
	return s.snapshot, s.err
}

func (s *fakeStorage) Changes(_ context.Context, m backend.MailboxRef, since []byte) (*backend.Changes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ref, s.since = m, since
	return s.changes, s.err
}

func (s *fakeStorage) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	return s.fetch(ctx, r, sink)
}

// serve connects to a gRPC server on which register has put the services, over an in-memory connection.
func serve(t testing.TB, opts []grpc.ServerOption, register func(grpc.ServiceRegistrar)) *grpc.ClientConn {
	t.Helper()
	srv := grpc.NewServer(opts...)
	register(srv)
	return serveOn(t, srv)
}

// serveUntil serves p, not configured, until the server is stopped.
func serveUntil(t testing.TB, p backend.Plugin) (*grpc.Server, *grpc.ClientConn) {
	t.Helper()
	s, err := NewServer(p, ServerOptions{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(s.GRPCOptions()...)
	s.Register(srv)
	return srv, serveOn(t, srv)
}

// serveOn runs a server until the end of the test, and connects to it.
func serveOn(t testing.TB, srv *grpc.Server) *grpc.ClientConn {
	t.Helper()
	ln := bufconn.Listen(1 << 20)
	done := make(chan struct{})
	go func() { // ends with srv.Stop
		defer close(done)
		_ = srv.Serve(ln)
	}()
	dial := append(DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }))
	conn, err := grpc.NewClient("passthrough:plugin", dial...)
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

// connect serves p, configured, and returns its client side.
func connect(t testing.TB, p backend.Plugin, o ClientOptions) backend.Plugin {
	t.Helper()
	s, err := NewServer(p, ServerOptions{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), serve(t, s.GRPCOptions(), s.Register), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	return c
}

func connectStorage(t testing.TB, p backend.Plugin, o ClientOptions) *Storage {
	t.Helper()
	return connect(t, p, o).(*Storage)
}

// collected is one message that a collector got, with its body.
type collected struct {
	backend.FetchedMessage
	Body []byte
}

// collector is a FetchSink that keeps everything.
type collector struct {
	got  []collected
	fail error // returned by the next call
}

func (c *collector) Message(m *backend.FetchedMessage) error {
	k := collected{FetchedMessage: *m}
	k.HeaderFields = append([]byte(nil), m.HeaderFields...)
	k.BodyStructure = append([]byte(nil), m.BodyStructure...)
	k.Preview = bytes.Clone(m.Preview) // nil stays nil
	c.got = append(c.got, k)
	return c.fail
}

func (c *collector) Body(p []byte) error {
	last := &c.got[len(c.got)-1]
	last.Body = append(last.Body, p...)
	return c.fail
}
