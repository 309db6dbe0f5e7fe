package pluginrpc

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/roostmail/roost/core/backend"
)

// fakeAuth answers with what its fields say.
type fakeAuth struct {
	fakeBase
	verify func(backend.PasswordRequest) (*backend.Identity, error)
	lookup func(string) (*backend.User, error)
}

type fakeBase struct{ info backend.Info }

func (b fakeBase) Info() backend.Info                              { return b.info }
func (b fakeBase) Configure(context.Context, backend.Config) error { return nil }
func (b fakeBase) Health(context.Context) error                    { return nil }
func (b fakeBase) Close() error                                    { return nil }

func (a *fakeAuth) VerifyPassword(_ context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	return a.verify(r)
}
func (a *fakeAuth) LookupUser(_ context.Context, name string) (*backend.User, error) {
	return a.lookup(name)
}

func TestAuth(t *testing.T) {
	request := backend.PasswordRequest{
		User: "j\xe4ne", AuthzID: "other", Password: "p\xff\x01", Service: "imap",
		Remote: netip.MustParseAddr("2001:db8::7"), Local: netip.MustParseAddr("192.0.2.1"), Secured: true, Session: "s1",
	}
	identity := &backend.Identity{
		User:   backend.User{Name: "jane", Fields: map[string]string{"home": "/srv/J\xfcrgen", "uid": "1000"}},
		Fields: map[string]string{"nodelay": ""},
	}
	a := connect(t, &fakeAuth{
		fakeBase: fakeBase{info: backend.Info{Kind: backend.KindAuth, Name: "fake", Capabilities: []string{backend.CapUserLookup}}},
		verify: func(got backend.PasswordRequest) (*backend.Identity, error) {
			if d := cmp.Diff(request, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("request differs: %s", d)
			}
			return identity, nil
		},
		lookup: func(name string) (*backend.User, error) {
			if name != "jane" {
				return nil, backend.Errorf(backend.KindNotFound, "no such user")
			}
			return &identity.User, nil
		},
	}, ClientOptions{}).(*Auth)
	got, err := a.VerifyPassword(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(identity, got); d != "" {
		t.Errorf("identity differs: %s", d)
	}
	user, err := a.LookupUser(t.Context(), "jane")
	if err != nil || !cmp.Equal(user, &identity.User) {
		t.Errorf("LookupUser: %v, %v", user, err)
	}
	if _, err := a.LookupUser(t.Context(), "joe"); err == nil || backend.KindOf(err) != backend.KindNotFound {
		t.Errorf("LookupUser of nobody: %v, want KindNotFound", err)
	}
}

func TestInfoAndConfig(t *testing.T) {
	f := &fakeStorage{info: backend.Info{
		Kind: backend.KindStorage, Name: "fake", Version: "1.2.3", Description: "for tests",
		Capabilities: []string{"other", backend.CapWatchFD},
		Options:      []backend.Option{{Name: "path", Type: backend.OptionString, Required: true, Default: "x", Help: "h", Secret: true}},
	}}
	s, err := NewServer(f, ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), serve(t, s.GRPCOptions(), s.Register), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := f.info
	want.Capabilities = []string{"other"} // there is no descriptor channel
	if d := cmp.Diff(want, c.Info()); d != "" {
		t.Errorf("info differs: %s", d)
	}
	config := backend.Config{
		Options: map[string]any{"path": "a", "fast": true, "n": int64(-1 << 62), "list": []string{"x", "y"}},
		Namespaces: []backend.Namespace{{Name: "main", Prefix: "Mail/", Separator: '/', Inbox: true, List: true, Subscriptions: true, Location: "mdbox:~/mdbox",
			Mailboxes: []backend.NamespaceMailbox{{Name: "Sent", SpecialUse: `\Sent`, Auto: "subscribe"}}}},
		BaseDir: "/etc/roost", ReadOnly: true,
	}
	if err := c.Configure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(config, f.config); d != "" {
		t.Errorf("config differs: %s", d)
	}
	// The same again comes over another connection to a process that goes on; the plugin is not asked.
	f.config = backend.Config{}
	if err := c.Configure(t.Context(), config); err != nil || !cmp.Equal(f.config, backend.Config{}) {
		t.Errorf("the same Configure again: %v, plugin has %+v", err, f.config)
	}
	config.BaseDir = "/etc/other"
	if err := c.Configure(t.Context(), config); err == nil || backend.KindOf(err) != backend.KindInvalidArgument {
		t.Errorf("another Configure: %v, want KindInvalidArgument", err)
	}
	if err := c.Configure(t.Context(), backend.Config{Options: map[string]any{"x": 1.5}}); err == nil || !strings.Contains(err.Error(), "option x") {
		t.Errorf("Configure with a float: %v", err)
	}
}

func TestLifeOfAPlugin(t *testing.T) {
	f := &fakeStorage{snapshot: testSnapshot(backend.Columns{})}
	ended := false
	s, err := NewServer(f, ServerOptions{OnShutdown: func() { ended = true }})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewStorage(t.Context(), serve(t, s.GRPCOptions(), s.Register), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(t.Context(), testRef); err == nil || backend.KindOf(err) != backend.KindInvalidArgument {
		t.Errorf("Open before Configure: %v, want KindInvalidArgument", err)
	}
	if err := c.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(t.Context(), testRef); err != nil {
		t.Errorf("Open: %v", err)
	}
	if err := c.Close(); err != nil || !f.closed || !ended {
		t.Errorf("Close: %v, plugin closed: %v, OnShutdown called: %v", err, f.closed, ended)
	}
	if _, err := c.Open(t.Context(), testRef); err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("Open after Close: %v, want KindUnavailable", err)
	}
}

func TestKindMustBeImplemented(t *testing.T) {
	for _, kind := range []backend.Kind{backend.KindAuth, "coffee", ""} {
		if _, err := NewServer(fakeBase{info: backend.Info{Kind: kind}}, ServerOptions{}); err == nil {
			t.Errorf("kind %q was accepted", kind)
		}
	}
}

func TestPanicBecomesAnError(t *testing.T) {
	f := &fakeStorage{
		status: func([]string) ([]backend.MailboxStatus, error) { panic("boom") },
		fetch: func(_ context.Context, _ *backend.FetchRequest, sink backend.FetchSink) error {
			var none []int
			return errors.New("unreachable " + string(rune(none[3])))
		},
	}
	c := connectStorage(t, f, ClientOptions{})
	if _, err := c.Status(t.Context(), testRef.User, "", []string{"a"}, 0); err == nil || backend.KindOf(err) != backend.KindInternal || !strings.Contains(err.Error(), "boom") {
		t.Errorf("Status: %v, want an internal error with the panic's text", err)
	}
	if err := c.Fetch(t.Context(), &backend.FetchRequest{UIDs: []uint32{1}}, &collector{}); err == nil || backend.KindOf(err) != backend.KindInternal {
		t.Errorf("Fetch: %v, want an internal error", err)
	}
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("the plugin does not live on: %v", err)
	}
}

func TestErrorsCross(t *testing.T) {
	for k := range kinds {
		kind := backend.ErrorKind(k)
		if kinds[k].kind != kind {
			t.Errorf("element %d of kinds is %v", k, kinds[k].kind)
		}
		sent := &backend.Error{Kind: kind, Message: "to the client", Detail: "path", Cause: errors.New("cause"), Option: "path"}
		got := fromStatus(t.Context(), "p", toStatus(sent))
		want := &backend.Error{Kind: kind, Message: "to the client", Detail: "path: cause", Option: "path"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%v differs: %s", kind, d)
		}
	}
}

func TestErrorsThatAreNotOurs(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		kind backend.ErrorKind
		gone bool
	}{
		{"plain error of a plugin", t.Context(), toStatus(errors.New("x")), backend.KindInternal, false},
		{"context error of a plugin", t.Context(), toStatus(context.DeadlineExceeded), backend.KindCancelled, false},
		{"kind out of range", t.Context(), toStatus(&backend.Error{Kind: 200}), backend.KindInternal, false},
		{"connection lost", t.Context(), status.Error(codes.Unavailable, "EOF"), backend.KindUnavailable, true},
		{"connection closed by us", t.Context(), status.Error(codes.Canceled, "the client connection is closing"), backend.KindUnavailable, true},
		{"unavailable, says the plugin", t.Context(), toStatus(backend.Errorf(backend.KindUnavailable, "x")), backend.KindUnavailable, false},
		{"cancelled by the caller", cancelled, status.Error(codes.Canceled, "x"), backend.KindCancelled, false},
		{"deadline", t.Context(), status.Error(codes.DeadlineExceeded, "x"), backend.KindCancelled, false},
		{"bare not found", t.Context(), status.Error(codes.NotFound, "x"), backend.KindNotFound, false},
		{"bare unknown", t.Context(), status.Error(codes.Unknown, "x"), backend.KindInternal, false},
		{"no status", t.Context(), errors.New("x"), backend.KindInternal, false},
	} {
		got := fromStatus(c.ctx, "p", c.err)
		if backend.KindOf(got) != c.kind || errors.Is(got, ErrGone) != c.gone {
			t.Errorf("%s: kind %v, gone %v; want %v, %v", c.name, backend.KindOf(got), errors.Is(got, ErrGone), c.kind, c.gone)
		}
	}
}

func TestErrorTextIsBounded(t *testing.T) {
	p := errorToProto(&backend.Error{Message: "a\xffb", Detail: strings.Repeat("x", 1<<20)})
	if p.Message != "a\uFFFDb" || len(p.Detail) > maxErrorText {
		t.Errorf("message %q, detail of %d bytes", p.Message, len(p.Detail))
	}
}

func TestCancelledCall(t *testing.T) {
	entered := make(chan struct{})
	f := &fakeStorage{fetch: func(ctx context.Context, _ *backend.FetchRequest, _ backend.FetchSink) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}}
	c := connectStorage(t, f, ClientOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if err := c.Fetch(ctx, &backend.FetchRequest{UIDs: []uint32{1}}, &collector{}); err == nil || backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("got %v, want KindCancelled", err)
	}
}

func TestDeadConnection(t *testing.T) {
	entered := make(chan struct{})
	f := &fakeStorage{fetch: func(ctx context.Context, _ *backend.FetchRequest, _ backend.FetchSink) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}}
	s, err := NewServer(f, ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var srv *grpc.Server
	conn := serve(t, s.GRPCOptions(), func(r grpc.ServiceRegistrar) { srv = r.(*grpc.Server); s.Register(r) })
	c, err := NewStorage(t.Context(), conn, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	go func() { <-entered; srv.Stop() }()
	if err := c.Fetch(t.Context(), &backend.FetchRequest{UIDs: []uint32{1}}, &collector{}); err == nil || backend.KindOf(err) != backend.KindUnavailable || !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want KindUnavailable with ErrGone", err)
	}
}

// watchingStorage is a fakeStorage with an inotify instance.
type watchingStorage struct {
	fakeStorage
	instance *os.File
	removed  []int32
}

func (w *watchingStorage) WatchFile(context.Context) (*os.File, error) {
	fd, err := unix.Dup(int(w.instance.Fd()))
	return os.NewFile(uintptr(fd), "copy"), err
}

func (w *watchingStorage) Unwatch(_ context.Context, watches []int32) error {
	w.removed = watches
	return nil
}

func TestWatchFile(t *testing.T) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	w := &watchingStorage{instance: os.NewFile(uintptr(fd), "inotify")}
	defer w.instance.Close()
	w.info.Capabilities = []string{backend.CapWatchFD}
	dir := t.TempDir()
	wd, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE)
	if err != nil {
		t.Fatal(err)
	}

	recv, child, err := NewFDChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer recv.Close()
	send := NewFDSender(child)
	defer send.Close()
	s, err := NewServer(w, ServerOptions{FDs: send})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewStorage(t.Context(), serve(t, s.GRPCOptions(), s.Register), ClientOptions{FDs: recv})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	f, err := c.WatchFile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var b [4096]byte
	n, err := f.Read(b[:])
	if err != nil || !strings.Contains(string(b[:n]), "new") {
		t.Errorf("the event does not arrive: %q, %v", b[:n], err)
	}
	if err := c.Unwatch(t.Context(), []int32{int32(wd)}); err != nil || !cmp.Equal(w.removed, []int32{int32(wd)}) {
		t.Errorf("Unwatch: %v, %v", w.removed, err)
	}
}

func TestFDChannel(t *testing.T) {
	recv, child, err := NewFDChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer recv.Close()
	send := NewFDSender(child)
	defer send.Close()
	if _, err := recv.Receive(1); err == nil {
		t.Error("a descriptor came out of an empty channel")
	}
	var tokens []uint64
	for _, name := range []string{"a", "b", "c"} {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		token, err := send.Send(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	for _, i := range []int{2, 0} { // in another order, and one that nobody asks for
		f, err := recv.Receive(tokens[i])
		if err != nil {
			t.Fatal(err)
		}
		link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
		if want := string(rune('a' + i)); err != nil || filepath.Base(link) != want {
			t.Errorf("token %d gives %s, want file %s (%v)", tokens[i], link, want, err)
		}
		if err := checkInotify(f); !errors.Is(err, errNotInotify) {
			t.Errorf("a plain file is taken for an inotify instance: %v", err)
		}
		f.Close()
	}
	if err := unix.Sendmsg(int(child.Fd()), []byte("short"), nil, nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := recv.Receive(77); err == nil || !strings.Contains(err.Error(), "packet of 5 bytes") {
		t.Errorf("a wrong packet: %v", err)
	}
}

// stuckAuth is not well until nobody waits for it.
type stuckAuth struct {
	fakeAuth
	timed chan bool // whether it was told how long that is
	ended chan struct{}
}

func (a *stuckAuth) Health(ctx context.Context) error {
	_, timed := ctx.Deadline()
	a.timed <- timed
	<-ctx.Done()
	close(a.ended)
	return ctx.Err()
}

// TestHealthIsNotTimed: who asks for health gives up when its time is over, and the plugin hears of that, and not of the time.
func TestHealthIsNotTimed(t *testing.T) {
	plugin := &stuckAuth{timed: make(chan bool, 1), ended: make(chan struct{})}
	plugin.info = backend.Info{Kind: backend.KindAuth, Name: "fake"}
	a := connect(t, plugin, ClientOptions{}).(*Auth)
	ctx, cancel := context.WithCancel(t.Context())
	timed, stop := context.WithTimeout(ctx, time.Hour)
	defer stop()
	answer := make(chan error, 1)
	go func() { answer <- a.Health(timed) }()
	if <-plugin.timed {
		t.Error("the plugin is told of the time")
	}
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was given up", err)
	}
	<-plugin.ended
}
