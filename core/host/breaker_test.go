package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

func TestBreaker(t *testing.T) {
	b := breaker{limit: 3, window: time.Minute}
	at := time.Unix(0, 0)
	for n, c := range []struct {
		after time.Duration
		reset bool
		want  bool
	}{
		{want: false}, {after: 50 * time.Second, want: false},
		{after: 20 * time.Second, want: false}, // the first is out of the window
		{after: 20 * time.Second, want: true},
		{after: 30 * time.Second, want: true}, // still three within a minute
		{after: time.Second, reset: true, want: false}, {want: false}, {want: true},
	} {
		if at = at.Add(c.after); c.reset {
			b.reset()
		}
		if got := b.trip(at); got != c.want {
			t.Errorf("failure %d: rests %v, want %v", n, got, c.want)
		}
	}
}

// crashing starts a plugin that crashes in Configure as long as the file exists, which it does not yet.
func crashing(t *testing.T, h *Host, edit func(*Config)) (p *Plugin, file string) {
	t.Helper()
	c := testConfig(t)
	file = filepath.Join(t.TempDir(), "crash")
	c.Plugin.Options["crash"] = file
	c.RestartMin, c.RestartMax, c.RestartLimit = time.Millisecond, time.Millisecond, 3
	c.RestartWait = time.Hour // who waits, waits too long
	edit(&c)
	return mustStart(t, h, c), file
}

func TestCrashLoopRests(t *testing.T) {
	h, log := newHost(t)
	p, crash := crashing(t, h, func(c *Config) { c.RestartRest = time.Hour })
	first := pidOf(t, p)
	if err := os.WriteFile(crash, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kill(t, p)
	log.wait(t, "level=ERROR", "it rests", "roost plugin reload test", "restart.limit=3", "exit status 4")
	_, err := p.Storage().Open(t.Context(), anyMailbox)
	if err == nil || backend.KindOf(err) != backend.KindUnavailable || !strings.Contains(err.Error(), "restart.limit") || !strings.Contains(err.Error(), "roost plugin reload test") {
		t.Errorf("Open while the plugin rests: %v", err)
	}
	if s := p.Stats(); s.State != StateFailed || s.Up || s.Restarts != 0 {
		t.Errorf("stats %+v", s)
	}
	if err := p.Reload(t.Context(), p.config()); err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("Reload, which crashes: %v", err)
	}
	if s := p.Stats(); s.State != StateFailed {
		t.Errorf("state %v after a reload that failed", s.State)
	}
	if err := os.Remove(crash); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(t.Context(), p.config()); err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); s.State != StateRunning || pidOf(t, p) == first {
		t.Errorf("after the reload: %+v", s)
	}
}

func TestRestEnds(t *testing.T) {
	h, log := newHost(t)
	p, crash := crashing(t, h, func(c *Config) { c.RestartRest = 10 * time.Millisecond })
	if err := os.WriteFile(crash, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kill(t, p)
	log.wait(t, "it rests")
	if err := os.Remove(crash); err != nil {
		t.Fatal(err)
	}
	for p.Stats().State != StateRunning {
		time.Sleep(time.Millisecond) // poll
	}
	pidOf(t, p)
}

// TestKilledInWorkIsNoCrashLoop: a plugin that answers calls never rests, however often it is killed.
func TestKilledInWorkIsNoCrashLoop(t *testing.T) {
	h, _ := newHost(t)
	p, _ := crashing(t, h, func(c *Config) { c.RestartServed = time.Millisecond })
	for range 6 {
		pidOf(t, p)
		kill(t, p)
	}
	if s := p.Stats(); pidOf(t, p) == 0 || s.State == StateFailed {
		t.Errorf("stats %+v", s)
	}
}

// TestCancelledIsNotDied: the end of a call by its caller is told apart from its end by the death of the plugin.
func TestCancelledIsNotDied(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, testConfig(t))
	pid := pidOf(t, p)
	under := func(ctx context.Context) <-chan error {
		began := filepath.Join(t.TempDir(), "began")
		failed := make(chan error, 1)
		go func() {
			failed <- p.Storage().Fetch(ctx, &backend.FetchRequest{Mailbox: mailbox("wait " + began), UIDs: []uint32{1}}, &countSink{})
		}()
		for _, err := os.Stat(began); err != nil; _, err = os.Stat(began) {
			if !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		return failed
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := under(ctx)
	cancel()
	if err := <-failed; err == nil || backend.KindOf(err) != backend.KindCancelled || errors.Is(err, pluginrpc.ErrGone) {
		t.Errorf("cancelled: %v", err)
	}
	if s := p.Stats(); s.Restarts != 0 || s.LastError != nil || pidOf(t, p) != pid || s.Errors[backend.KindCancelled] != 1 {
		t.Errorf("a cancelled call: %+v", s)
	}
	failed = under(t.Context())
	kill(t, p)
	if err := <-failed; err == nil || backend.KindOf(err) != backend.KindUnavailable || !errors.Is(err, pluginrpc.ErrGone) {
		t.Errorf("killed: %v", err)
	}
	if pidOf(t, p) == pid {
		t.Error("the dead plugin was not restarted")
	}
	if s := p.Stats(); s.Errors[backend.KindCancelled] != 1 || s.Errors[backend.KindUnavailable] != 1 {
		t.Errorf("stats %+v", s)
	}
}
