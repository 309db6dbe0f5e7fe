package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// TestContextsSurvive: searches that are kept up to date, and a saved result, go on in another core, after a reload as after a crash.
func TestContextsSurvive(t *testing.T) {
	c := startCrowd(t, 0)
	w := login(t, c.r.Addr, "user0")
	c.sessions = append(c.sessions, &member{Client: w}) // for held
	want := func(command, line string) {
		t.Helper()
		if got := joined(cmd(t, w, "%s", command)); !strings.Contains(got, line) {
			t.Fatalf("%s: %s\nwant %s\n%s", command, got, line, c.r.Log())
		}
	}
	cmd(t, w, "SELECT INBOX")
	tags := make([]string, 2)
	for i, q := range []string{"UID SEARCH RETURN (UPDATE COUNT) FLAGGED", "SORT RETURN (UPDATE COUNT) (REVERSE ARRIVAL) UTF-8 FLAGGED"} {
		tag, err := w.Start("%s", q)
		must(t, err)
		_, _, err = w.Until(tag)
		must(t, err)
		tags[i] = tag
	}
	search, sort := `* ESEARCH (TAG "`+tags[0]+`") UID `, `* ESEARCH (TAG "`+tags[1]+`") `
	cmd(t, w, "UID SEARCH RETURN (SAVE) 3")
	want(`STORE 1,3 +FLAGS.SILENT (\Flagged)`, search+"ADDTO (0 1,3)")

	must(t, c.reload())
	waitFor(t, "only one core", func() bool { return len(c.r.CorePIDs()) == 1 })
	want(`STORE 2 +FLAGS.SILENT (\Flagged)`, search+"ADDTO (0 2)")
	want(`UID SEARCH $`, "* SEARCH 3")

	c.held()
	must(t, syscall.Kill(c.r.CorePIDs()[0], syscall.SIGKILL))
	want(`STORE 3 -FLAGS.SILENT (\Flagged)`, search+"REMOVEFROM (0 3)")
	want(`STORE 3 +FLAGS.SILENT (\Flagged)`, sort+"ADDTO (")
	cmd(t, w, `CANCELUPDATE "%s" "%s"`, tags[0], tags[1])
	if got := joined(cmd(t, w, `STORE 1 -FLAGS.SILENT (\Flagged)`)); strings.Contains(got, "ESEARCH") {
		t.Error(got)
	}
}
