package host

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

// serveStandalone is a plugin that the operator runs: it listens at the socket that it is told.
func serveStandalone(path string) {
	ln, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	server, err := pluginrpc.NewServer(&testPlugin{kind: backend.KindStorage}, pluginrpc.ServerOptions{})
	if err != nil {
		panic(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		panic(err)
	}
	srv := grpc.NewServer(server.GRPCOptions()...)
	server.Register(srv)
	os.Stdout.WriteString("listening\n")
	_ = srv.Serve(ln)
}

// standalone starts one, and returns when it listens. It ends with the test.
func standalone(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_STANDALONE="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func addressed(path string) Config {
	return Config{Name: "test", Kind: backend.KindStorage, Address: "unix://" + path, Plugin: backend.Config{Options: map[string]any{"marker": "m"}}}
}

func TestAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first := standalone(t, path)
	h, log := newHost(t)
	p := mustStart(t, h, addressed(path))
	if pid := pidOf(t, p); pid != first.Process.Pid || p.Stats().PID != pid || p.Stats().Memory == 0 {
		t.Errorf("process %d answers, %+v; want %d", pid, p.Stats(), first.Process.Pid)
	}
	// Another connection to the same process.
	if err := p.Reload(t.Context(), addressed(path)); err != nil {
		t.Fatal(err)
	}
	pidOf(t, p)
	other := addressed(path)
	other.Plugin.Options = map[string]any{"marker": "other"}
	if err := p.Reload(t.Context(), other); err == nil || !strings.Contains(err.Error(), "another configuration") {
		t.Errorf("Reload with options that the process does not have: %v", err)
	}
	// A check asks it, and configures nothing: that would be refused.
	if _, err := h.Check(t.Context(), other); err != nil {
		t.Errorf("Check: %v", err)
	}
	unknown := addressed(path)
	unknown.Plugin.Options = map[string]any{"colour": "red"}
	if _, err := h.Check(t.Context(), unknown); err == nil || !strings.Contains(err.Error(), "unknown option colour") {
		t.Errorf("Check with an option that the plugin does not have: %v", err)
	}
	// The operator starts it anew.
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	log.wait(t, "plugin is down", "connection to unix://")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := standalone(t, path)
	if pid := pidOf(t, p); pid != second.Process.Pid {
		t.Errorf("process %d answers, want %d", pid, second.Process.Pid)
	}
	if s := p.Stats(); s.Restarts != 1 || s.Reloads != 1 {
		t.Errorf("%+v", s)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if !alive(second.Process.Pid) {
		t.Error("the host has ended a process that is not its own")
	}
}

func TestAddressThatDoesNotAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	standalone(t, path)
	h, log := newHost(t)
	c := addressed(path)
	unwell := filepath.Join(t.TempDir(), "unwell")
	c.Plugin.Options["unwell"], c.HealthInterval = unwell, 50*time.Millisecond
	p := mustStart(t, h, c)
	if err := os.WriteFile(unwell, []byte("hang"), 0o600); err != nil {
		t.Fatal(err)
	}
	log.wait(t, "does not answer")
	log.wait(t, "plugin is down")
	if err := os.Remove(unwell); err != nil {
		t.Fatal(err)
	}
	pidOf(t, p)
}

func TestAddressIsChecked(t *testing.T) {
	h, _ := newHost(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open, foreign := filepath.Join(dir, "open"), filepath.Join(dir, "foreign")
	for path, change := range map[string]func(string) error{
		open:    func(p string) error { return os.Chmod(p, 0o602) },
		foreign: func(p string) error { return os.Chown(p, 12345, 12345) },
	} {
		standalone(t, path)
		if err := change(path); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file", file: "is no socket", open: "others must not be able to write", foreign: "belongs to uid 12345",
	} {
		if _, err := h.Start(t.Context(), addressed(path)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", filepath.Base(path), err, want)
		}
	}
	c := addressed(foreign)
	c.User = "12345"
	mustStart(t, h, c)
}
