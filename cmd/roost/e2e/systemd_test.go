package e2e

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestUnitsAreValid: systemd has nothing to say about the units.
func TestUnitsAreValid(t *testing.T) {
	dir := tempDir(t)
	var units []string
	for _, name := range []string{"roost.service", "roost.socket"} {
		b, err := os.ReadFile(filepath.Join("../../../contrib/systemd", name))
		must(t, err)
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, bytes.ReplaceAll(b, []byte("/usr/bin/roost"), []byte(roostBinary)), 0o644))
		units = append(units, file)
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "roost") {
			t.Error(line)
		}
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// notifySocket is systemd's end of NOTIFY_SOCKET.
type notifySocket struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func listenNotify(t *testing.T) *notifySocket {
	t.Helper()
	path := filepath.Join(tempDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return &notifySocket{t, conn, path}
}

// want reads the next notification, which must have all of these.
func (n *notifySocket) want(parts ...string) {
	n.t.Helper()
	must(n.t, n.conn.SetReadDeadline(time.Now().Add(rig.Patience)))
	b := make([]byte, 4096)
	k, err := n.conn.Read(b)
	must(n.t, err)
	for _, p := range parts {
		if !strings.Contains("\n"+string(b[:k])+"\n", "\n"+p) {
			n.t.Errorf("notified of %q, want %q", b[:k], p)
		}
	}
}

// TestSystemd plays systemd: it listens, passes the sockets on, and is told of every change of state. The sockets stay the same when core
// is killed, and when the binary is reloaded.
func TestSystemd(t *testing.T) {
	r := startRoost(t, rig.RoostOptions{Home: mailHome(t), Users: []string{"u"}})
	must(t, r.Stop()) // what is wanted of it is its configuration
	var files []*os.File
	for _, addr := range []string{r.Addr, r.TLSAddr} {
		l, err := net.Listen("tcp", addr)
		must(t, err)
		f, err := l.(*net.TCPListener).File()
		must(t, err)
		l.Close()
		files = append(files, f)
	}
	n := listenNotify(t)
	keeper := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve --config "$1"`, roostBinary, r.Config)
	keeper.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=imap:imaps", "NOTIFY_SOCKET="+n.path)
	keeper.ExtraFiles = files
	var log bytes.Buffer
	keeper.Stderr = &log
	must(t, keeper.Start())
	ended := false
	defer func() {
		if !ended {
			keeper.Process.Kill()
			keeper.Wait()
		}
		if t.Failed() {
			t.Logf("log:\n%s", log.String())
		}
	}()
	for _, f := range files {
		f.Close()
	}
	n.want("READY=1", "STATUS=")
	asleep := login(t, r.Addr, "u")
	ask := func(what string) {
		t.Helper()
		for _, dial := range []func() (*rig.Client, error){func() (*rig.Client, error) { return rig.Dial(r.Addr) }, func() (*rig.Client, error) { return rig.DialTLS(r.TLSAddr) }} {
			c, err := dial()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			cmd(t, c, "NOOP")
			c.Close()
		}
		cmd(t, asleep, "NOOP")
	}
	ask("start")
	if out, err := exec.Command(roostBinary, "reload", "--binary", "--config", r.Config).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n.want("RELOADING=1", "MONOTONIC_USEC=")
	n.want("READY=1")
	ask("reload")
	waitFor(t, "the keeper has the session", func() bool { return strings.Contains(metrics(t, r), "roost_keeper_descriptors 1\n") })
	cores := rig.CoresOf(keeper.Process.Pid)
	if len(cores) != 1 {
		t.Fatalf("cores: %v", cores)
	}
	must(t, syscall.Kill(cores[0], syscall.SIGKILL))
	n.want("READY=1")
	ask("the death of core")
	must(t, keeper.Process.Signal(syscall.SIGTERM))
	n.want("STOPPING=1")
	err := keeper.Wait()
	ended = true
	must(t, err)
}
