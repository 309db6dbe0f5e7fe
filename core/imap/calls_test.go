package imap_test

import (
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// TestCallsOfCommands counts the calls of storage that commands cost: each crosses a process boundary.
func TestCallsOfCommands(t *testing.T) {
	srv := startServer(t, testConfig(), true, func(s *mailboxtest.Store, _ *session.Config) { s.AllowWrites() })
	inbox := srv.store.Create("demo", "", "INBOX")
	srv.store.Create("demo", "", "Box")
	for range 9 {
		inbox.Append("Subject: x\r\n\r\nx", 0)
	}
	inbox.Append("Subject: x\r\n\r\nx", backend.FlagDeleted)
	c := srv.dial(&script{t: t, file: "calls"})
	w := &writer{conn: c}
	for _, step := range []struct{ cmd, calls string }{
		{"LOGIN demo secret", ""},
		{"SELECT INBOX", "Open ClaimRecent"},
		{"STORE 1 +FLAGS (\\Seen)", "Store"},
		{"UID STORE 1:* +FLAGS.SILENT (work)", "Store"},
		{"STORE 1:* -FLAGS (work)", "Store"},
		{"UID STORE 99 +FLAGS (\\Seen)", "Changes"}, // the watch told of the changes above, which may not have been the only ones
		{"UID STORE 99 +FLAGS (\\Seen)", ""},
		{"EXAMINE Box", "Open"},
		{"SELECT INBOX", "Status"}, // is the name that of another mailbox by now?
		{"FETCH 1 BODY[]", "Fetch"},
		{"FETCH 2:3 BODY[TEXT]", "Fetch Store"},
		{"UID COPY 1:2 Box", "Copy"},
		{"UID MOVE 1:2 Box", "Copy"},
		{"EXPUNGE", "Changes Expunge"},
		{"NOOP", "Changes"},
		{"APPEND INBOX {1+}\r\nx", "Append"},       // tells what came, and claims it
		{"APPEND Box {1+}\r\nx", "Changes Append"}, // the watch told of the append before
		{"EXPUNGE", ""},                            // nothing to remove
		{"COPY 1:2 Box", "Copy"},
		{"STORE 1 +FLAGS.SILENT (\\Deleted)", "Store"},
		{"CLOSE", "Expunge"},
		{"SELECT INBOX", "Changes Status"},
		{"CLOSE", ""},
		{"CREATE x", "CreateMailbox"},
		{"RENAME x y", "RenameMailbox"},
		{"SUBSCRIBE y", "Subscribe"},
		{"DELETE y", "DeleteMailbox"},
	} {
		if verb := strings.Fields(step.cmd)[0]; verb == "SELECT" || verb == "EXAMINE" {
			w.messages = nil
		}
		before := callsOf(srv.store)
		tagged, err := w.command(step.cmd)
		if err != nil || !strings.Contains(tagged, " OK ") {
			t.Fatalf("%s: %q, %v", step.cmd, tagged, err)
		}
		var calls []string
		for i, n := range callsOf(srv.store) {
			for ; n > before[i]; n-- {
				calls = append(calls, methods[i])
			}
		}
		if got := strings.Join(calls, " "); got != step.calls {
			t.Errorf("%s: %q, want %q", step.cmd, got, step.calls)
		}
	}
}

var methods = []string{"Open", "Changes", "Status", "ListMailboxes", "Fetch", "Append", "Store", "Copy", "Expunge", "ClaimRecent", "CreateMailbox",
	"DeleteMailbox", "RenameMailbox", "Subscribe"}

func callsOf(s *mailboxtest.Store) (n []int) {
	for _, m := range methods {
		n = append(n, s.Calls(m))
	}
	return n
}
