package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// crowd is a roost with sessions in all states that can sleep, spread over a few users who have three messages each.
type crowd struct {
	t        *testing.T
	r        *rig.Roost
	sessions []*member
}

// member is one session.
type member struct {
	*rig.Client
	state string
	tag   string // of a command that is not answered yet
}

const crowdUsers = 5

var crowdStates = []string{"new", "login", "selected", "idle", "half", "tls login", "tls selected", "tls idle", "long tag"}

func startCrowd(t *testing.T, n int) *crowd {
	t.Helper()
	var users []string
	for i := range crowdUsers {
		users = append(users, fmt.Sprintf("user%d", i))
	}
	home := tempDir(t)
	for _, u := range users {
		dir := filepath.Join(home, u)
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.Chown(dir, rig.MailUID, rig.MailUID))
	}
	c := &crowd{t: t, r: startRoost(t, rig.RoostOptions{Home: filepath.Join(home, "%u"), Users: users,
		Extra: "[limits]\nuser_address_sessions = 0\nunauthenticated_address_sessions = 0\n"})}
	for _, u := range users {
		w := login(t, c.r.Addr, u)
		for i := range 3 {
			appendMessage(t, w, "INBOX", i)
		}
		w.Close()
	}
	for i := range n {
		c.add(users[i%crowdUsers], crowdStates[i%len(crowdStates)])
	}
	return c
}

func (c *crowd) add(user, state string) {
	c.t.Helper()
	dial, addr := rig.Dial, c.r.Addr
	word, isTLS := strings.CutPrefix(state, "tls ")
	if isTLS {
		dial, addr = rig.DialTLS, c.r.TLSAddr
	}
	client, err := dial(addr)
	must(c.t, err)
	c.t.Cleanup(client.Close)
	m := &member{Client: client, state: state}
	c.sessions = append(c.sessions, m)
	if word == "new" {
		return
	}
	cmd(c.t, client, "LOGIN %s pass", user)
	switch word {
	case "selected":
		cmd(c.t, client, "SELECT INBOX")
	case "idle", "long tag":
		cmd(c.t, client, "SELECT INBOX")
		m.tag = "idle"
		if word == "long tag" {
			m.tag = strings.Repeat("long", 20)
		}
		must(c.t, client.Send([]byte(m.tag+" IDLE\r\n")))
		if line, err := client.ReadResponse(); err != nil || line[0] != '+' {
			c.t.Fatalf("IDLE: %q, %v", line, err)
		}
	case "half":
		must(c.t, client.Send([]byte("half LIST \"\" IN")))
		m.tag = "half"
	}
}

// check makes every session show that it is what it was. what says after what.
func (c *crowd) check(what string) {
	c.t.Helper()
	for i, m := range c.sessions {
		var err error
		var u [][]byte
		switch {
		case m.tag == "half":
			must(c.t, m.Send([]byte("BOX\r\n")))
			if u, _, err = m.Until("half"); err == nil && !strings.Contains(joined(u), "INBOX") {
				err = fmt.Errorf("LIST answered %q", u)
			}
			must(c.t, m.Send([]byte("half LIST \"\" IN")))
		case m.tag != "":
			must(c.t, m.Send([]byte("DONE\r\n")))
			var final []byte
			if _, final, err = m.Until(m.tag); err == nil && !bytes.HasPrefix(final, []byte("OK")) {
				err = fmt.Errorf("DONE answered %q", final)
			}
			if err == nil {
				u, err = m.Cmd("UID SEARCH ALL")
				if err == nil && !strings.Contains(joined(u), "* SEARCH 1 2 3") {
					err = fmt.Errorf("SEARCH answered %q", u)
				}
			}
			if err == nil {
				must(c.t, m.Send([]byte(m.tag+" IDLE\r\n")))
				_, err = m.ReadResponse()
			}
		case strings.HasSuffix(m.state, "selected"):
			u, err = m.Cmd("FETCH 3 (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
			if err == nil && !strings.Contains(joined(u), "message 2") {
				err = fmt.Errorf("FETCH answered %q", u)
			}
		default:
			_, err = m.Cmd("NOOP")
		}
		if err != nil {
			c.t.Fatalf("after %s: session %d (%s): %v\n%s", what, i, m.state, err, c.r.Log())
		}
	}
}

// held waits until the keeper has all sessions.
func (c *crowd) held() {
	c.t.Helper()
	want := fmt.Sprintf("roost_keeper_descriptors %d\n", len(c.sessions))
	waitFor(c.t, "keeper with all descriptors", func() bool { return strings.Contains(metrics(c.t, c.r), want) })
}

// reload runs roost reload --binary.
func (c *crowd) reload() error {
	out, err := exec.Command(roostBinary, "reload", "--binary", "--config", c.r.Config).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// TestReloadBinary replaces core three times, while clients work: no session is lost, and every command is answered once.
func TestReloadBinary(t *testing.T) {
	c := startCrowd(t, 200)
	stop, busy := make(chan struct{}), sync.WaitGroup{}
	var commands [8]int
	for i := range commands {
		w := login(t, c.r.Addr, fmt.Sprintf("user%d", i%crowdUsers))
		cmd(t, w, "SELECT INBOX")
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				u, err := w.Cmd("FETCH 1:3 (UID FLAGS BODY.PEEK[])")
				if err != nil || !strings.Contains(joined(u), "body of 2") {
					t.Errorf("FETCH: %q, %v", u, err)
					return
				}
				commands[i]++
			}
		})
	}
	for i := range 3 {
		before := c.r.CorePIDs()
		must(t, c.reload())
		waitFor(t, "only one core", func() bool { return len(c.r.CorePIDs()) == 1 })
		if now := c.r.CorePIDs(); now[0] == before[0] {
			t.Fatal("core is the process that it was")
		}
		c.check(fmt.Sprintf("reload %d", i+1))
	}
	close(stop)
	busy.Wait()
	for i, n := range commands {
		if n == 0 {
			t.Errorf("client %d had no command answered", i)
		}
	}
	if m := metrics(t, c.r); !strings.Contains(m, "roost_sessions_restored_total 208\n") || strings.Contains(m, "lost_total{reason=\"busy\"} 1") {
		t.Errorf("metrics:\n%s", m)
	}
	if n := strings.Count(c.r.Log(), "msg=ready"); n != 1 {
		t.Errorf("ready was logged %d times", n)
	}
	// New sessions come in, and changes are told to old ones.
	w := login(t, c.r.Addr, "user3")
	appendMessage(t, w, "INBOX", 3)
	for i, m := range c.sessions {
		if i%crowdUsers != 3 || !strings.HasSuffix(m.state, "idle") {
			continue
		}
		for told := false; !told; {
			line, err := m.ReadResponse()
			must(t, err)
			told = strings.HasPrefix(string(line), "* 4 EXISTS")
		}
	}
}

// TestFailedReloadChangesNothing: a configuration that a new core can not start with.
func TestFailedReloadChangesNothing(t *testing.T) {
	c := startCrowd(t, len(crowdStates))
	old, err := os.ReadFile(c.r.Config)
	must(t, err)
	core := c.r.CorePIDs()
	for _, change := range []struct{ before, with, why string }{
		{"cert = ", `cert = "nothing.pem" # `, "nothing.pem"},
		{"options.path = ", "options.scheme = \"ROT13\"\noptions.path = ", "option scheme"},
	} {
		wrong := bytes.Replace(old, []byte(change.before), []byte(change.with), 1)
		if bytes.Equal(wrong, old) {
			t.Fatalf("no %q in %s", change.before, old)
		}
		must(t, os.WriteFile(c.r.Config, wrong, 0o600))
		if err := c.reload(); err == nil || !strings.Contains(err.Error(), "the new core ended") || !strings.Contains(err.Error(), change.why) {
			t.Errorf("reload does not say %q: %v", change.why, err)
		}
	}
	must(t, os.WriteFile(c.r.Config, old, 0o600))
	if now := c.r.CorePIDs(); len(now) != 1 || now[0] != core[0] {
		t.Errorf("core %v became %v", core, now)
	}
	c.check("a failed reload")
	if !strings.Contains(c.r.Log(), "reload of the binary failed") {
		t.Errorf("log:\n%s", c.r.Log())
	}
	must(t, c.reload())
	c.check("a reload")
}

// TestKilledCoreIsReplaced: SIGKILL of core, again and again, ends no session that sleeps.
func TestKilledCoreIsReplaced(t *testing.T) {
	c := startCrowd(t, 200)
	for i := range 3 {
		c.held()
		core := c.r.CorePIDs()
		must(t, syscall.Kill(core[0], syscall.SIGKILL))
		c.check(fmt.Sprintf("kill %d", i+1))
		if now := c.r.CorePIDs(); len(now) != 1 || now[0] == core[0] {
			t.Fatalf("core %v became %v", core, now)
		}
	}
	for _, m := range c.sessions {
		if m.tag == "" {
			if _, err := m.Cmd("LOGOUT"); err != nil {
				t.Errorf("LOGOUT: %v", err)
			}
			if _, err := m.ReadResponse(); err == nil {
				t.Error("the connection is open after LOGOUT")
			}
		}
	}
}

// TestNothingIsLeft: after SIGTERM, and after SIGKILL of the keeper, there is no process left.
func TestNothingIsLeft(t *testing.T) {
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		c := startCrowd(t, len(crowdStates))
		c.held()
		var all []unix.PollFd
		for _, pid := range rig.Tree(c.r.PID()) {
			fd, err := unix.PidfdOpen(pid, 0)
			must(t, err)
			defer unix.Close(fd)
			all = append(all, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
		if len(all) < 4 {
			t.Errorf("%d processes, want keeper, core and at least two plugins", len(all))
		}
		if end == syscall.SIGTERM {
			must(t, c.r.Stop())
		} else {
			c.r.Kill()
		}
		waitFor(t, "end of all processes", func() bool {
			n, err := unix.Poll(all, 0)
			return err == nil && n == len(all)
		})
		for _, m := range c.sessions {
			for err := error(nil); err == nil; { // BYE, or nothing
				_, err = m.ReadResponse()
			}
		}
	}
}

// metrics returns the text of /metrics, "" while nobody answers.
func metrics(t *testing.T, r *rig.Roost) string {
	t.Helper()
	resp, err := http.Get("http://" + r.Admin + "/metrics")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(b)
}
