package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
	"github.com/roostmail/roost/core/pluginrpc/child"
)

// The test binary is also the plugin, and the core that is killed.
func TestMain(m *testing.M) {
	switch {
	case child.Started() && os.Getenv("TEST_PLUGIN") == "no handshake":
		fmt.Println("hello") // and no more
		time.Sleep(time.Hour)
	case child.Started() && os.Getenv("TEST_PLUGIN") == "silent":
		time.Sleep(time.Hour)
	case child.Started() && os.Getenv("TEST_PLUGIN") == "exits":
		fmt.Fprintln(os.Stderr, "panic: no database")
		os.Exit(3)
	case child.Started() && os.Getenv("TEST_PLUGIN") == "plain":
		servePlain()
	case child.Started():
		serveTestPlugin()
	case os.Getenv("TEST_STANDALONE") != "":
		serveStandalone(os.Getenv("TEST_STANDALONE"))
	case os.Getenv("TEST_CORE") != "":
		beCore(os.Getenv("TEST_CORE"))
	default:
		os.Exit(m.Run())
	}
}

func serveTestPlugin() {
	var p backend.Plugin = &testPlugin{kind: backend.Kind(os.Getenv("TEST_PLUGIN_KIND"))}
	if os.Getenv("TEST_PLUGIN") == "bench" {
		p = newBenchStorage()
	}
	if os.Getenv("TEST_NO_LANES") != "" {
		os.Unsetenv(pluginrpc.EnvLanes)
	}
	if err := child.Serve(p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// servePlain is a plugin without go-plugin's services and without the SDK, as
// one in another language may be. It never exits by itself.
func servePlain() {
	path := os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/socket"
	ln, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	server, err := pluginrpc.NewServer(&testPlugin{kind: backend.KindAuth}, pluginrpc.ServerOptions{})
	if err != nil {
		panic(err)
	}
	srv := grpc.NewServer()
	server.Register(srv)
	fmt.Printf("1|1|unix|%s|grpc\nready\n", path)
	_ = srv.Serve(ln)
}

// testPlugin is storage and auth. What a call does depends on the name of the
// mailbox or user: see act.
type testPlugin struct {
	kind    backend.Kind
	options map[string]any
}

func (p *testPlugin) Info() backend.Info {
	i := backend.Info{Kind: p.kind, Name: "test", Version: "1.0.0", Capabilities: []string{backend.CapWrite}, Options: []backend.Option{
		{Name: "marker", Type: backend.OptionString}, {Name: "refuse", Type: backend.OptionBool}, {Name: "limit", Type: backend.OptionSize},
		{Name: "unwell", Type: backend.OptionString}, {Name: "crash", Type: backend.OptionString},
	}}
	if v := os.Getenv("TEST_PLUGIN_VERSION"); v != "" {
		i.Version = v
	}
	if os.Getenv("TEST_PLUGIN") == "does not write" {
		i.Capabilities = nil
	}
	if p.kind == backend.KindNotify {
		i.Capabilities = []string{backend.CapListen}
	}
	return i
}

func (p *testPlugin) Configure(_ context.Context, c backend.Config) error {
	p.options = c.Options
	if c.Options["refuse"] == true {
		return backend.Errorf(backend.KindInvalidArgument, "refused as asked")
	}
	if path, _ := c.Options["crash"].(string); path != "" {
		if _, err := os.Stat(path); err == nil {
			os.Exit(4)
		}
	}
	if file, _ := c.Options["marker"].(string); strings.HasPrefix(file, "/") {
		if _, err := os.ReadFile(file); err != nil {
			return &backend.Error{Kind: backend.KindUnavailable, Cause: err}
		}
	}
	slog.Info("configured", "marker", c.Options["marker"])
	return nil
}

// Health fails while the file named by the option exists, and hangs while it has content.
func (p *testPlugin) Health(ctx context.Context) error {
	path, _ := p.options["unwell"].(string)
	if b, err := os.ReadFile(path); err == nil {
		if len(b) > 0 {
			select {}
		}
		return backend.Errorf(backend.KindUnavailable, "not well")
	}
	return nil
}

func (p *testPlugin) Close() error { return nil }

// act does what the name says:
//
//	die        kills the process
//	die FILE   kills the process, unless the file exists; makes it
//	wait FILE  waits for the call's end; makes the file when it has begun
//	until FILE waits until the file is gone, which it makes when it has begun, with its process id
//	read FILE  reads the file
//	note FILE  appends a line to the file
//	unavailable, panic
func (p *testPlugin) act(ctx context.Context, name string) error {
	verb, file, _ := strings.Cut(name, " ")
	switch verb {
	case "die":
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		if file != "" {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				return err
			}
		}
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		select {}
	case "wait":
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	case "until":
		if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
			return err
		}
		for err := error(nil); err == nil; _, err = os.Stat(file) {
			time.Sleep(time.Millisecond)
		}
	case "note":
		file, line, _ := strings.Cut(file, " ")
		return appendLine(file, line)
	case "read":
		if _, err := os.ReadFile(file); err != nil {
			return err
		}
	case "unavailable":
		return backend.Errorf(backend.KindUnavailable, "says the plugin")
	case "panic":
		panic("as asked")
	}
	return nil
}

// appendLine appends a line to a file, with one write.
func appendLine(file, line string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// ListMailboxes returns facts about the process, each as a name.
func (p *testPlugin) ListMailboxes(context.Context, *backend.User, string) ([]backend.MailboxInfo, error) {
	wd, _ := os.Getwd()
	facts := []string{
		"dir=" + wd,
		"env=" + strings.Join(os.Environ(), "\x00"),
		fmt.Sprintf("ids=%d:%d", os.Getuid(), os.Getgid()),
		"pid=" + strconv.Itoa(os.Getpid()),
	}
	out := make([]backend.MailboxInfo, len(facts))
	for i, f := range facts {
		out[i].Name = f
	}
	return out, nil
}

func (p *testPlugin) Status(_ context.Context, _ *backend.User, _ string, names []string, _ backend.StatusItems) ([]backend.MailboxStatus, error) {
	return make([]backend.MailboxStatus, len(names)), nil
}

func (p *testPlugin) Open(ctx context.Context, m backend.MailboxRef) (*backend.Snapshot, error) {
	if err := p.act(ctx, m.Name); err != nil {
		return nil, err
	}
	return &backend.Snapshot{UIDValidity: 1, UIDNext: 1, HighestModSeq: 1, Position: []byte(strconv.Itoa(os.Getpid()))}, nil
}

func (p *testPlugin) Changes(ctx context.Context, m backend.MailboxRef, since []byte) (*backend.Changes, error) {
	return &backend.Changes{UIDNext: 1, HighestModSeq: 1, Position: since}, p.act(ctx, m.Name)
}

// Fetch sends as many messages as it is asked for, and acts after the first half.
func (p *testPlugin) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	body := bytes.Repeat([]byte("x"), 100_000)
	for i, uid := range r.UIDs {
		if i == len(r.UIDs)/2 {
			if err := p.act(ctx, r.Mailbox.Name); err != nil {
				return err
			}
		}
		if err := sink.Message(&backend.FetchedMessage{UID: uid, BodySize: uint64(len(body))}); err != nil {
			return err
		}
		if err := sink.Body(body); err != nil {
			return err
		}
	}
	return nil
}

func (p *testPlugin) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	return &backend.Identity{User: backend.User{Name: r.User}}, p.act(ctx, r.Password)
}

// logBuffer collects log lines and lets tests wait for one.
type logBuffer struct {
	mu      sync.Mutex
	text    string
	changed chan struct{}
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text += string(p)
	close(b.changed)
	b.changed = make(chan struct{})
	return len(p), nil
}

// wait returns when a line contains all parts.
func (b *logBuffer) wait(t *testing.T, parts ...string) {
	t.Helper()
	for {
		b.mu.Lock()
		text, changed := b.text, b.changed
		b.mu.Unlock()
		for line := range strings.Lines(text) {
			found := true
			for _, part := range parts {
				found = found && strings.Contains(line, part)
			}
			if found {
				return
			}
		}
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			t.Fatalf("no log line with %q in:\n%s", parts, text)
		}
	}
}

// newHost makes a host that must leave nothing behind: no file, no descriptor, no goroutine, no child.
func newHost(t testing.TB) (*Host, *logBuffer) {
	t.Helper()
	dir, err := os.MkdirTemp("", "host") // not t.TempDir: the paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // for plugins under another user
		t.Fatal(err)
	}
	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	log := &logBuffer{changed: make(chan struct{})}
	h, err := New(Options{RunDir: dir, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the run directory: %v, %v", left, err)
		}
		os.RemoveAll(dir)
		settle(t, "goroutines", goroutines, func() int { return runtime.NumGoroutine() })
		settle(t, "descriptors", descriptors, func() int { return openFiles(t) })
		if t.Failed() {
			t.Logf("log:\n%s", log.text)
		}
	})
	return h, log
}

// settle waits until a count is back at what it was; gRPC's own goroutines end a little after Close.
func settle(t testing.TB, what string, before int, count func() int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for count() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Errorf("%d %s, %d before:\n%s", count(), what, before, buf[:runtime.Stack(buf, true)])
			return
		}
		runtime.Gosched()
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// testConfig runs the test binary as a storage plugin.
func testConfig(t testing.TB) Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Name:    "test",
		Kind:    backend.KindStorage,
		Command: []string{exe},
		Env:     []string{"TEST_PLUGIN_KIND=storage"},
		Plugin:  backend.Config{Options: map[string]any{}},
	}
}

func mustStart(t testing.TB, h *Host, c Config) *Plugin {
	t.Helper()
	p, err := h.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// kill kills the plugin's process with SIGKILL.
func kill(t testing.TB, p *Plugin) {
	t.Helper()
	proc, err := os.FindProcess(p.Stats().PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
}

// beCore starts plugins, prints their process ids, and waits to be killed.
func beCore(runDir string) {
	h, err := New(Options{RunDir: runDir, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		panic(err)
	}
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	var pids []string
	for _, kind := range []backend.Kind{backend.KindStorage, backend.KindAuth} {
		p, err := h.Start(context.Background(), Config{Name: string(kind), Kind: kind, Command: []string{exe}, Env: []string{"TEST_PLUGIN_KIND=" + string(kind)}})
		if err != nil {
			panic(err)
		}
		pids = append(pids, strconv.Itoa(p.Stats().PID))
	}
	fmt.Println(strings.Join(pids, " "))
	select {}
}

// startCore runs the test binary as a core, and returns the process ids of its plugins.
func startCore(t *testing.T, runDir string) (*exec.Cmd, []int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_CORE="+runDir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var pids [2]int
	if _, err := fmt.Fscan(out, &pids[0], &pids[1]); err != nil {
		t.Fatal(err)
	}
	return cmd, pids[:]
}
