package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// TestRecentSurvives: what is \Recent to a session is so in another core, after a reload as after a crash; with NOTIFY, too.
func TestRecentSurvives(t *testing.T) {
	c := startCrowd(t, 0)
	c.add("user0", "selected")
	c.add("user0", "selected")
	c.add("user1", "selected")
	cmd(t, c.sessions[2].Client, "NOTIFY SET (SELECTED (MessageNew MessageExpunge))")
	check := func(after string) {
		t.Helper()
		for i, want := range []string{"* SEARCH 1 2 3", "* SEARCH", "* SEARCH 1 2 3"} {
			if got := joined(cmd(t, c.sessions[i].Client, "UID SEARCH RECENT")); strings.TrimSpace(got) != want {
				t.Errorf("after %s: session %d: %q, want %q", after, i, got, want)
			}
		}
	}
	check("SELECT")
	must(t, c.reload())
	waitFor(t, "only one core", func() bool { return len(c.r.CorePIDs()) == 1 })
	check("a reload")
	c.held()
	must(t, syscall.Kill(c.r.CorePIDs()[0], syscall.SIGKILL))
	check("a crash")
}
