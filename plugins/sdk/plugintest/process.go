package plugintest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// patience is how long a case waits for something that must happen, before it says that it does not. It says nothing about speed.
const patience = 20 * time.Second

// process is a process of the plugin that was started as docs/plugin-protocol.md says, but not by roost's host, which would
// restart it and hide what it does. It is offered neither a descriptor channel nor lanes.
type process struct {
	cmd       *exec.Cmd
	parent    *os.File // write end of the pipe that roost holds
	socketDir string
	handshake string // the first line of its output, without the line end; "" if there was none

	mu     sync.Mutex
	stdout bytes.Buffer // what came after the handshake
	stderr bytes.Buffer
	exited chan struct{} // closed when it was waited for
}

// launch starts the plugin and reads the handshake, if it prints one. Cleanup kills it. env is added to the environment; a variable without value
// is taken out.
func (s subject) launch(t T, env ...string) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "plugintest") // not t.TempDir: the paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command := s.program(t)
	c := &process{parent: write, socketDir: dir, exited: make(chan struct{}),
		cmd: &exec.Cmd{Path: command[0], Args: command, Dir: "/", ExtraFiles: []*os.File{read},
			SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}}
	values := map[string]string{
		pluginrpc.CookieKey: pluginrpc.CookieValue, "PLUGIN_PROTOCOL_VERSIONS": strconv.Itoa(pluginrpc.ProtocolVersion),
		"PLUGIN_UNIX_SOCKET_DIR": dir, pluginrpc.EnvParentFD: "3", pluginrpc.EnvLogLevel: "DEBUG",
	}
	for _, name := range s.environment() {
		if v, ok := os.LookupEnv(name); ok {
			values[name] = v
		}
	}
	for _, kv := range env {
		name, v, set := strings.Cut(kv, "=")
		values[name] = v
		if !set {
			delete(values, name)
		}
	}
	for name, v := range values {
		c.cmd.Env = append(c.cmd.Env, name+"="+v)
	}
	out, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, errsWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stdout, c.cmd.Stderr = outWrite, errsWrite
	err = c.cmd.Start()
	for _, f := range []*os.File{read, outWrite, errsWrite} {
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan string, 1)
	var readers sync.WaitGroup
	readers.Go(func() {
		br := bufio.NewReader(out)
		line, _ := br.ReadString('\n')
		first <- line
		c.collect(&c.stdout, br)
	})
	readers.Go(func() { c.collect(&c.stderr, errs) })
	go func() { // ends with the process
		c.reap()
		deadline := time.Now().Add(drainTime)
		_ = out.SetReadDeadline(deadline)
		_ = errs.SetReadDeadline(deadline)
		readers.Wait()
		out.Close()
		errs.Close()
		close(c.exited)
	}()
	t.Cleanup(func() {
		write.Close()
		_ = c.cmd.Process.Kill()
		<-c.exited
		if t.Failed() {
			t.Logf("standard error of the plugin:\n%s", c.errors())
		}
	})
	select {
	case line := <-first:
		c.handshake = strings.TrimSuffix(line, "\n")
	case <-time.After(patience):
		t.Fatalf("no handshake after %v", patience)
	}
	return c
}

// drainTime is how long after the plugin's end its output is still read: something that it started may keep it open.
const drainTime = 250 * time.Millisecond

// reap waits for the process, and kills what is left of its group while nobody else can have its number.
func (c *process) reap() {
	pid := c.cmd.Process.Pid
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	_ = c.cmd.Wait()
}

func (c *process) collect(b *bytes.Buffer, r io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		c.mu.Lock()
		b.Write(buf[:n])
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// errors returns what the plugin has written to standard error so far.
func (c *process) errors() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stderr.String()
}

// wait returns how the process ended, which it must do soon; what says why.
func (c *process) wait(t T, what string) *os.ProcessState {
	t.Helper()
	select {
	case <-c.exited:
		return c.cmd.ProcessState
	case <-time.After(patience):
		t.Fatalf("the process is still there %v after %s", patience, what)
		return nil
	}
}

// socket returns the path of the socket in the handshake.
func (c *process) socket(t T) string {
	t.Helper()
	fields := strings.Split(c.handshake, "|")
	if len(fields) < 5 || !filepath.IsAbs(fields[3]) {
		t.Fatalf("handshake %q is not of the form 1|1|unix|PATH|grpc", c.handshake)
	}
	return fields[3]
}

// connect opens a gRPC connection.
func (c *process) connect(t T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+c.socket(t), append(pluginrpc.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answers fails the case if the plugin does not answer Info on a connection, which it must do at any time.
func answers(t T, conn *grpc.ClientConn, after string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := pluginv1.NewPluginClient(conn).Info(ctx, &pluginv1.InfoRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatalf("after %s, Info says: %v", after, err)
	}
}

// dial returns a configured plugin over plain gRPC, in a process that nobody supervises.
func (s subject) dial(t T, config backend.Config) (*process, *grpc.ClientConn, backend.Plugin) {
	t.Helper()
	c := s.launch(t)
	conn := c.connect(t)
	p, err := pluginrpc.New(t.Context(), conn, pluginrpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(t.Context(), config); err != nil {
		t.Fatalf("Configure: %v", err)
	}
	return c, conn, p
}

// shutDown ends a plugin as roost does.
func (c *process) shutDown(t T, p backend.Plugin, conn *grpc.ClientConn) {
	t.Helper()
	if err := p.Close(); err != nil && !errors.Is(err, pluginrpc.ErrGone) {
		t.Errorf("Shutdown: %v", err)
	}
	// go-plugin's call, with which roost's host ends plugins that serve it sooner.
	_ = conn.Invoke(t.Context(), "/plugin.GRPCController/Shutdown", raw(nil), new(raw), grpc.ForceCodec(rawCodec{}))
	conn.Close()
	c.wait(t, "Shutdown")
}
