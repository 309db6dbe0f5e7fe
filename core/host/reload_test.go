package host

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
)

// openUntil begins a call that ends when the file is removed, and returns when it is under way.
func openUntil(t *testing.T, p *Plugin, file string) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Storage().Changes(t.Context(), mailbox("until "+file), []byte("1"))
		ended <- err
	}()
	waitUntil(t, "a call under way", func() bool { _, err := os.Stat(file); return err == nil })
	return ended
}

// waitUntil polls.
func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
	}
}

func alive(pid int) bool { return unix.Kill(pid, 0) == nil }

func TestReload(t *testing.T) {
	h, log := newHost(t)
	p := mustStart(t, h, testConfig(t))
	var lost []State
	p.OnRestart(func() { s, _ := p.State(); lost = append(lost, s) })
	old, hold := pidOf(t, p), filepath.Join(t.TempDir(), "hold")
	underWay := openUntil(t, p, hold)

	c := testConfig(t)
	c.Env = append(c.Env, "TEST_PLUGIN_VERSION=1.1.0")
	c.Plugin.Options["marker"] = "new"
	if err := p.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "configured", "marker=new")
	if pid := pidOf(t, p); pid == old || p.Info().Version != "1.1.0" {
		t.Errorf("calls go to process %d, version %s", pid, p.Info().Version)
	}
	s := p.Stats()
	if len(lost) != 1 || lost[0] == StateRunning {
		t.Errorf("OnRestart was called in the states %v", lost)
	}
	if len(s.Draining) != 1 || s.Draining[0].PID != old || s.Draining[0].Version != "1.0.0" || s.Draining[0].InFlight != 1 || s.Version != "1.1.0" || s.Reloads != 1 || s.Restarts != 0 {
		t.Errorf("both run: %+v", s)
	}
	if !alive(old) {
		t.Error("the old process is gone while a call is under way on it")
	}
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	if err := <-underWay; err != nil {
		t.Errorf("the call that was under way: %v", err)
	}
	waitUntil(t, "end of the old process", func() bool { return !alive(old) && len(p.Stats().Draining) == 0 })
	if s := p.Stats(); len(s.Errors) != 0 || s.Repeated != 0 || s.State != StateRunning {
		t.Errorf("stats %+v", s)
	}
	// The new configuration is that of later restarts.
	kill(t, p)
	pidOf(t, p)
	if v := p.Info().Version; v != "1.1.0" {
		t.Errorf("version %s after a restart", v)
	}
}

func TestReloadFails(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, testConfig(t))
	pid := pidOf(t, p)
	unwell := filepath.Join(t.TempDir(), "unwell")
	if err := os.WriteFile(unwell, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"no program", func(c *Config) { c.Command = []string{"/nonexistent/plugin"} }, "no such file"},
		{"exits", func(c *Config) { c.Env = []string{"TEST_PLUGIN=exits"} }, "exit status 3"},
		{"refuses its configuration", func(c *Config) { c.Plugin.Options["refuse"] = true }, "refused as asked"},
		{"not well", func(c *Config) { c.Plugin.Options["unwell"] = unwell }, "the new process is not well"},
		{"another kind", func(c *Config) { c.Env = []string{"TEST_PLUGIN_KIND=auth"} }, `of kind "auth"`},
		{"less capabilities", func(c *Config) { c.Env = append(c.Env, "TEST_PLUGIN=does not write") }, `no capability "write"`},
		{"another name", func(c *Config) { c.Name = "other" }, "needs a restart"},
		{"read-only", func(c *Config) { c.Plugin.ReadOnly = true }, "needs a restart"},
	} {
		c := testConfig(t)
		bad.edit(&c)
		if err := p.Reload(t.Context(), c); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want an error with %q", bad.name, err, bad.want)
		}
	}
	if s := p.Stats(); pidOf(t, p) != pid || s.Reloads != 0 || s.Restarts != 0 || s.LastError != nil || len(s.Draining) != 0 {
		t.Errorf("a reload that failed has changed something: %+v", s)
	}
}

func TestDrainTimeout(t *testing.T) {
	h, log := newHost(t)
	c := testConfig(t)
	p := mustStart(t, h, c)
	old, dir := pidOf(t, p), t.TempDir()
	read := openUntil(t, p, filepath.Join(dir, "read"))
	written := make(chan error, 1)
	go func() {
		_, err := p.Storage().(backend.Writer).Store(t.Context(), &backend.StoreRequest{Mailbox: mailbox("until " + filepath.Join(dir, "write")), UIDs: []uint32{1}})
		written <- err
	}()
	waitUntil(t, "Store under way", func() bool { _, err := os.Stat(filepath.Join(dir, "write")); return err == nil })
	c.DrainTimeout, c.CloseTimeout = time.Millisecond, time.Millisecond
	if err := p.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "level=WARN", "still under way on the process that was replaced", "drain_timeout=1ms")
	// A write may have been done: it is not repeated. A read is.
	if err := <-written; err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("the write: %v, want KindUnavailable", err)
	}
	again := strconv.Itoa(pidOf(t, p))
	waitUntil(t, "repetition of the read", func() bool { b, _ := os.ReadFile(filepath.Join(dir, "read")); return string(b) == again })
	if err := os.Remove(filepath.Join(dir, "read")); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Errorf("the read, repeated on the new process: %v", err)
	}
	if s := p.Stats(); alive(old) || s.Repeated != 1 {
		t.Errorf("the old process lives: %v; %+v", alive(old), s)
	}
}

func TestDisable(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	c.RestartWait = time.Hour
	p := mustStart(t, h, c)
	pid, hold := pidOf(t, p), filepath.Join(t.TempDir(), "hold")
	underWay := openUntil(t, p, hold)
	if err := p.Disable(); err != nil {
		t.Fatal(err)
	}
	_, err := p.Storage().Open(t.Context(), anyMailbox)
	if err == nil || backend.KindOf(err) != backend.KindUnavailable || !strings.Contains(err.Error(), "roost plugin enable test") {
		t.Errorf("Open on a disabled plugin: %v", err)
	}
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	if err := <-underWay; err != nil {
		t.Errorf("the call that was under way: %v", err)
	}
	waitUntil(t, "end of the process", func() bool { return !alive(pid) })
	if s := p.Stats(); s.State != StateDisabled || s.Up {
		t.Errorf("stats %+v", s)
	}
	if err := p.Disable(); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := p.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); pidOf(t, p) == pid || s.State != StateRunning {
		t.Errorf("enabled: %+v", s)
	}
}

func TestReloadOfClosed(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, testConfig(t))
	if err := p.Disable(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(p.Reload(t.Context(), testConfig(t)), p.Disable()); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestReloadInproc(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, inproc(backend.KindStorage))
	if err := p.Reload(t.Context(), inproc(backend.KindStorage)); err != nil {
		t.Fatal(err)
	}
	if pidOf(t, p) != os.Getpid() || p.Stats().Reloads != 1 {
		t.Errorf("stats %+v", p.Stats())
	}
}
