package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
)

var anyMailbox = backend.MailboxRef{User: &backend.User{Name: "jane"}, Name: "INBOX"}

func mailbox(name string) backend.MailboxRef {
	return backend.MailboxRef{User: &backend.User{Name: "jane"}, Name: name}
}

// pidOf asks the plugin for its process id.
func pidOf(t testing.TB, p *Plugin) int {
	t.Helper()
	snap, err := p.Storage().Open(t.Context(), anyMailbox)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(snap.Position))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// fact asks the plugin about its process.
func fact(t testing.TB, p *Plugin, name string) string {
	t.Helper()
	list, err := p.Storage().ListMailboxes(t.Context(), anyMailbox.User, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if v, ok := strings.CutPrefix(m.Name, name+"="); ok {
			return v
		}
	}
	t.Fatalf("no fact %s in %v", name, list)
	return ""
}

func TestStartAndClose(t *testing.T) {
	h, log := newHost(t)
	c := testConfig(t)
	c.Plugin.Options["marker"] = "m17"
	p := mustStart(t, h, c)
	if pid := pidOf(t, p); pid != p.Stats().PID || pid == os.Getpid() {
		t.Errorf("the plugin runs as process %d, Stats say %d", pid, p.Stats().PID)
	}
	if p.Auth() != nil || p.Storage().Info().Version != "1.0.0" {
		t.Errorf("Auth %v, Info %+v", p.Auth(), p.Storage().Info())
	}
	log.wait(t, "level=INFO", "msg=configured", "plugin=test", "marker=m17")
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := p.Storage().Open(t.Context(), anyMailbox); err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("Open after Close: %v, want KindUnavailable", err)
	}
}

func TestEnvironmentIsAllowed(t *testing.T) {
	t.Setenv("ROOST_TEST_SECRET", "hidden")
	t.Setenv("LANG", "C.UTF-8")
	h, _ := newHost(t)
	c := testConfig(t)
	c.Env = append(c.Env, "EXTRA=yes")
	p := mustStart(t, h, c)
	env := fact(t, p, "env")
	if strings.Contains(env, "hidden") || !strings.Contains(env, "LANG=C.UTF-8") || !strings.Contains(env, "EXTRA=yes") {
		t.Errorf("environment: %q", env)
	}
	if dir := fact(t, p, "dir"); dir != "/" {
		t.Errorf("working directory %q", dir)
	}
}

func TestUserAndGroup(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	c.Command[0] = copyProgram(t, c.Command[0])
	c.User, c.Group = "12345", "54321"
	p := mustStart(t, h, c)
	if ids := fact(t, p, "ids"); ids != "12345:54321" {
		t.Errorf("the plugin runs as %s", ids)
	}
}

// copyProgram puts a program where every user may execute it.
func copyProgram(t *testing.T, from string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "program")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "plugin")
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestPinnedProgram(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	program := copyProgram(t, c.Command[0])
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(b))
	c.Command[0], c.SHA256 = program, digest
	c.User = "12345"
	mustStart(t, h, c)

	for _, bad := range []struct {
		name, digest string
		mode         os.FileMode
		want         string
	}{
		{"another digest", strings.Repeat("0", 64), 0o755, "sha256 is " + digest},
		{"no digest", "abc", 0o755, "not a digest"},
		{"writable by others", digest, 0o757, "only its owner can write"},
	} {
		if err := os.Chmod(program, bad.mode); err != nil {
			t.Fatal(err)
		}
		c.SHA256 = bad.digest
		if _, err := h.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want an error with %q", bad.name, err, bad.want)
		}
	}
}

func TestStartFails(t *testing.T) {
	h, log := newHost(t)
	for _, c := range []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"no program", func(c *Config) { c.Command = []string{"/nonexistent/plugin"} }, "no such file"},
		{"exits", func(c *Config) { c.Env = []string{"TEST_PLUGIN=exits"} }, "it ended before it printed the handshake (exit status 3)"},
		{"has too little memory", func(c *Config) { c.Memory = 1 << 20 }, "too little may be left to it by limits.memory"},
		{"wrong handshake", func(c *Config) { c.Env = []string{"TEST_PLUGIN=no handshake"} }, "hello"},
		{"no handshake", func(c *Config) { c.Env, c.StartTimeout = []string{"TEST_PLUGIN=silent"}, 200*time.Millisecond }, "start_timeout of 200ms"},
		{"another kind", func(c *Config) { c.Env = []string{"TEST_PLUGIN_KIND=auth"} }, `of kind "auth", not "storage"`},
		{"unknown kind", func(c *Config) { c.Env = []string{"TEST_PLUGIN_KIND=coffee"} }, "exit status 1"},
		{"refuses its configuration", func(c *Config) { c.Plugin.Options["refuse"] = true }, "refused as asked"},
		{"unknown option of a file", func(c *Config) { c.Plugin.Options["colour"], c.At = "red", map[string]string{"colour": "roost.toml:4"} }, "roost.toml:4: plugin test: unknown option colour"},
		{"unknown option", func(c *Config) { c.Plugin.Options["colour"] = "red" }, "unknown option colour (known: crash, limit, marker, refuse, unwell)"},
		{"option of another type", func(c *Config) { c.Plugin.Options["refuse"] = "yes" }, "option refuse must be of type bool"},
		{"no command", func(c *Config) { c.Command = nil }, "exactly one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := testConfig(t)
			c.edit(&conf)
			if _, err := h.Start(t.Context(), conf); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	log.wait(t, "level=ERROR", "panic: no database", "plugin=test")
}

// TestLongRunDir: a plugin whose socket has no room in the directory for temporary files ends; the error says what to do.
func TestLongRunDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := New(Options{RunDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Start(t.Context(), testConfig(t)); err == nil || !strings.Contains(err.Error(), "set TMPDIR to a shorter one") {
		t.Error(err)
	}
}

func TestRestartAfterKill(t *testing.T) {
	h, log := newHost(t)
	p := mustStart(t, h, testConfig(t))
	var hooks []int
	var mu sync.Mutex
	p.OnRestart(func() { mu.Lock(); hooks = append(hooks, p.Stats().PID); mu.Unlock() })
	first := pidOf(t, p)
	kill(t, p)
	second := pidOf(t, p) // waits for the new process
	if first == second {
		t.Errorf("the same process %d answers", first)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(hooks) != 1 || hooks[0] != 0 {
		t.Errorf("OnRestart ran with the processes %v, want once, before the new one can be called", hooks)
	}
	s := p.Stats()
	if s.Restarts != 1 || !s.Up || s.LastError == nil || !strings.Contains(s.LastError.Error(), "killed") {
		t.Errorf("stats %+v", s)
	}
	log.wait(t, "plugin is down", "signal: killed")
}

func TestUnaryCallIsRepeated(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, testConfig(t))
	marker := filepath.Join(t.TempDir(), "died")
	if _, err := p.Storage().Open(t.Context(), mailbox("die "+marker)); err != nil {
		t.Errorf("Open, while the plugin died once: %v", err)
	}
	if s := p.Stats(); s.Restarts != 1 || s.Repeated != 1 || s.Calls != 1 || len(s.Errors) != 0 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}
	if _, err := p.Storage().Open(t.Context(), mailbox("die")); err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("Open that always kills: %v, want KindUnavailable after the second attempt", err)
	}
	if s := p.Stats(); s.Repeated != 2 || s.Errors[backend.KindUnavailable] != 1 {
		t.Errorf("stats %+v", s)
	}
}

// countSink counts what it gets.
type countSink struct {
	messages int
	bytes    int
}

func (c *countSink) Message(*backend.FetchedMessage) error { c.messages++; return nil }
func (c *countSink) Body(p []byte) error                   { c.bytes += len(p); return nil }

func TestFetchIsNotRepeated(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, testConfig(t))
	uids := make([]uint32, 100)
	for i := range uids {
		uids[i] = uint32(i + 1)
	}
	marker := filepath.Join(t.TempDir(), "died")
	var sink countSink
	err := p.Storage().Fetch(t.Context(), &backend.FetchRequest{Mailbox: mailbox("die " + marker), UIDs: uids}, &sink)
	if err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("Fetch, while the plugin died: %v, want KindUnavailable", err)
	}
	if sink.messages > 50 {
		t.Errorf("%d messages came before the death", sink.messages)
	}
	sink = countSink{}
	err = p.Storage().Fetch(t.Context(), &backend.FetchRequest{Mailbox: mailbox("die " + marker), UIDs: uids}, &sink)
	if err != nil || sink.messages != 100 || sink.bytes != 100*100_000 {
		t.Errorf("Fetch from the new process: %v, %+v", err, sink)
	}
}

func TestCallsWaitUntilTheirDeadline(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	c.RestartMin, c.RestartMax = time.Hour, time.Hour
	p := mustStart(t, h, c)
	kill(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := p.Storage().Open(ctx, anyMailbox)
	if err == nil || backend.KindOf(err) != backend.KindUnavailable || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("Open while the plugin is down: %v, want KindUnavailable at the deadline", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := p.Storage().Open(ctx, anyMailbox); err == nil || backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("cancelled Open while the plugin is down: %v, want KindCancelled", err)
	}
	if s := p.Stats(); s.Up || s.PID != 0 {
		t.Errorf("stats of a plugin that is down: %+v", s)
	}
}

func TestRestartWaitNamesItself(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	c.RestartMin, c.RestartWait = time.Hour, time.Millisecond
	p := mustStart(t, h, c)
	kill(t, p)
	if _, err := p.Storage().Open(t.Context(), anyMailbox); err == nil || backend.KindOf(err) != backend.KindUnavailable || !strings.Contains(err.Error(), "restart.wait") {
		t.Errorf("got %v, want KindUnavailable that names restart.wait", err)
	}
}

func TestErrorsOfTheLivingPlugin(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, testConfig(t))
	before := pidOf(t, p)
	for name, kind := range map[string]backend.ErrorKind{"unavailable": backend.KindUnavailable, "panic": backend.KindInternal} {
		if _, err := p.Storage().Open(t.Context(), mailbox(name)); err == nil || backend.KindOf(err) != kind {
			t.Errorf("%s: %v, want kind %v", name, err, kind)
		}
	}
	if s := p.Stats(); pidOf(t, p) != before || s.Restarts != 0 || s.Repeated != 0 {
		t.Errorf("an error restarted the plugin or repeated the call: %+v", s)
	}
}

func TestUnhealthyPlugin(t *testing.T) {
	h, log := newHost(t)
	c := testConfig(t)
	unwell := filepath.Join(t.TempDir(), "unwell")
	c.Plugin.Options["unwell"] = unwell
	c.HealthInterval = 50 * time.Millisecond
	p := mustStart(t, h, c)
	first := pidOf(t, p)
	if err := os.WriteFile(unwell, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "plugin is not well", "not well")
	if s := p.Stats(); s.Healthy || !s.Up || s.PID != first {
		t.Errorf("stats of a plugin that is not well: %+v", s)
	}
	if err := os.WriteFile(unwell, []byte("hang"), 0o600); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "does not answer")
	if err := os.Remove(unwell); err != nil {
		t.Fatal(err)
	}
	if second := pidOf(t, p); second == first {
		t.Error("a plugin that does not answer was not replaced")
	}
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	c.CloseTimeout = 100 * time.Millisecond
	p := mustStart(t, h, c)
	began := filepath.Join(t.TempDir(), "began")
	failed := make(chan error, 1)
	go func() {
		_, err := p.Storage().Open(context.Background(), mailbox("wait "+began))
		failed <- err
	}()
	for _, err := os.Stat(began); err != nil; _, err = os.Stat(began) {
		if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	_ = p.Close()
	if err := <-failed; err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("the call under way: %v, want KindUnavailable", err)
	}
}

func TestPluginWithoutGoPlugin(t *testing.T) {
	h, log := newHost(t)
	c := testConfig(t)
	c.Kind, c.Env, c.CloseTimeout = backend.KindAuth, []string{"TEST_PLUGIN=plain"}, 100*time.Millisecond
	p := mustStart(t, h, c)
	log.wait(t, "msg=ready", "plugin=test")
	id, err := p.Auth().VerifyPassword(t.Context(), backend.PasswordRequest{User: "jane"})
	if err != nil || id.User.Name != "jane" {
		t.Errorf("VerifyPassword: %v, %v", id, err)
	}
	kill(t, p)
	if _, err := p.Auth().VerifyPassword(t.Context(), backend.PasswordRequest{User: "jane"}); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	log.wait(t, "level=WARN", "does not end in time", "close_timeout=100ms")
}

func TestCoreKilled(t *testing.T) {
	dir, err := os.MkdirTemp("", "host")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	core, pids := startCore(t, dir)
	var handles []int
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		handles = append(handles, fd)
	}
	if err := core.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = core.Wait()
	for i, fd := range handles {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 2000)
		for err == unix.EINTR {
			n, err = unix.Poll(poll, 2000)
		}
		if n != 1 || err != nil {
			t.Errorf("plugin process %d outlives core: %v", pids[i], err)
		}
	}

	// What the dead core left is removed by the next one, and only that.
	if err := os.Mkdir(filepath.Join(dir, runDirPrefix+"foreign"), 0o700); err != nil {
		t.Fatal(err)
	}
	before, _ := filepath.Glob(filepath.Join(dir, runDirPrefix+"*"))
	h, err := New(Options{RunDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	other, err := New(Options{RunDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(h.dir.path); err != nil {
		t.Errorf("the second host removed the directory of a living one: %v", err)
	}
	if err := errors.Join(h.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	after, _ := filepath.Glob(filepath.Join(dir, runDirPrefix+"*"))
	if len(before) != 2 || len(after) != 1 || !strings.HasSuffix(after[0], "foreign") {
		t.Errorf("run directories %v, after the next start %v", before, after)
	}
}

// inproc returns a configuration without a child.
func inproc(kind backend.Kind) Config {
	return Config{Name: "test", Kind: kind, Inproc: func() backend.Plugin { return &testPlugin{kind: kind} }}
}

func TestInproc(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, inproc(backend.KindStorage))
	if pidOf(t, p) != os.Getpid() || p.Stats().PID != 0 || !p.Stats().Up {
		t.Errorf("process %d, stats %+v", pidOf(t, p), p.Stats())
	}
	if _, err := p.Storage().Open(t.Context(), mailbox("panic")); err == nil || backend.KindOf(err) != backend.KindInternal {
		t.Errorf("panic in the plugin: %v, want KindInternal", err)
	}
	if _, err := p.Storage().(backend.Watcher).WatchFile(t.Context()); err == nil || backend.KindOf(err) != backend.KindUnsupported {
		t.Errorf("WatchFile: %v, want KindUnsupported", err)
	}
	a := mustStart(t, h, inproc(backend.KindAuth))
	id, err := a.Auth().VerifyPassword(t.Context(), backend.PasswordRequest{User: "joe"})
	if err != nil || id.User.Name != "joe" {
		t.Errorf("VerifyPassword: %v, %v", id, err)
	}
	if n := len(h.Plugins()); n != 2 {
		t.Errorf("%d plugins", n)
	}
}

func TestDescribe(t *testing.T) {
	h, _ := newHost(t)
	for _, c := range []Config{testConfig(t), inproc(backend.KindStorage)} {
		info, err := h.Describe(t.Context(), c)
		if err != nil || info.Name != "test" {
			t.Errorf("Describe: %+v, %v", info, err)
		}
		c.Plugin.Options = map[string]any{"limit": true}
		if _, err := h.Check(t.Context(), c); err == nil || !strings.Contains(err.Error(), "option limit") {
			t.Errorf("Check: %v, want an error about option limit", err)
		}
	}
	if n := len(h.Plugins()); n != 0 {
		t.Errorf("%d plugins are running", n)
	}
}
