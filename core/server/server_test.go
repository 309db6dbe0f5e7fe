package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/server"
	"github.com/roostmail/roost/core/server/dev"
)

// plugin is what the two fakes have in common.
type plugin struct {
	info      backend.Info
	configure error
	closed    *atomic.Int32
}

func (p plugin) Info() backend.Info                              { return p.info }
func (p plugin) Configure(context.Context, backend.Config) error { return p.configure }
func (p plugin) Health(context.Context) error                    { return nil }
func (p plugin) Close() error                                    { p.closed.Add(1); return nil }

type fakeAuth struct{ plugin }

func (fakeAuth) VerifyPassword(_ context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	if r.Password != "pw" {
		return nil, backend.Errorf(backend.KindAuthFailed, "no")
	}
	return &backend.Identity{User: backend.User{Name: r.User}}, nil
}

// fakeStorage has an INBOX that can be listed; its other methods must not be called.
type fakeStorage struct {
	plugin
	backend.Storage
}

func (s fakeStorage) Info() backend.Info { return s.info }
func (s fakeStorage) Configure(ctx context.Context, c backend.Config) error {
	return s.plugin.Configure(ctx, c)
}
func (s fakeStorage) Health(context.Context) error { return nil }
func (s fakeStorage) Close() error                 { return s.plugin.Close() }
func (s fakeStorage) ListMailboxes(context.Context, *backend.User, string) ([]backend.MailboxInfo, error) {
	return []backend.MailboxInfo{{Name: "INBOX"}}, nil
}

// fixture is a server on fakes, in one process.
type fixture struct {
	*server.Server
	dir    string
	config *config.Config
	level  *slog.LevelVar
	log    *syncBuffer
	closed atomic.Int32 // Close calls of plugins
}

// syncBuffer is a log that several goroutines write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// load writes a configuration with free ports and reads it.
func (f *fixture) load(t *testing.T, extra string) *config.Config {
	t.Helper()
	return f.loadWith(t, extra, f.bundle(nil))
}

func (f *fixture) loadWith(t *testing.T, extra string, bundle server.Bundle) *config.Config {
	t.Helper()
	text := `[imap]
listen = ["127.0.0.1:0"]
imaps_listen = ["127.0.0.1:0"]
[tls]
cert = "cert.pem"
key = "key.pem"
[auth]
plugin = "fake"
isolation = "inproc"
failure_delay = "0s"
[storage]
plugin = "fake"
isolation = "inproc"
[admin]
listen = "127.0.0.1:0"
` + extra
	file := filepath.Join(f.dir, "test.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, bundle.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fixture) bundle(storageFails error) server.Bundle {
	return server.Bundle{
		func(*slog.Logger) backend.Plugin {
			return fakeAuth{plugin{info: backend.Info{Kind: backend.KindAuth, Name: "fake"}, closed: &f.closed}}
		},
		func(*slog.Logger) backend.Plugin {
			return fakeStorage{plugin: plugin{info: backend.Info{Kind: backend.KindStorage, Name: "fake"}, configure: storageFails, closed: &f.closed}}
		},
		func(*slog.Logger) backend.Plugin {
			return fakePolicy{plugin{info: backend.Info{Kind: backend.KindHibernation, Name: "fake",
				Options: []backend.Option{{Name: "warm", Type: backend.OptionDuration}}}, closed: &f.closed}}
		},
	}
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), level: new(slog.LevelVar), log: &syncBuffer{}}
	if _, err := dev.Prepare(f.dir); err != nil { // for its certificate
		t.Fatal(err)
	}
	return f
}

func (f *fixture) start(t *testing.T, storageFails error) error {
	t.Helper()
	return f.startWith(t, "", storageFails)
}

func (f *fixture) startWith(t *testing.T, extra string, storageFails error) error {
	t.Helper()
	f.config = f.load(t, extra)
	var err error
	f.Server, err = server.Start(context.Background(), server.Options{
		Config: f.config, Bundle: f.bundle(storageFails), Version: "1.2.3", Level: f.level,
		Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: f.level})),
	})
	return err
}

// client is one IMAP connection.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr net.Addr, config *tls.Config) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		c = tls.Client(c, config)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

// want reads a line and matches it.
func (c *client) want(pattern string) {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil || !regexp.MustCompile("^"+pattern+"\r\n$").MatchString(line) {
		c.t.Fatalf("got %q, %v, want %s", line, err, pattern)
	}
}

func (c *client) send(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "%s\r\n", line); err != nil {
		c.t.Fatal(err)
	}
}

func TestServesUntilItIsDrained(t *testing.T) {
	f := newFixture(t)
	if err := f.start(t, nil); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	imap, imaps, admin := f.Addrs()
	if log := f.log.String(); !strings.Contains(log, "msg=ready version=1.2.3") || !strings.Contains(log, imap[0].String()) {
		t.Errorf("log: %s", log)
	}
	plain := dial(t, imap[0], nil)
	plain.want(`\* OK \[CAPABILITY .*STARTTLS.*\] roost ready\.`)
	secure := dial(t, imaps[0], &tls.Config{InsecureSkipVerify: true})
	secure.want(`\* OK .*`)
	secure.send("a LOGIN u wrong")
	secure.want(`a NO .*`)
	secure.send("b LOGIN u pw")
	secure.want(`b OK .*`)
	secure.send(`c LIST "" *`)
	secure.want(`\* LIST \(.*\) "/" INBOX`)
	secure.want(`c OK .*`)

	for path, want := range map[string]string{
		"/healthz": "ok\n",
		"/metrics": "\nroost_sessions 2\n",
		"/":        "plugin storage/fake",
	} {
		r, err := http.Get("http://" + admin.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %v, no %q in:\n%s", path, err, want, body)
		}
	}

	if err := f.Drain(context.Background()); err != nil {
		t.Error(err)
	}
	for _, c := range []*client{plain, secure} {
		c.want(`\* BYE .*`)
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("after BYE: %v", err)
		}
	}
	if _, err := net.Dial("tcp", imap[0].String()); err == nil {
		t.Error("accepts after Drain")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if n := f.closed.Load(); n != 2 {
		t.Errorf("%d plugins were closed, want 2", n)
	}
}

func TestReloadExchangesTheCertificate(t *testing.T) {
	f := newFixture(t)
	if err := f.start(t, nil); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, imaps, _ := f.Addrs()
	serial := func() string {
		c := dial(t, imaps[0], &tls.Config{InsecureSkipVerify: true})
		c.want(`\* OK .*`)
		return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	if err := os.WriteFile(filepath.Join(f.dir, "cert.pem"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Reload(f.config); err == nil {
		t.Error("took over a certificate that is none")
	}
	if got := serial(); got != before {
		t.Error("the old certificate is not in use after a failed reload")
	}
	if _, err := dev.Prepare(f.dir); err != nil { // makes a new one in place of the broken one
		t.Fatal(err)
	}
	if _, err := f.Reload(f.load(t, "[log]\nlevel = 'error'\n")); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got == before {
		t.Error("the new certificate is not in use")
	}
	if f.level.Level() != slog.LevelError {
		t.Errorf("level %v", f.level.Level())
	}
}

func TestStartFailsWhole(t *testing.T) {
	t.Run("plugin", func(t *testing.T) {
		f := newFixture(t)
		err := f.start(t, errors.New("no store"))
		if err == nil || !strings.Contains(err.Error(), "[storage] plugin fake") {
			t.Errorf("got %v", err)
		}
		if n := f.closed.Load(); n < 1 {
			t.Errorf("the plugin that had been started was not closed")
		}
	})
	t.Run("certificate", func(t *testing.T) {
		f := newFixture(t)
		if err := os.Remove(filepath.Join(f.dir, "key.pem")); err != nil {
			t.Fatal(err)
		}
		if err := f.start(t, nil); err == nil || !strings.Contains(err.Error(), "[tls] cert and key") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("address", func(t *testing.T) {
		f := newFixture(t)
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		c := f.load(t, "")
		c.IMAP.IMAPSListen = []string{taken.Addr().String()}
		_, err = server.Start(context.Background(), server.Options{Config: c, Bundle: f.bundle(nil), Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), "[imap] imaps_listen: ") || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("got %v", err)
		}
	})
}
