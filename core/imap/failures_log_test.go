package imap_test

import (
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// What storage refuses because of the machine, and not of the user, is logged with its detail: a client is only told "no".
func TestTroubleOfTheMachineIsLogged(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    *backend.Error
		logged bool
	}{
		{"a directory of another owner", &backend.Error{Kind: backend.KindNoPermission, Detail: "open /mail/demo: permission denied"}, true},
		{"a full disk", &backend.Error{Kind: backend.KindOverQuota, Detail: "write /mail/demo: no space left on device"}, true},
		{"a file system that is mounted read-only", &backend.Error{Kind: backend.KindReadOnly, Detail: "open /mail/demo: read-only file system"}, true},
		{"a list that gives no right", &backend.Error{Kind: backend.KindNoPermission}, false},
		{"a quota", &backend.Error{Kind: backend.KindOverQuota}, false},
		{"storage with read_only", &backend.Error{Kind: backend.KindReadOnly}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := startServer(t, testConfig(), true, func(s *mailboxtest.Store, _ *session.Config) { s.AllowWrites() })
			srv.logs.keep()
			srv.store.FailCall("CreateMailbox", c.err)
			client := srv.dial(&script{t: t, file: t.Name()})
			client.want("* OK …")
			client.send([]byte("a LOGIN demo secret\r\nb CREATE new\r\n"))
			client.want("a OK …")
			client.want("b NO …")
			log := srv.logs.String()
			if got := strings.Contains(log, "level=ERROR") && strings.Contains(log, c.err.Detail) && strings.Contains(log, "user=demo"); got != c.logged {
				t.Errorf("logged with user and detail: %v, want %v:\n%s", got, c.logged, log)
			}
		})
	}
}

// A mailbox that storage can not change is opened READ-ONLY. Why is logged, if the reason is the machine's.
func TestWhyAMailboxIsReadOnlyIsLogged(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    *backend.Error
		logged bool
	}{
		{"a directory of another owner", &backend.Error{Kind: backend.KindNoPermission, Detail: "open /mail/demo: permission denied"}, true},
		{"a file system that is mounted read-only", &backend.Error{Kind: backend.KindReadOnly, Detail: "open /mail/demo: read-only file system"}, true},
		{"a list that gives no right", &backend.Error{Kind: backend.KindNoPermission}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := startServer(t, testConfig(), true, func(s *mailboxtest.Store, _ *session.Config) { s.AllowWrites() })
			srv.store.Create("demo", "", "INBOX").Append("Subject: x\r\n\r\nx", 0)
			srv.logs.keep()
			srv.store.FailCall("ClaimRecent", c.err)
			client := srv.dial(&script{t: t, file: t.Name()})
			client.want("* OK …")
			client.send([]byte("a LOGIN demo secret\r\nb SELECT INBOX\r\n"))
			client.want("a OK …")
			line := client.read()
			for strings.HasPrefix(line, "* ") {
				line = client.read()
			}
			if !strings.HasPrefix(line, "b OK [READ-ONLY] ") {
				t.Fatal(line)
			}
			log := srv.logs.String()
			if got := strings.Contains(log, "level=ERROR") && strings.Contains(log, "READ-ONLY") && strings.Contains(log, c.err.Detail) && strings.Contains(log, "user=demo"); got != c.logged {
				t.Errorf("logged with user and detail: %v, want %v:\n%s", got, c.logged, log)
			}
		})
	}
}
