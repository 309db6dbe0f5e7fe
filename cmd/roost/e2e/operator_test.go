package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/server"
)

// roost runs a command of the binary under test, and returns its standard output and exit code.
func (c *crowd) roost(args ...string) (out string, code int) {
	c.t.Helper()
	cmd := exec.Command(roostBinary, append(args, "--config", c.r.Config)...)
	b, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		c.t.Logf("roost %v: %s", args, exit.Stderr)
		return string(b), exit.ExitCode()
	}
	must(c.t, err)
	return string(b), 0
}

// TestOperatorSeesSessions: roost sessions and top show every session as it is, and leave it so.
func TestOperatorSeesSessions(t *testing.T) {
	c := startCrowd(t, 5*len(crowdStates)) // every user has every state
	c.held()                               // all sleep
	out, code := c.roost("sessions", "--json")
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		var s server.SessionReport
		must(t, json.Unmarshal([]byte(line), &s))
		if s.Busy || !strings.HasPrefix(s.Address, "127.") || s.Since.IsZero() || s.Bytes < 112 || s.TLS && s.Bytes < 112+208 {
			t.Errorf("%s", line)
		}
		counts[fmt.Sprintf("%s %s %s %t", s.User, s.State, s.Mailbox, s.TLS)]++
	}
	want := map[string]int{" not authenticated  false": 5}
	for i := range crowdUsers {
		u := fmt.Sprintf("user%d", i)
		want[u+" authenticated  false"] = 2 // login, half
		want[u+" selected INBOX false"] = 1
		want[u+" selected, idle INBOX false"] = 2
		want[u+" authenticated  true"], want[u+" selected INBOX true"], want[u+" selected, idle INBOX true"] = 1, 1, 1
	}
	for k, n := range want {
		if counts[k] != n {
			t.Errorf("%d sessions are %q, want %d", counts[k], k, n)
		}
	}
	if len(counts) != len(want) {
		t.Errorf("%v", counts)
	}
	out, code = c.roost("sessions", "--user", "user3")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 9 || !regexp.MustCompile(`^USER +ADDRESS +STATE +MAILBOX +ASLEEP +TLS +BYTES$`).MatchString(lines[0]) {
		t.Errorf("%d, %s", code, out)
	}
	for _, l := range lines[1:] {
		if !strings.HasPrefix(l, "user3 ") {
			t.Errorf("%s", l)
		}
	}
	if out, code := c.roost("sessions", "--user", "nobody"); code != 0 || strings.Count(out, "\n") != 1 {
		t.Errorf("%d, %s", code, out)
	}
	out, code = c.roost("top", "-n", "1", "--users", "2")
	if code != 0 || !strings.Contains(out, "45: 5 not logged in, 15 with TLS") || strings.Contains(out, "\x1b") || strings.Count(out, "\nuser") != 2 {
		t.Errorf("%d, %s", code, out)
	}
	if out, _ := c.roost("top", "-n", "2", "--users", "0", "--interval", "100ms"); strings.Count(out, "\x1b[2J") != 2 || strings.Contains(out, "user0") {
		t.Errorf("%s", out)
	}
	c.check("looking at them")
	must(t, c.reload())
	if out, code := c.roost("sessions", "--json"); code != 0 || strings.Count(out, "\n") != len(c.sessions) {
		t.Errorf("after a reload: %d, %d lines", code, strings.Count(out, "\n"))
	}
}

// TestOperatorDrains: roost drain says how far it is, and when it is done nobody is left, and everybody was told.
func TestOperatorDrains(t *testing.T) {
	c := startCrowd(t, 5*len(crowdStates))
	c.held()
	out, code := c.roost("drain")
	if code != 0 || !strings.HasSuffix(out, "0 sessions left\n") {
		t.Errorf("%d, %s", code, out)
	}
	for i, m := range c.sessions {
		bye := false
		for {
			line, err := m.ReadResponse()
			if err != nil {
				break
			}
			bye = bye || strings.HasPrefix(string(line), "* BYE ")
		}
		if !bye {
			t.Errorf("session %d (%s) got no BYE", i, m.state)
		}
	}
	waitFor(t, "the end of the server", func() bool { return len(c.r.CorePIDs()) == 0 })
	if _, code := c.roost("sessions"); code != 1 {
		t.Errorf("exit code %d without a server", code)
	}
}
