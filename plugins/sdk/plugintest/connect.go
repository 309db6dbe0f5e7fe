package plugintest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/host"
	"github.com/roostmail/roost/core/pluginrpc"
	"github.com/roostmail/roost/core/pluginrpc/child"
	"github.com/roostmail/roost/plugins/sdk"
)

// Main is the TestMain of a plugin's test package. When the test binary was started
// as a plugin, it serves the one that newPlugin makes; else it runs the tests.
func Main(m interface{ Run() int }, newPlugin func() backend.Plugin) {
	if child.Started() {
		sdk.Serve(newPlugin())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// connection is a configured plugin at the other end of a wire.
type connection struct {
	plugin backend.Plugin // the client side
	// restart replaces the plugin by a new one with the same configuration;
	// the old one gets no chance to say goodbye if it is a process.
	restart func(t T)
	// reload puts a new process in the place of the old one, as roost plugin reload does, and returns when that has ended. nil: there is none
	reload  func(t T) error
	process bool
}

func (c *connection) storage() backend.Storage { return c.plugin.(backend.Storage) }
func (c *connection) auth() backend.Auth       { return c.plugin.(backend.Auth) }
func (c *connection) hibernation() backend.Hibernation {
	return c.plugin.(backend.Hibernation)
}
func (c *connection) notify() backend.Notify { return c.plugin.(backend.Notify) }
func (c *connection) state() backend.State   { return c.plugin.(backend.State) }

// always returns the same configuration for each connection.
func always(c backend.Config) func(T) backend.Config {
	return func(T) backend.Config { return c }
}

// onEachConnection runs the suite on each of the connections: plain gRPC, and a process under roost's host, which also uses lanes if the plugin
// announces them. A plugin that can be made within the test is reached over plain gRPC without a process.
func (s subject) onEachConnection(t T, newConfig func(T) backend.Config, suite func(t T, c *connection)) {
	if s.new != nil {
		t.Run("memory", func(t T) {
			c, config := &connection{}, newConfig(t)
			c.restart = func(T) { c.plugin = serveInMemory(t, s.new(), config) } // lives as long as this t
			c.restart(t)
			suite(t, c)
		})
	} else {
		t.Run("grpc", func(t T) { suite(t, s.dialAgain(t, newConfig(t))) })
	}
	t.Run("process", func(t T) { suite(t, s.supervise(t, newConfig(t))) })
}

// dialAgain returns a connection whose restart kills the process and starts another.
func (s subject) dialAgain(t T, config backend.Config) *connection {
	c := &connection{}
	var last *process
	c.restart = func(T) {
		if last != nil {
			_ = last.cmd.Process.Kill()
			<-last.exited
		}
		last, _, c.plugin = s.dial(t, config)
	}
	c.restart(t)
	return c
}

// Connect serves p over a gRPC connection inside of the test, configures it, and returns roost's end of the connection: a value of the interface of
// its kind, and of all its optional ones. It is for the tests of an author's own: what they call is encoded, checked and answered as in
// roost, without a process. The plugin is closed at the end of the test.
//
//	auth := plugintest.Connect(t, New(), backend.Config{Options: map[string]any{"path": "testdata/users"}}).(backend.Auth)
//	id, err := auth.VerifyPassword(t.Context(), backend.PasswordRequest{User: "jane", Password: "secret"})
func Connect[S goTest[S]](test S, p backend.Plugin, config backend.Config) backend.Plugin {
	test.Helper()
	return serveInMemory(wrap(test), p, config)
}

// serveInMemory connects to p without a process or a socket.
func serveInMemory(t T, p backend.Plugin, config backend.Config) backend.Plugin {
	t.Helper()
	fds, inherited, err := pluginrpc.NewFDChannel()
	if err != nil {
		t.Fatal(err)
	}
	sender := pluginrpc.NewFDSender(inherited)
	server, err := pluginrpc.NewServer(p, pluginrpc.ServerOptions{FDs: sender})
	if err != nil {
		t.Fatal(err)
	}
	ln := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(server.GRPCOptions()...)
	server.Register(srv)
	done := make(chan struct{})
	go func() { // ends with srv.Stop
		defer close(done)
		_ = srv.Serve(ln)
	}()
	conn, err := grpc.NewClient("passthrough:plugin", append(pluginrpc.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	client, err := pluginrpc.New(t.Context(), conn, pluginrpc.ClientOptions{FDs: fds})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		conn.Close()
		srv.Stop()
		<-done
		fds.Close()
		sender.Close()
	})
	if err := client.Configure(t.Context(), config); err != nil {
		t.Fatalf("Configure: %v", err)
	}
	return client
}

// supervise runs the plugin as a process under roost's host.
func (s subject) supervise(t T, config backend.Config) *connection {
	t.Helper()
	dir, err := os.MkdirTemp("", "plugintest") // not t.TempDir: the paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.New(host.Options{RunDir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("the plugin does not end well: %v", err)
		}
		os.RemoveAll(dir)
	})
	hc := host.Config{Name: "under-test", Kind: s.kind, Command: s.program(t), EnvAllow: s.environment(), Plugin: config, DrainTimeout: patience}
	p, err := h.Start(t.Context(), hc)
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{process: true, restart: func(t T) { killProcess(t, p) }}
	c.reload = func(t T) error {
		if err := p.Reload(t.Context(), hc); err != nil {
			return err
		}
		for begun := time.Now(); len(p.Stats().Draining) > 0; time.Sleep(time.Millisecond) {
			if time.Since(begun) > 2*patience {
				return fmt.Errorf("it is still there after %v", 2*patience)
			}
		}
		return nil
	}
	switch s.kind {
	case backend.KindStorage:
		c.plugin = p.Storage()
	case backend.KindHibernation:
		c.plugin = p.Hibernation()
	case backend.KindNotify:
		c.plugin = p.Notify()
	case backend.KindState:
		c.plugin = p.StateStore()
	default:
		c.plugin = p.Auth()
	}
	return c
}

// killProcess kills the plugin with SIGKILL. The host starts a new one.
func killProcess(t T, p *host.Plugin) {
	t.Helper()
	pid := p.Stats().PID
	if pid == 0 {
		return // it is down already
	}
	proc, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	_ = proc.Kill()
}

// wantKind fails the test unless err is of one of the kinds.
func wantKind(t T, what string, err error, kinds ...backend.ErrorKind) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: success, want an error of kind %v", what, kinds)
		return
	}
	for _, k := range kinds {
		if backend.KindOf(err) == k {
			return
		}
	}
	t.Errorf("%s: %v (kind %v), want kind %v", what, err, backend.KindOf(err), kinds)
}
