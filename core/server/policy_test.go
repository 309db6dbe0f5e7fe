package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/hibernate"
	"github.com/roostmail/roost/core/host"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/pluginrpc/child"
)

// The test binary is also a hibernation plugin.
func TestMain(m *testing.M) {
	if child.Started() {
		if err := child.Serve(&filePolicy{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// filePolicy does what the file named by its option says: keep, die, stall, garbage, fail.
type filePolicy struct{ file string }

func (p *filePolicy) Info() backend.Info {
	return backend.Info{Kind: backend.KindHibernation, Name: "file", Version: "1.0.0", Description: "does what a file says",
		Options: []backend.Option{{Name: "file", Type: backend.OptionString, Help: "the file"}}}
}

func (p *filePolicy) Configure(_ context.Context, c backend.Config) error {
	p.file, _ = c.Options["file"].(string)
	return nil
}
func (p *filePolicy) Health(context.Context) error { return nil }
func (p *filePolicy) Close() error                 { return nil }

func (p *filePolicy) Decide(ctx context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	a := &backend.HibernationAnswer{IDs: b.IDs, Actions: make([]backend.HibernationAction, b.Len()), Again: make([]uint32, b.Len())}
	for i := range a.Actions {
		a.Actions[i], a.Again[i] = backend.ActionKeep, 3_600_000
	}
	text, err := os.ReadFile(p.file)
	switch {
	case err != nil:
		return nil, err
	case string(text) == "die":
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		select {}
	case string(text) == "stall":
		<-ctx.Done()
		select {} // nor does it end when nobody waits any more
	case string(text) == "garbage":
		a.IDs = append([]uint32{1 << 31}, a.IDs[1:]...)
	case string(text) == "fail":
		return nil, backend.Errorf(backend.KindUnavailable, "as asked")
	}
	return a, nil
}

// seenCache is a registry that tells what becomes of its mailboxes.
type seenCache struct {
	*mailbox.Registry
	parked, kept chan uint32
}

func (c *seenCache) Park(id uint32, used time.Time) bool {
	ok := c.Registry.Park(id, used)
	if ok {
		c.parked <- id
	}
	return ok
}

func (c *seenCache) Keep(id uint32, used, until time.Time) bool {
	ok := c.Registry.Keep(id, used, until)
	if ok && time.Until(until) > time.Minute { // by the policy, not by default
		c.kept <- id
	}
	return ok
}

// TestPolicyProcessFails: a real plugin process that dies in mid-call, stalls, lies or fails leaves the default in force, and is asked
// again when it is well.
func TestPolicyProcessFails(t *testing.T) {
	store := mailboxtest.New(true)
	store.Create("demo", "", "INBOX")
	log := &syncBuffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	r, err := mailbox.NewRegistry(mailbox.Config{Warm: time.Hour, JournalBytes: 1 << 20}, store, func(uint32) {}, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	dir, err := os.MkdirTemp("", "policy") // not t.TempDir: the paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.New(host.Options{RunDir: dir, Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		os.RemoveAll(dir)
	})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "do")
	do := func(what string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(what), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	do("keep")
	p, err := h.Start(t.Context(), host.Config{Name: "hibernation/file", Kind: backend.KindHibernation, Command: []string{exe},
		Plugin: backend.Config{Options: map[string]any{"file": file}}, CloseTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	cache := &seenCache{r, make(chan uint32, 16), make(chan uint32, 16)}
	g := hibernate.Start(hibernate.Config{Policy: p.Hibernation(), Name: p.Name(), Warm: 20 * time.Millisecond, Interval: 10 * time.Millisecond,
		Timeout: 300 * time.Millisecond, Batch: 100}, cache, func() hibernate.Sample { return hibernate.Sample{} }, logger)
	t.Cleanup(g.Close)

	ref := backend.MailboxRef{User: &backend.User{Name: "demo"}, Name: "INBOX"}
	m, _, err := r.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	id := m.ID()
	m.Release()
	use := func() {
		t.Helper()
		m, err := r.Wake(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		m.Release()
	}
	// untilKept uses the mailbox until the policy is in force.
	untilKept := func() {
		t.Helper()
		for {
			select {
			case <-cache.kept:
				if g.Stats().ByDefault {
					t.Error("kept by a policy that is not in force")
				}
				return
			case <-cache.parked: // a pause after a failure is not over, or the machine is slow
				use()
			}
		}
	}
	untilKept()
	for _, c := range []struct{ what, log string }{
		{"die", "the plugin is gone"},
		{"stall", "no answer within [hibernation] timeout"},
		{"garbage", "id 2147483648 was not asked for"},
		{"fail", "as asked"},
	} {
		failures := g.Stats().Failures
		do(c.what)
		use()
		select {
		case <-cache.parked:
		case <-cache.kept:
			t.Errorf("%s: the mailbox is kept", c.what)
		}
		if s := g.Stats(); s.Failures == failures || !s.ByDefault {
			t.Errorf("%s: %+v", c.what, s)
		}
		if r.Get(id) != nil {
			t.Errorf("%s: the mailbox is awake", c.what)
		}
		do("keep")
		use()
		untilKept()
	}
	if p.Stats().Restarts == 0 {
		t.Error("the plugin was not started again")
	}
	if text := log.String(); !strings.Contains(text, `msg="the hibernation policy failed, the default is in force" plugin=hibernation/file`) {
		t.Errorf("log: %s", text)
	}
}

// fakePolicy is a policy in this process that is never asked.
type fakePolicy struct{ plugin }

func (fakePolicy) Decide(context.Context, *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	return &backend.HibernationAnswer{}, nil
}

// TestHibernationIsConfigured: with a plugin it is started, and is in force; without one the default is.
func TestHibernationIsConfigured(t *testing.T) {
	for _, c := range []struct {
		extra, metrics, status string
		plugins                int32
	}{
		{"", "\nroost_hibernation_default 1\n", "by default, after 5s", 2},
		{"[hibernation]\nmemory = '1G'\n[limits]\nmailbox_warm = '9s'\n", "\nroost_hibernation_memory_mark_bytes 1.073741824e+09\n", "by default, after 9s", 2},
		{"[hibernation]\nplugin = 'fake'\nisolation = 'inproc'\noptions.warm = '7s'\n", "\nroost_hibernation_default 0\n", "fake, after 7s", 3},
	} {
		f := newFixture(t)
		if err := f.startWith(t, c.extra, nil); err != nil {
			t.Fatal(err)
		}
		_, _, admin := f.Addrs()
		for path, want := range map[string]string{"/metrics": c.metrics, "/": c.status} {
			resp, err := http.Get("http://" + admin.String() + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !strings.Contains(string(body), want) {
				t.Errorf("%s%s: %v, no %q in:\n%s", c.extra, path, err, want, body)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if n := f.closed.Load(); n != c.plugins {
			t.Errorf("%s%d plugins were closed, want %d", c.extra, n, c.plugins)
		}
	}
}
