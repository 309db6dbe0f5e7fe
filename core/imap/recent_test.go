package imap_test

import (
	"testing"

	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// TestRecentOfTwoSessions: each of two sessions has the messages \Recent that it was told of first, also while their mailbox sleeps, and with NOTIFY, which
// takes the place in a session where it remembers them.
func TestRecentOfTwoSessions(t *testing.T) {
	cfg := testConfig()
	cfg.Mailboxes.Warm = 0
	srv := startServer(t, cfg, true, func(s *mailboxtest.Store, _ *session.Config) { s.AllowWrites() })
	inbox := srv.store.Create("demo", "", "INBOX")
	deliver := func() { inbox.Append("Subject: x\r\n\r\nx", 0) }
	deliver()
	deliver()
	first, second := srv.dial(&script{t: t, file: "first"}), srv.dial(&script{t: t, file: "second"})
	for _, c := range []*conn{first, second} {
		wantOK(t, c, "LOGIN demo secret")
		wantOK(t, c, "SELECT INBOX")
	}
	search := func(c *conn, want string) {
		t.Helper()
		c.send([]byte("s UID SEARCH RECENT\r\n"))
		c.want("* SEARCH" + want)
		c.want("s OK UID SEARCH completed.")
	}
	search(first, " 1 2")
	search(second, "")
	deliver()
	wantOK(t, first, "NOOP") // follows on what it has
	wantOK(t, second, "NOOP")
	deliver()
	wantOK(t, second, "NOOP")
	wantOK(t, first, "NOOP")
	deliver()
	wantOK(t, first, "NOOP") // does not
	wantOK(t, second, "NOOP")
	all := func() {
		t.Helper()
		search(first, " 1 2 3 5")
		search(second, " 4")
	}
	all()
	wantOK(t, first, "NOTIFY SET (SELECTED (MessageNew MessageExpunge)) (PERSONAL (MessageNew MessageExpunge))")
	wantOK(t, second, "NOTIFY NONE")
	all()
	wantOK(t, first, "NOTIFY NONE")
	all()
	wantOK(t, first, "UNSELECT")
	wantOK(t, first, "SELECT INBOX")
	search(first, "")
	search(second, " 4")
	if n := srv.imap.Mailboxes().Stats().Open; n != 0 {
		t.Errorf("%d mailboxes are awake", n)
	}
}

// TestRecentOfAppend: what a session saves in its own mailbox is \Recent for it, with what came there before and nobody was told of, whether storage claims it
// with the append or does not know how.
func TestRecentOfAppend(t *testing.T) {
	for name, configure := range map[string]func(*mailboxtest.Store){"claimed": func(*mailboxtest.Store) {}, "left to core": func(s *mailboxtest.Store) { s.WithoutChanged(true) }} {
		t.Run(name, func(t *testing.T) {
			srv := startServer(t, testConfig(), true, func(s *mailboxtest.Store, _ *session.Config) { s.AllowWrites() })
			configure(srv.store)
			inbox := srv.store.Create("demo", "", "INBOX")
			inbox.Append("Subject: x\r\n\r\nx", 0)
			first, second := srv.dial(&script{t: t, file: "first"}), srv.dial(&script{t: t, file: "second"})
			for _, c := range []*conn{first, second} {
				wantOK(t, c, "LOGIN demo secret")
				wantOK(t, c, "SELECT INBOX")
			}
			inbox.Append("Subject: x\r\n\r\nx", 0)
			wantOK(t, second, "APPEND INBOX {1+}\r\nx")
			wantOK(t, first, "NOOP")
			wantOK(t, first, "APPEND INBOX {1+}\r\nx")
			wantOK(t, second, "NOOP")
			for c, want := range map[*conn]string{first: " 1 4", second: " 2 3"} {
				c.send([]byte("s UID SEARCH RECENT\r\n"))
				c.want("* SEARCH" + want)
				c.want("s OK UID SEARCH completed.")
			}
		})
	}
}
