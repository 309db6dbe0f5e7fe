package e2e

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// live is roost and Dovecot on the same store, with a mailbox of n messages selected in both.
type live struct {
	roost, dovecot *rig.Client
	r              *rig.Roost
	d              *rig.Dovecot
}

func startLive(t *testing.T, n int) live {
	t.Helper()
	d := startDovecot(t, rig.DovecotOptions{})
	home := filepath.Join(filepath.Dir(d.Conf), "mail", "%u")
	w := login(t, d.Addr, storeUser)
	for i := range n {
		appendMessage(t, w, "INBOX", i)
	}
	cmd(t, w, "SELECT INBOX")
	r := startRoost(t, rig.RoostOptions{Home: home, Users: []string{storeUser}})
	c := login(t, r.Addr, storeUser)
	cmd(t, c, "SELECT INBOX")
	return live{c, w, r, d}
}

func appendMessage(t *testing.T, c *rig.Client, box string, i int) {
	t.Helper()
	m := fmt.Sprintf("From: a@example.org\r\nSubject: message %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody of %d\r\n", i, i, i)
	cmd(t, c, "APPEND %s {%d+}\r\n%s", box, len(m), m)
}

// joined returns responses as one text.
func joined(lines [][]byte) string { return string(bytes.Join(lines, []byte("\n"))) }

func wantMatch(t *testing.T, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Fatalf("got %q, want a match of %s", got, pattern)
	}
}

// TestLiveChangesShowAtNoop: what Dovecot has answered OK is told at roost's very next NOOP.
func TestLiveChangesShowAtNoop(t *testing.T) {
	l := startLive(t, 10)
	if got := joined(cmd(t, l.roost, "NOOP")); got != "" {
		t.Fatalf("NOOP without a change answered %q", got)
	}
	for round := range 20 {
		cmd(t, l.dovecot, `STORE 3 %cFLAGS (\Flagged)`, "+-"[round%2])
		got := joined(cmd(t, l.roost, "NOOP"))
		want := `^\* 3 FETCH \(.*FLAGS \((\\Recent )?\\Flagged( \\Recent)?\).*\)$`
		if round%2 == 1 {
			want = `^\* 3 FETCH \(.*FLAGS \((\\Recent)?\).*\)$`
		}
		wantMatch(t, got, want)
	}
	cmd(t, l.dovecot, "STORE 2 +FLAGS (NewKeyword)")
	wantMatch(t, joined(cmd(t, l.roost, "NOOP")), `(?s)\* FLAGS \(.*NewKeyword.*\* 2 FETCH \(.*NewKeyword`)
	appendMessage(t, l.dovecot, "INBOX", 100)
	wantMatch(t, joined(cmd(t, l.roost, "NOOP")), `(?m)^\* 11 EXISTS$`)
	cmd(t, l.dovecot, `STORE 4,6:7 +FLAGS (\Deleted)`)
	cmd(t, l.dovecot, `EXPUNGE`)
	// FETCH by sequence number must still see the old numbers (RFC 3501 section 7.4.1).
	wantMatch(t, joined(cmd(t, l.roost, "FETCH 8 (UID)")), `\* 8 FETCH \(UID 8`)
	got := joined(cmd(t, l.roost, "NOOP"))
	if n := strings.Count(got, "EXPUNGE"); n != 3 {
		t.Fatalf("%d EXPUNGE responses in %q", n, got)
	}
	wantMatch(t, joined(cmd(t, l.roost, "FETCH 5 (UID)")), `\* 5 FETCH \(UID 8\)`)
	wantMatch(t, joined(cmd(t, l.roost, "STATUS INBOX (MESSAGES)")), `MESSAGES 8`)
}

// TestLiveChangesShowInIdle: an idling session is told without asking.
func TestLiveChangesShowInIdle(t *testing.T) {
	l := startLive(t, 5)
	tag, err := l.roost.Start("IDLE")
	must(t, err)
	next := func(pattern string) {
		t.Helper()
		for {
			r, err := l.roost.ReadResponse()
			must(t, err)
			if regexp.MustCompile(pattern).Match(r) {
				return
			}
			if bytes.HasPrefix(r, []byte(tag)) || bytes.HasPrefix(r, []byte("* BYE")) {
				t.Fatalf("got %q while waiting for %s", r, pattern)
			}
		}
	}
	next(`^\+ `)
	cmd(t, l.dovecot, `STORE 2 +FLAGS (\Answered)`)
	next(`^\* 2 FETCH \(.*\\Answered`)
	appendMessage(t, l.dovecot, "INBOX", 50)
	next(`^\* 6 EXISTS`)
	cmd(t, l.dovecot, `STORE 1 +FLAGS (\Deleted)`)
	cmd(t, l.dovecot, `EXPUNGE`)
	next(`^\* 1 EXPUNGE`)
	must(t, l.roost.Send([]byte("DONE\r\n")))
	_, final, err := l.roost.Until(tag)
	must(t, err)
	wantMatch(t, string(final), `^OK`)
}

// TestLiveRotationOfTheLog: sequence numbers stay exact when Dovecot rotates its log many times.
func TestLiveRotationOfTheLog(t *testing.T) {
	d := startDovecot(t, rig.DovecotOptions{Extra: "mail_index_log_rotate_min_size = 1k\nmail_index_log_rotate_max_size = 2k\nmail_index_log_rotate_min_age = 0\nmail_index_rewrite_min_log_bytes = 256\nmail_index_rewrite_max_log_bytes = 512\n"})
	w := login(t, d.Addr, storeUser)
	for i := range 30 {
		appendMessage(t, w, "INBOX", i)
	}
	cmd(t, w, "SELECT INBOX")
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	c := login(t, r.Addr, storeUser)
	cmd(t, c, "SELECT INBOX")
	count := 30
	for round := range 60 {
		cmd(t, w, `STORE %d +FLAGS (\Seen kw%d)`, 1+round%20, round%5)
		if round%6 == 5 {
			cmd(t, w, `STORE %d +FLAGS (\Deleted)`, 1+round%count)
			cmd(t, w, "EXPUNGE")
			count--
		}
		if round%4 == 0 {
			cmd(t, c, "NOOP")
		}
	}
	cmd(t, c, "NOOP")
	q := "FETCH 1:* (UID FLAGS)"
	got, err := rig.FetchAnswers(cmd(t, c, "%s", q))
	must(t, err)
	want, err := rig.FetchAnswers(cmd(t, w, "%s", q))
	must(t, err)
	if len(want) != count || len(got) != count {
		t.Fatalf("roost lists %d messages, Dovecot %d, want %d", len(got), len(want), count)
	}
	for seq, items := range want {
		if got[seq]["UID"].Str != items["UID"].Str {
			t.Errorf("message %d: UID %s, Dovecot %s", seq, got[seq]["UID"].Str, items["UID"].Str)
		}
		if g, e := withoutRecent(got[seq]["FLAGS"]), withoutRecent(items["FLAGS"]); g != e {
			t.Errorf("message %d: flags %s, Dovecot %s", seq, g, e)
		}
	}
}

// withoutRecent leaves out the flag that belongs to one session only.
func withoutRecent(flags rig.Value) string {
	l := slices.DeleteFunc(slices.Clone(flags.List), func(v rig.Value) bool { return v.Str == `\Recent` })
	return rig.Value{List: l}.String()
}

// TestLiveRename: a session stays with its mailbox, whatever its name means by now. It
// is never given a message of another mailbox that has taken the name.
func TestLiveRename(t *testing.T) {
	l := startLive(t, 1)
	for _, box := range []string{"A", "B"} {
		cmd(t, l.dovecot, "CREATE %s", box)
		m := "Subject: in " + box + "\r\n\r\nbody of " + box + "\r\n"
		cmd(t, l.dovecot, "APPEND %s {%d+}\r\n%s", box, len(m), m)
	}
	cmd(t, l.roost, "SELECT A")
	wantMatch(t, joined(cmd(t, l.roost, "FETCH 1 (BODY.PEEK[TEXT])")), "body of A")
	other := login(t, l.r.Addr, storeUser)
	cmd(t, other, "SELECT A")
	cmd(t, l.dovecot, "RENAME A C")
	cmd(t, l.dovecot, "RENAME B A")

	u, err := l.roost.Cmd("FETCH 1 (BODY.PEEK[TEXT])")
	if got := joined(u); strings.Contains(got, "body of B") || err == nil && !strings.Contains(got, "body of A") {
		t.Fatalf("the session at the old mailbox got %q, %v", got, err)
	}
	// The other session selects by name, and means what has the name now.
	cmd(t, other, "SELECT A")
	wantMatch(t, joined(cmd(t, other, "FETCH 1 (BODY.PEEK[TEXT])")), "body of B")
	cmd(t, other, "SELECT C")
	wantMatch(t, joined(cmd(t, other, "FETCH 1 (BODY.PEEK[TEXT])")), "body of A")
}
