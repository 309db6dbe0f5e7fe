package imap_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// TestNotifyAsleep: sessions with NOTIFY sleep, in no command and not in IDLE, at a mailbox that sleeps, and get what happens there and elsewhere. For all
// sessions of a user a change costs one call of storage at the most.
func TestNotifyAsleep(t *testing.T) {
	cfg := testConfig()
	cfg.Mailboxes.Warm = 0
	srv := startServer(t, cfg, true)
	inbox := srv.store.Create("demo", "", "INBOX")
	work := srv.store.Create("demo", "", "work")
	var conns []*conn
	for i := range 20 {
		c := srv.dial(&script{t: t, file: "notify"})
		wantOK(t, c, "LOGIN demo secret")
		wantOK(t, c, "EXAMINE INBOX")
		wantOK(t, c, fmt.Sprintf("NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange)) (MAILBOXES (work no%d) (MessageNew MessageExpunge))", i%3))
		conns = append(conns, c)
	}
	boxes := srv.imap.Mailboxes()
	if s, p := boxes.Stats(), srv.imap.Stats(); s.Open != 0 || p.NotifySessions != 20 || p.NotifyMailboxes != 1 {
		t.Fatalf("%+v %+v", s, p)
	}
	run := srv.engine.Stats().Run
	inbox.Append("Subject: x\r\n\r\nx", backend.FlagSeen)
	srv.poll()
	for _, c := range conns {
		c.want("* 1 EXISTS")
		c.want("* 1 RECENT")
	}
	inbox.SetFlags(1, backend.FlagSeen|backend.FlagFlagged)
	srv.poll()
	for _, c := range conns {
		c.want(`* 1 FETCH (UID 1 FLAGS (\Flagged \Seen \Recent))`)
	}
	for n := 2; n <= 6; n += 2 {
		before := srv.store.Calls("Status")
		work.Append("Subject: x\r\n\r\nx", 0)
		work.Append("Subject: y\r\n\r\ny", 0)
		srv.poll()
		for _, c := range conns {
			c.want(fmt.Sprintf("* STATUS work (MESSAGES %d UIDNEXT %d UIDVALIDITY 1002)", n, n+1))
		}
		if calls := srv.store.Calls("Status") - before; calls < 1 || calls > 2 { // the second event may come while storage answers
			t.Errorf("%d calls of Status for two changes", calls)
		}
	}
	if n := srv.engine.Stats().Run - run; n != 0 {
		t.Errorf("%d commands", n)
	}
	for _, c := range conns[1:] {
		wantOK(t, c, "LOGOUT")
		c.wantEOF()
	}
	if s := srv.imap.Stats(); s.NotifySessions != 1 || s.NotifyMailboxes != 1 {
		t.Errorf("%+v", s)
	}
	wantOK(t, conns[0], "NOTIFY NONE")
	if s := srv.imap.Stats(); s.NotifySessions != 0 || s.NotifyMailboxes != 0 {
		t.Errorf("%+v", s)
	}
}

// TestNotifyWatchesLost: after an overflow of the kernel's queue everything is looked at again.
func TestNotifyWatchesLost(t *testing.T) {
	srv := startServer(t, testConfig(), true)
	work := srv.store.Create("demo", "", "work")
	c := srv.dial(&script{t: t, file: "notify"})
	wantOK(t, c, "LOGIN demo secret")
	wantOK(t, c, "NOTIFY SET (PERSONAL (MessageNew MessageExpunge))")
	for n := 1; n <= 3; n++ {
		work.Append("Subject: x\r\n\r\nx", 0)
		srv.store.Drain() // nobody hears of it
		srv.imap.Mailboxes().WatchLost()
		c.want(fmt.Sprintf("* STATUS work (MESSAGES %d UIDNEXT %d UIDVALIDITY 1001)", n, n+1))
	}
}

// TestNotifyStorageFailsMidway: storage that fails between the mailboxes of two namespaces keeps nothing from the client that it has told.
func TestNotifyStorageFailsMidway(t *testing.T) {
	cfg := testConfig()
	cfg.Namespaces = []backend.Namespace{
		{Name: "", Separator: '/', Inbox: true, List: true},
		{Name: "other", Prefix: "Other/", Separator: '/', List: true},
	}
	cfg.Mailboxes.PollInterval = 10 * time.Millisecond // what has failed is tried again
	srv := startServer(t, cfg, true)
	work, team := srv.store.Create("demo", "", "work"), srv.store.Create("demo", "other", "team")
	c := srv.dial(&script{t: t, file: "notify"})
	wantOK(t, c, "LOGIN demo secret")
	wantOK(t, c, "NOTIFY SET (MAILBOXES (work Other/team) (MessageNew MessageExpunge))")
	for n := 1; n <= 5; n++ {
		work.Append("Subject: x\r\n\r\nx", 0)
		team.Append("Subject: x\r\n\r\nx", 0)
		srv.store.Drain() // nobody hears of it
		var once sync.Once
		srv.store.AfterStatus(func() { once.Do(func() { srv.store.Fail(backend.Errorf(backend.KindUnavailable, "")) }) })
		srv.imap.Mailboxes().WatchLost()
		lines := []string{fmt.Sprintf("* STATUS work (MESSAGES %d UIDNEXT %d UIDVALIDITY 1001)", n, n+1), fmt.Sprintf("* STATUS Other/team (MESSAGES %d UIDNEXT %d UIDVALIDITY 1002)", n, n+1)}
		first := c.read()
		srv.store.Fail(nil)
		second := c.read()
		if !(matches(lines[0], first) && matches(lines[1], second) || matches(lines[1], first) && matches(lines[0], second)) {
			t.Fatalf("got %q and %q", first, second)
		}
	}
}
