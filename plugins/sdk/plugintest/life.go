package plugintest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// testLife holds the cases about the plugin's process, as docs/plugin-protocol.md describes it: the start, the end, and what is done to
// it between. newConfig makes the configuration of a process.
func (s subject) testLife(t T, newConfig func(T) backend.Config) {
	t.Run("Life", func(t T) {
		t.Run("Handshake", func(t T) { s.handshake(t) })
		t.Run("HandshakeWithoutParentPipe", func(t T) {
			answers(t, s.launch(t, pluginrpc.EnvParentFD).connect(t), "a start without "+pluginrpc.EnvParentFD)
		})
		t.Run("HandshakeWithUnknownVariables", func(t T) {
			c := s.launch(t, "ROOST_SOMETHING_NEW=1", "PLUGIN_MIN_PORT=10000", "PLUGIN_MAX_PORT=25000", "PLUGIN_PROTOCOL_VERSIONS=1,2")
			answers(t, c.connect(t), "a start")
		})
		for name, env := range map[string]string{"WithoutCookie": pluginrpc.CookieKey, "WithAnotherCookie": pluginrpc.CookieKey + "=roost.plugin.v999"} {
			t.Run("RefusesToStart"+name, func(t T) {
				if s.command == nil {
					t.Skip("a test binary runs its tests then")
				}
				c := s.launch(t, env)
				if strings.HasPrefix(c.handshake, "1|") {
					t.Fatalf("a program that roost did not start prints a handshake: %q", c.handshake)
				}
				if state := c.wait(t, "a start without the cookie"); state.Success() || c.errors() == "" && c.handshake == "" {
					t.Errorf("%v, %q; it must exit with an error and say that roost starts it", state, c.errors())
				}
			})
		}
		t.Run("InfoBeforeConfigure", func(t T) {
			c := s.launch(t)
			p, err := pluginrpc.New(t.Context(), c.connect(t), pluginrpc.ClientOptions{})
			if err != nil {
				t.Fatalf("Info: %v", err)
			}
			if p.Info().Kind != s.kind {
				t.Errorf("kind %q, want %q", p.Info().Kind, s.kind)
			}
		})
		t.Run("HealthBeforeConfigure", func(t T) { // its answer is free, but it must be one
			c := s.launch(t)
			_, err := pluginv1.NewPluginClient(c.connect(t)).Health(t.Context(), &pluginv1.HealthRequest{})
			if code := status.Code(err); c.gone() || code == codes.Unimplemented {
				t.Errorf("Health: %v", err)
			}
		})
		t.Run("ShutdownBeforeConfigure", func(t T) {
			c := s.launch(t)
			conn := c.connect(t)
			p, err := pluginrpc.New(t.Context(), conn, pluginrpc.ClientOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c.shutDown(t, p, conn)
		})
		t.Run("UnknownOption", func(t T) { s.unknownOption(t, newConfig(t)) })
		t.Run("Shutdown", func(t T) {
			c, conn, p := s.dial(t, newConfig(t))
			c.shutDown(t, p, conn)
			if code := c.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit status %d after Shutdown, want 0", code)
			}
		})
		t.Run("ShutdownDuringCalls", func(t T) { s.shutdownDuringCalls(t, newConfig(t)) })
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
			t.Run("Ignores"+signalNames[sig], func(t T) {
				c, conn, _ := s.dial(t, newConfig(t))
				for range 3 {
					if err := c.cmd.Process.Signal(sig); err != nil {
						t.Fatal(err)
					}
				}
				// A handler may take a while to end the process.
				for sent := time.Now(); time.Since(sent) < settle; {
					answers(t, conn, sig.String()+": it is meant for roost, which asks its plugins to end")
				}
			})
		}
		t.Run("ParentDies", func(t T) {
			c, _, _ := s.dial(t, newConfig(t))
			c.parent.Close()
			c.wait(t, "the parent pipe was closed")
		})
		t.Run("ParentDiesBeforeConfigure", func(t T) {
			c := s.launch(t)
			c.parent.Close()
			c.wait(t, "the parent pipe was closed")
		})
		t.Run("ParentDiesDuringCalls", func(t T) {
			c, conn, _ := s.dial(t, newConfig(t))
			stop := hammer(t, func(ctx context.Context) {
				_, _ = pluginv1.NewPluginClient(conn).Health(ctx, &pluginv1.HealthRequest{})
			})
			defer stop()
			c.parent.Close()
			c.wait(t, "the parent pipe was closed")
		})
		t.Run("StoppedAndContinued", func(t T) { s.stopped(t, newConfig(t)) })
		t.Run("TwoAtOnce", func(t T) { // reload starts the new process before the old one ends
			config := newConfig(t)
			_, first, _ := s.dial(t, config)
			c, conn, p := s.dial(t, config)
			answers(t, conn, "the start beside another")
			answers(t, first, "another was started beside it")
			c.shutDown(t, p, conn)
			answers(t, first, "the other ended")
		})
		t.Run("StartsAfterKill", func(t T) {
			config := newConfig(t)
			c, _, _ := s.dial(t, config)
			_ = c.cmd.Process.Kill()
			c.wait(t, "SIGKILL")
			_, conn, _ := s.dial(t, config)
			answers(t, conn, "a start after a SIGKILL")
		})
		t.Run("LogLines", func(t T) { s.logLines(t, newConfig(t)) })
		t.Run("LeavesNoFiles", func(t T) {
			c, conn, p := s.dial(t, newConfig(t))
			c.shutDown(t, p, conn)
			left, err := filepath.Glob(filepath.Join(c.socketDir, "*"))
			if err != nil || len(left) > 1 { // roost removes the socket
				t.Errorf("left in the directory of the socket: %v, %v", left, err)
			}
		})
	})
}

var signalNames = map[syscall.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT", syscall.SIGHUP: "SIGHUP"}

// settle is how long a process is watched for what it must not do.
const settle = 150 * time.Millisecond

// gone reports whether the process has ended.
func (c *process) gone() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

func (s subject) handshake(t T) {
	c := s.launch(t)
	fields := strings.Split(c.handshake, "|")
	if len(fields) < 5 || fields[0] != "1" || fields[1] != "1" || fields[2] != "unix" || fields[4] != "grpc" {
		t.Fatalf("the first line of the output is %q, want 1|1|unix|PATH|grpc (standard error: %s)", c.handshake, c.errors())
	}
	if len(fields) > 5 && fields[5] != "" {
		t.Errorf("the handshake %q names a certificate; roost uses none", c.handshake)
	}
	path := c.socket(t)
	if rel, err := filepath.Rel(c.socketDir, path); err != nil || strings.HasPrefix(rel, "..") {
		t.Errorf("the socket %s is not below PLUGIN_UNIX_SOCKET_DIR=%s", path, c.socketDir)
	}
	if len(path) > 107 {
		t.Errorf("the path of the socket has %d bytes, at most 107 can be used", len(path))
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Type() != os.ModeSocket {
		t.Errorf("%s is no socket: %v, %v", path, st, err)
	}
	answers(t, c.connect(t), "the handshake")
}

// unknownOption: roost checks options itself; a plugin that is handed an unknown one all the same must live on.
func (s subject) unknownOption(t T, config backend.Config) {
	c := s.launch(t)
	conn := c.connect(t)
	p, err := pluginrpc.New(t.Context(), conn, pluginrpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	options := map[string]any{"plugintest-unknown": "x"}
	for k, v := range config.Options {
		options[k] = v
	}
	config.Options = options
	if err := p.Configure(t.Context(), config); err != nil {
		wantKind(t, "Configure with an unknown option", err, backend.KindInvalidArgument)
	}
	if c.gone() {
		t.Errorf("the process ended with %v", c.cmd.ProcessState)
	}
}

// hammer calls f on several goroutines, again and again, until stop.
func hammer(t T, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				f(ctx)
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// shutdownDuringCalls: roost ends calls first; a plugin that is asked to end during some must end all the same.
func (s subject) shutdownDuringCalls(t T, config backend.Config) {
	c, conn, p := s.dial(t, config)
	stop := hammer(t, func(ctx context.Context) {
		_, _ = pluginv1.NewPluginClient(conn).Health(ctx, &pluginv1.HealthRequest{})
	})
	defer stop()
	c.shutDown(t, p, conn)
}

// stopped: a plugin that does not run for a while is slow, not dead. Calls end with their deadline, and the next ones are answered.
func (s subject) stopped(t T, config backend.Config) {
	c, conn, _ := s.dial(t, config)
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := pluginv1.NewPluginClient(conn).Health(ctx, &pluginv1.HealthRequest{}); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("Health of a stopped process: %v, want DEADLINE_EXCEEDED", err)
			}
		})
	}
	wg.Wait()
	if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	answers(t, conn, "SIGCONT")
}

// logLines: what looks like a log record is one, and what is not is text.
func (s subject) logLines(t T, config backend.Config) {
	c, conn, p := s.dial(t, config)
	c.shutDown(t, p, conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, out := range map[string][]byte{"output": c.stdout.Bytes(), "error": c.stderr.Bytes()} {
		for line := range bytes.Lines(out) {
			if err := checkLogLine(line); err != nil {
				t.Errorf("standard %s, line %.200q: %v", what, line, err)
			}
		}
	}
}

// checkLogLine holds a line of a plugin's output against docs/plugin-protocol.md §4.
func checkLogLine(line []byte) error {
	if len(line) > 64<<10 {
		return fmt.Errorf("%d bytes; roost cuts lines after 64 KiB", len(line))
	}
	if line[0] != '{' {
		return nil
	}
	var record struct{ Msg, Level, Time *string }
	if err := json.Unmarshal(line, &record); err != nil {
		return fmt.Errorf("it begins like a record, and is none: %w", err)
	}
	if record.Msg == nil {
		return fmt.Errorf("a record without msg is shown as text")
	}
	if record.Level != nil {
		switch *record.Level {
		case "DEBUG", "INFO", "WARN", "ERROR":
		default:
			return fmt.Errorf("unknown level %q", *record.Level)
		}
	}
	if record.Time != nil {
		if _, err := time.Parse(time.RFC3339Nano, *record.Time); err != nil {
			return fmt.Errorf("the time is not that of RFC 3339: %w", err)
		}
	}
	return nil
}
