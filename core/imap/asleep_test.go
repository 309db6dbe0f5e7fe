package imap_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// wantOK sends a command and reads what comes of it.
func wantOK(t *testing.T, c *conn, cmd string) {
	t.Helper()
	c.send([]byte("x " + cmd + "\r\n"))
	for {
		if line := c.read(); strings.HasPrefix(line, "x OK ") {
			return
		} else if strings.HasPrefix(line, "x ") {
			t.Fatalf("%s: %s", cmd, line)
		}
	}
}

// TestAnsweredAsleep: what can be answered from a session's record and its mailbox's entry costs no call of storage,
// no worker and no view, while the mailbox sleeps.
func TestAnsweredAsleep(t *testing.T) {
	cfg := testConfig()
	cfg.Mailboxes.Warm = 0 // asleep when no command runs
	cfg.IdleKeepalive = time.Second
	srv := startServer(t, cfg, true)
	inbox := srv.store.Create("demo", "", "INBOX")
	for range 3 {
		inbox.Append("Subject: x\r\n\r\nx", backend.FlagSeen)
	}
	c := srv.dial(&script{t: t, file: "asleep"})
	run := func(cmd string) { t.Helper(); wantOK(t, c, cmd) }
	run("LOGIN demo secret")
	run("EXAMINE INBOX")
	boxes := srv.imap.Mailboxes()
	for round := range 3 {
		if s := boxes.Stats(); s.Mailboxes != 1 || s.Open != 0 {
			t.Fatalf("round %d: the mailbox does not sleep: %+v", round, s)
		}
		calls, jobs := callsOf(srv.store), srv.engine.Stats().Jobs
		for _, cmd := range []string{"NOOP", "CHECK", "CAPABILITY", "ID NIL", "ENABLE CONDSTORE", "NAMESPACE", "STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)"} {
			run(cmd)
		}
		c.send([]byte("i IDLE\r\n"))
		c.want("+ idling")
		c.want("* OK Still here")
		c.send([]byte("DONE\r\n"))
		c.want("i OK IDLE completed.")
		if now := callsOf(srv.store); !slices.Equal(now, calls) {
			t.Errorf("round %d: calls of storage %v, before %v", round, now, calls)
		}
		if n := srv.engine.Stats().Jobs - jobs; n != 0 {
			t.Errorf("round %d: %d jobs for a worker", round, n)
		}
		if s := boxes.Stats(); s.Woken != uint64(round) {
			t.Errorf("round %d: woken %d times", round, s.Woken)
		}
		run("FETCH 1 (FLAGS UID)") // wakes it
	}
	c.send([]byte("j IDLE\r\n"))
	c.want("+ idling")
	inbox.Append("Subject: y\r\n\r\ny", 0)
	srv.poll()
	c.want("* 4 EXISTS")
	c.want("* 4 RECENT")
	c.send([]byte("DONE\r\n"))
	c.want("j OK IDLE completed.")
	wait(t, "the mailbox sleeps", func() bool { return boxes.Stats().Open == 0 })
	calls, before := callsOf(srv.store), srv.engine.Stats()
	c.send([]byte("k LOGOUT\r\n"))
	c.want("* BYE Logging out")
	c.want("k OK LOGOUT completed.")
	if now := srv.engine.Stats(); now.Jobs != before.Jobs || now.Quick != before.Quick+1 || !slices.Equal(calls, callsOf(srv.store)) || boxes.Stats().Open != 0 {
		t.Errorf("LOGOUT: %+v, before %+v", now, before)
	}
}

// TestExtensionsAsleep: a session with QRESYNC and a saved search result sleeps, answers from its record, and goes on where it was.
func TestExtensionsAsleep(t *testing.T) {
	cfg := testConfig()
	cfg.Mailboxes.Warm = 0
	srv := startServer(t, cfg, true)
	inbox := srv.store.Create("demo", "", "INBOX")
	for range 5 {
		inbox.Append("Subject: x\r\n\r\nx", 0)
	}
	c := srv.dial(&script{t: t, file: "extensions"})
	run := func(cmd string) { t.Helper(); wantOK(t, c, cmd) }
	run("LOGIN demo secret")
	run("ENABLE QRESYNC")
	run("EXAMINE INBOX")
	run("UID SEARCH RETURN (SAVE) 2,4:5")
	if n := srv.imap.Stats().SavedBytes; n != 4 {
		t.Errorf("%d bytes are saved, want 4", n)
	}
	ran, woken := srv.engine.Stats().Run, srv.imap.Mailboxes().Stats().Woken
	for _, cmd := range []string{"NOOP", "CHECK", "ENABLE CONDSTORE QRESYNC", "STATUS INBOX (HIGHESTMODSEQ)"} {
		run(cmd)
	}
	c.send([]byte("i IDLE\r\n"))
	c.want("+ idling")
	if now := srv.engine.Stats().Run; now != ran {
		t.Errorf("%d commands on a worker", now-ran)
	}
	if s := srv.imap.Mailboxes().Stats(); s.Open != 0 || s.Woken != woken {
		t.Errorf("the mailbox does not sleep: %+v", s)
	}
	inbox.Expunge(2)
	inbox.SetFlags(5, backend.FlagSeen)
	srv.poll()
	c.want(`* 5 FETCH (UID 5 MODSEQ (8) FLAGS (\Seen \Recent))`)
	c.want("* VANISHED 2")
	c.want("* 4 RECENT")
	c.send([]byte("DONE\r\n"))
	c.want("i OK IDLE completed.")
	c.send([]byte("j UID FETCH $ (FLAGS)\r\n"))
	c.want(`* 3 FETCH (UID 4 FLAGS (\Recent))`)
	c.want(`* 4 FETCH (UID 5 FLAGS (\Seen \Recent))`)
	c.want("j OK UID FETCH completed.")
	run("UNSELECT")
	if n := srv.imap.Stats().SavedBytes; n != 0 {
		t.Errorf("%d bytes are saved without a mailbox", n)
	}
}

// TestAnUpdateIsMadeOnceForSleepers: many sessions in IDLE at one mailbox that sleeps cost one waking.
func TestAnUpdateIsMadeOnceForSleepers(t *testing.T) {
	cfg := testConfig()
	srv := startServer(t, cfg, true)
	inbox := srv.store.Create("demo", "", "INBOX")
	var conns []*conn
	for range 20 {
		c := srv.dial(&script{t: t, file: "sleepers"})
		wantOK(t, c, "LOGIN demo secret")
		wantOK(t, c, "EXAMINE INBOX")
		c.send([]byte("i IDLE\r\n"))
		c.want("+ idling")
		conns = append(conns, c)
	}
	boxes := srv.imap.Mailboxes()
	for _, cand := range boxes.Candidates(10, 0, false) {
		boxes.Park(cand.ID, cand.Used)
	}
	if s := boxes.Stats(); s.Open != 0 {
		t.Fatalf("awake: %+v", s)
	}
	opened, changes := srv.store.Calls("Open"), srv.store.Calls("Changes")
	inbox.Append("Subject: y\r\n\r\ny", backend.FlagSeen)
	srv.poll()
	for _, c := range conns {
		c.want("* 1 EXISTS")
	}
	if o, ch := srv.store.Calls("Open")-opened, srv.store.Calls("Changes")-changes; o != 1 || ch != 1 {
		t.Errorf("%d calls of Open, %d of Changes", o, ch)
	}
}
