package sdk_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
	"github.com/roostmail/roost/plugins/sdk"
)

// The test binary is also a plugin that stands alone.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "--standalone" {
		sdk.Serve(&onlyJane{})
		return
	}
	os.Exit(m.Run())
}

// onlyJane knows one user, while it is configured.
type onlyJane struct{ password string }

func (*onlyJane) Info() backend.Info {
	return backend.Info{Kind: backend.KindAuth, Name: "jane", Version: "1.0.0", Options: []backend.Option{{Name: "password", Type: backend.OptionString}}}
}

func (p *onlyJane) Configure(_ context.Context, c backend.Config) error {
	if p.password != "" {
		return backend.Errorf(backend.KindInternal, "it was not closed before")
	}
	p.password, _ = c.Options["password"].(string)
	return nil
}

func (*onlyJane) Health(context.Context) error { return nil }

func (p *onlyJane) Close() error { p.password = ""; return nil }

func (p *onlyJane) VerifyPassword(_ context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	if r.User != "jane" || r.Password != p.password {
		return nil, backend.Errorf(backend.KindAuthFailed, "")
	}
	return &backend.Identity{User: backend.User{Name: "jane"}}, nil
}

// startAlone starts the test binary with arguments, and waits until it serves.
func startAlone(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(errs).ReadString('\n')
	if err != nil || !strings.Contains(line, "plugin serves") {
		t.Fatalf("it prints %q, %v", line, err)
	}
	return cmd
}

// dialAlone connects to a plugin and configures it.
func dialAlone(t *testing.T, path, password string) (*pluginrpc.Auth, *grpc.ClientConn) {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+path, append(pluginrpc.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	a, err := pluginrpc.NewAuth(t.Context(), conn, pluginrpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Configure(t.Context(), backend.Config{Options: map[string]any{"password": password}}); err != nil {
		t.Fatal(err)
	}
	return a, conn
}

// TestStandalone: one core after the other uses a plugin that was started by hand, whether or not the one before shut it down.
func TestStandalone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	cmd := startAlone(t, "--standalone", "--address", "unix://"+path)
	for i, password := range []string{"first", "second", "third"} {
		a, conn := dialAlone(t, path, password)
		if _, err := a.VerifyPassword(t.Context(), backend.PasswordRequest{User: "jane", Password: password}); err != nil {
			t.Errorf("%s: %v", password, err)
		}
		if i == 0 {
			if err := a.Close(); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}
		conn.Close()
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v; only its owner may connect", st.Mode(), err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestStandaloneSocket: what a killed process has left is taken over, what another one uses is not.
func TestStandaloneSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first := startAlone(t, "--standalone", "--address=unix://"+path)
	out, err := exec.Command(os.Args[0], "--standalone", "--address", "unix://"+path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another process serves there") {
		t.Errorf("a second process: %v, %s", err, out)
	}
	_ = first.Process.Kill()
	_ = first.Wait()
	startAlone(t, "--standalone", "--address", "unix://"+path)
	dialAlone(t, path, "x")
}

func TestStandaloneRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"needs --address unix:///PATH":   {"--standalone"},
		"must be of the form unix:///PA": {"--standalone", "--address", "127.0.0.1:99"},
		"of the form":                    {"--standalone", "--address", "unix://relative"},
	} {
		if out, err := exec.Command(os.Args[0], args...).CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
}
