package child

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

// The test binary is also the plugin.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_CHILD") == "" {
		os.Exit(m.Run())
	}
	if err := Serve(refuser{}); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

type refuser struct{}

func (refuser) Info() backend.Info {
	return backend.Info{Kind: backend.KindAuth, Name: "test"}
}
func (refuser) Configure(context.Context, backend.Config) error { return nil }
func (refuser) Health(context.Context) error                    { return nil }
func (refuser) Close() error                                    { return nil }
func (refuser) VerifyPassword(context.Context, backend.PasswordRequest) (*backend.Identity, error) {
	return nil, backend.Errorf(backend.KindAuthFailed, "")
}

// command runs the test binary as a plugin, started by hand.
func command(env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{"TEST_CHILD=1"}, env...)
	return cmd
}

// startWithPipe starts a plugin as core does, and returns the end of the pipe that core holds.
func startWithPipe(t *testing.T) (*exec.Cmd, *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(pluginrpc.CookieKey+"="+pluginrpc.CookieValue, "PLUGIN_PROTOCOL_VERSIONS=1",
		"PLUGIN_UNIX_SOCKET_DIR="+t.TempDir(), pluginrpc.EnvParentFD+"=3")
	cmd.ExtraFiles = []*os.File{read}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); write.Close() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "1|1|unix|/") || !strings.Contains(line, "|grpc|") {
		t.Fatalf("handshake %q, %v", line, err)
	}
	return cmd, write
}

// waitExit returns how the process ended, which it must do soon.
func waitExit(t *testing.T, cmd *exec.Cmd) *os.ProcessState {
	t.Helper()
	killed := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer killed.Stop()
	_ = cmd.Wait()
	return cmd.ProcessState
}

func TestEndsWithTheParentPipe(t *testing.T) {
	cmd, pipe := startWithPipe(t)
	pipe.Close()
	if state := waitExit(t, cmd); !state.Exited() {
		t.Errorf("the plugin outlived the pipe: %v", state)
	}
}

func TestIgnoresSignalsThatAreMeantForCore(t *testing.T) {
	cmd, pipe := startWithPipe(t)
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	pipe.Close()
	if state := waitExit(t, cmd); !state.Exited() || state.ExitCode() != 1 {
		t.Errorf("%v, want an exit because of the pipe", state)
	}
}

func TestRefusesToStartAlone(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"without cookie", nil, "roost starts it"},
		{"wrong pipe", []string{pluginrpc.CookieKey + "=" + pluginrpc.CookieValue, pluginrpc.EnvParentFD + "=x"}, "ROOST_PARENT_FD=x is not the number"},
		{"closed pipe", []string{pluginrpc.CookieKey + "=" + pluginrpc.CookieValue, pluginrpc.EnvParentFD + "=99"}, "ROOST_PARENT_FD=99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := command(c.env...)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if state := waitExit(t, cmd); state.ExitCode() != 1 || !strings.Contains(errs.String(), c.want) {
				t.Errorf("%v, %q; want status 1 and %q", state, errs.String(), c.want)
			}
		})
	}
}
