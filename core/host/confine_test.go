package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/slack"
)

// limit returns a soft limit of the plugin's process.
func limit(t *testing.T, p *Plugin, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.Stats().PID))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + ` +(\S+)`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no limit %s in %s", name, b)
	}
	return string(m[1])
}

func status(t *testing.T, p *Plugin) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Stats().PID))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLimitsOfTheProcess(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	c.Memory, c.Files, c.Processes = 1<<30, 123, 4567
	p := mustStart(t, h, c)
	pidOf(t, p)
	for name, want := range map[string]string{"Max data size": "1073741824", "Max open files": "123", "Max processes": "4567", "Max core file size": "0"} {
		if got := limit(t, p, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if env := fact(t, p, "env"); strings.Contains(env, confinedEnv) {
		t.Errorf("environment: %q", env)
	}
	kill(t, p)
	pidOf(t, p)
	if got := limit(t, p, "Max open files"); got != "123" {
		t.Errorf("after a restart: %s", got)
	}
}

func TestPrivileges(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	p := mustStart(t, h, c)
	if s := status(t, p); !strings.Contains(s, "NoNewPrivs:\t1") || limit(t, p, "Max core file size") != "0" {
		t.Errorf("by default: %s", s)
	}
	c.NewPrivileges = true
	if s := status(t, mustStart(t, h, c)); !strings.Contains(s, "NoNewPrivs:\t0") {
		t.Errorf("with new privileges: %s", s)
	}
	if b, err := os.ReadFile("/proc/thread-self/status"); err != nil || !strings.Contains(string(b), "NoNewPrivs:\t0") {
		t.Errorf("another thread of the host has lost its own: %s, %v", b, err)
	}
}

// TestSandbox: a plugin reads and writes what it was given and nothing else, as with its program pinned and under a user of its own.
// Timers of plugins may be late by as much as roost's own.
func TestTimerSlack(t *testing.T) {
	for _, noNewPrivileges := range []bool{true, false} {
		l := newLauncher(noNewPrivileges)
		var out []byte
		err := l.run(func() (err error) {
			out, err = exec.Command("cat", "/proc/self/timerslack_ns").Output()
			return err
		})
		l.close()
		if got := strings.TrimSpace(string(out)); err != nil || got != strconv.Itoa(slack.Nanoseconds) {
			t.Errorf("noNewPrivileges %v: slack of %s ns, %v; want %d", noNewPrivileges, got, err, slack.Nanoseconds)
		}
	}
}

func TestSandbox(t *testing.T) {
	if landlockVersion() < minLandlock {
		t.Fatalf("this kernel has Landlock %d: the sandbox can not be tested", landlockVersion())
	}
	h, _ := newHost(t)
	dir := t.TempDir()
	for p := dir; p != "/tmp" && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mail, users, spool := filepath.Join(dir, "mail"), filepath.Join(dir, "users"), filepath.Join(dir, "spool")
	for _, f := range []string{mail, users} {
		if err := os.WriteFile(f, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(spool, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(spool, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Config){
		"plain":   func(*Config) {},
		"user":    func(c *Config) { c.User = "12345"; c.Command[0] = copyProgram(t, c.Command[0]) },
		"limited": func(c *Config) { c.Files = 100 },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t)
			c.Sandbox, c.Read, c.Write = true, []string{users}, []string{spool}
			edit(&c)
			p := mustStart(t, h, c)
			try := func(what string) error {
				_, err := p.Storage().Open(t.Context(), mailbox(what))
				return err
			}
			for _, what := range []string{"read " + users, "note " + filepath.Join(spool, name) + " x", "read /etc/hostname"} {
				if err := try(what); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			for _, what := range []string{"read " + mail, "note " + users + " x", "note " + filepath.Join(dir, "new") + " x", "read /proc/1/status"} {
				if err := try(what); err == nil || !strings.Contains(err.Error(), "permission denied") {
					t.Errorf("%s: %v, want permission denied", what, err)
				}
			}
			if pid := pidOf(t, p); pid != p.Stats().PID {
				t.Errorf("process %d answers, %d was started", pid, p.Stats().PID)
			}
		})
	}
	c := testConfig(t)
	c.Sandbox, c.Plugin.Options["marker"] = true, users
	if _, err := h.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "sandbox_read") {
		t.Errorf("a file that the sandbox does not have: %v, want what to do", err)
	}
}

func TestConfinementFails(t *testing.T) {
	h, _ := newHost(t)
	for name, x := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"missing path":    {func(c *Config) { c.Sandbox, c.Read = true, []string{"/nonexistent/users"} }, "sandbox: stat /nonexistent/users: no such file"},
		"missing program": {func(c *Config) { c.Files, c.Command = 100, []string{"/nonexistent/plugin"} }, "/nonexistent/plugin: no such file"},
		"in core": {func(c *Config) {
			*c = inproc(backend.KindStorage)
			c.Files = 100
		}, "limits and sandbox need a process"},
	} {
		c := testConfig(t)
		x.edit(&c)
		if _, err := h.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, x.want)
		}
	}
	old := landlockVersion
	landlockVersion = func() int { return 0 }
	defer func() { landlockVersion = old }()
	c := testConfig(t)
	c.Sandbox = true
	if _, err := h.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "needs Landlock") {
		t.Errorf("without Landlock: %v", err)
	}
}
