package dovecot

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// server is a private Dovecot.
type server struct {
	t    *testing.T
	dir  string
	stop func()
}

const conf = `base_dir = DIR/run
state_dir = DIR/state
log_path = /dev/stderr
protocols =
ssl = no
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
auth_failure_delay = 0
auth_mechanisms = plain scram-sha-256 cram-md5 external
auth_ssl_username_from_cert = yes
passdb {
  driver = passwd-file
  args = DIR/certified
  mechanisms = external
}
passdb {
  driver = passwd-file
  args = DIR/users
  mechanisms = plain scram-sha-256 cram-md5
}
userdb {
  driver = passwd-file
  args = DIR/users
}
service auth {
  user = root
  unix_listener auth-client {
    mode = 0600
  }
}
`

// certified are the users who may log in with a certificate.
const certified = "alice:::::::nopassword\ndave:::::::nopassword nologin\n"

// startDovecot runs Dovecot with the given passwd-file until the test ends.
func startDovecot(t *testing.T, users string) *server {
	t.Helper()
	// Not t.TempDir: the path of a socket has 107 bytes at the most, and must be open to Dovecot's users.
	dir, err := os.MkdirTemp("", "roost-auth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"users": users, "certified": certified, "dovecot.conf": strings.ReplaceAll(conf, "DIR", dir)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{t: t, dir: dir}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// start runs Dovecot until stop is called.
func (s *server) start() {
	s.t.Helper()
	cmd := exec.Command("dovecot", "-F", "-c", filepath.Join(s.dir, "dovecot.conf"))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	var seen []string
	for log.Scan() {
		seen = append(seen, log.Text())
		if strings.Contains(log.Text(), "starting up") { // its sockets are open by then
			break
		}
	}
	drained := make(chan struct{})
	go func() { // ends when Dovecot does
		defer close(drained)
		for log.Scan() {
			seen = append(seen, log.Text())
		}
	}()
	s.stop = func() {
		s.stop = func() {}
		// All at once: asked to end, Dovecot waits half a minute for clients of auth.
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			s.t.Error(err)
		}
		<-drained
		cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("dovecot's log:\n%s", strings.Join(seen, "\n"))
		}
	}
}

// options are those of a plugin that asks the server.
func (s *server) options() map[string]any {
	return map[string]any{"client_socket": filepath.Join(s.dir, "run", "auth-client"), "userdb_socket": filepath.Join(s.dir, "run", "auth-userdb"), "timeout": "5s"}
}

func users(lines ...string) string { return fmt.Sprintln(strings.Join(lines, "\n")) }
