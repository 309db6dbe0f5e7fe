package imap_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// fuzzStates lead to the states in which a server reads commands.
var fuzzStates = []string{
	"", // not authenticated
	"a LOGIN demo secret\r\na SELECT INBOX\r\n",
	"a LOGIN demo secret\r\n",
	"a LOGIN demo secret\r\na EXAMINE INBOX\r\n",
	"a LOGIN demo secret\r\na SELECT INBOX\r\na IDLE\r\n",
	"a AUTHENTICATE PLAIN\r\n",
	"a AUTHENTICATE LOGIN\r\nZGVtbw==\r\n",
	"a LOGIN demo secret\r\na ENABLE QRESYNC UTF8=ACCEPT IMAP4rev2\r\na SELECT INBOX\r\n",
	"a LOGIN demo secret\r\na ENABLE UIDONLY\r\na SELECT INBOX\r\n",
	"a LOGIN demo secret\r\na NOTIFY SET STATUS (SELECTED (MessageNew (UID) MessageExpunge FlagChange)) (PERSONAL (MessageNew MessageExpunge MailboxName))\r\na SELECT INBOX\r\n",
	"a LOGIN demo secret\r\na UNAUTHENTICATE\r\n",
	"a LOGIN demo secret\r\na LOGOUT\r\n",
}

// FuzzConversation sends anything to a server, in each state of a connection: it does
// not panic, it does not hang, and what it sends are lines with CRLF.
func FuzzConversation(f *testing.F) {
	cfg := testConfig()
	cfg.IdleKeepalive, cfg.LoginTimeout = time.Minute, time.Minute
	srv := startServer(f, cfg, true, func(store *mailboxtest.Store, engine *session.Config) {
		store.AllowWrites()
		store.AllowMetadata(20)
		store.AllowACL()
		store.SetQuota(backend.QuotaRoot{Name: "q", Namespaces: []string{""}, Resources: []backend.QuotaResource{{Usage: 1, Limit: 2}}})
		engine.SpoolDir, engine.SpoolAbove, engine.MaxMessage = f.TempDir(), 3, 1<<20
	})
	inbox := srv.store.Create("demo", "", "INBOX")
	srv.store.Create("demo", "", "A/B")
	inbox.Append("From: a@example.org\r\nSubject: x\r\n\r\nbody\r\n", backend.FlagSeen, "work")
	inbox.Append("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n", 0)
	for _, s := range []string{
		"b NOOP", "b FETCH 1:* (FLAGS UID BODY.PEEK[1.MIME]<0.10> ENVELOPE)", "b UID SEARCH OR SEEN NOT FROM {1}\r\na KEYWORD work",
		"b IDLE\r\nDONE", "b AUTHENTICATE PLAIN\r\n*", "b LIST (SUBSCRIBED) \"\" (% *) RETURN (STATUS (SIZE))", "b STATUS INBOX (SIZE)",
		"b SELECT A/B (CONDSTORE)", "b LOGIN {3+}\r\nabc \"d\\\"\"", "b ID (\"a\" NIL)", "b APPEND INBOX {3}", "b APPEND INBOX (\\Seen x) \" 1-Jan-2020 00:00:00 +0000\" {3+}\r\nabc {5+}\r\n12345\r\nb NOOP", "b APPEND {3+}\r\nA/B {5}\r\n12345", "b ENABLE CONDSTORE", "b UNSELECT",
		"b STORE 1 (UNCHANGEDSINCE 9) +FLAGS.SILENT (\\Seen $x)", "b UID STORE 1:* -FLAGS a b", "b COPY 1 A/B", "b UID MOVE 1:* {3+}\r\nA/B", "b STORE 2 FLAGS (\\Deleted)\r\nb UID EXPUNGE 1:*",
		"b ENABLE QRESYNC\r\nb SELECT INBOX (QRESYNC (1001 1 1:9 (1:2 1:2)))", "b ENABLE QRESYNC CONDSTORE\r\nb UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\nb STORE 1 FLAGS \\Deleted\r\nb EXPUNGE",
		"b SEARCH RETURN (MIN MAX ALL COUNT SAVE) MODSEQ 1\r\nb UID STORE $ +FLAGS (x)\r\nb SEARCH RETURN () OR $ UID $", "b ENABLE UTF8=ACCEPT\r\nb CREATE \"t\u00e4st\"\r\nb APPEND INBOX UTF8 (~{3+}\r\nabc) UTF8 (~{3}\r\nabc)\r\nb LIST \"\" \"*\"\r\nb SEARCH CHARSET UTF-8 ALL", "b NOTIFY SET STATUS (SELECTED (MessageNew (UID BODY.PEEK[HEADER.FIELDS ({2+}\r\nTo)]) MessageExpunge FlagChange)) (SUBTREE (A {1+}\r\nx) (MessageNew MessageExpunge MailboxName))\r\nb CREATE A/C\r\nb APPEND A/B {1+}\r\nx\r\nb STORE 1 FLAGS (a)\r\nb NOTIFY NONE", "b EXPUNGE", "b CLOSE", "b CREATE x/", "b DELETE x", "b RENAME A/B {1}\r\nc", "b SUBSCRIBE {1+}\r\nx", "b UNSUBSCRIBE x", "b FETCH 1 (BODY[] RFC822.TEXT)",
		"b SETMETADATA INBOX (/private/a \"x\" /shared/{1+}\r\nb ~{2+}\r\n\x00y /private/c NIL)\r\nb GETMETADATA (MAXSIZE 1 DEPTH infinity) \"\" (/private /shared)\r\nb LIST \"\" * RETURN (METADATA (/private/a) MYRIGHTS)",
		"b SETMETADATA \"\" (/private/filters/values/f \"OR FILTER g (SEEN)\" /private/filters/values/g \"FILTER f\")\r\nb SEARCH RETURN (SAVE) FILTER f\r\nb SORT (DATE) UTF-8 NOT FILTER g", "b CREATE s (USE (\\Sent))\r\nb SETMETADATA s (/private/specialuse \"\\Junk x\")\r\nb LIST (SPECIAL-USE) \"\" *",
		"b GETQUOTAROOT {5+}\r\nINBOX\r\nb GETQUOTA q\r\nb SETQUOTA q (STORAGE 1 MESSAGE 2)", "b SETACL INBOX -x +lrcd\r\nb GETACL INBOX\r\nb DELETEACL INBOX {1+}\r\nx\r\nb LISTRIGHTS INBOX x\r\nb MYRIGHTS INBOX",
	} {
		for state := range fuzzStates {
			f.Add(uint8(state), s)
		}
	}
	f.Fuzz(func(t *testing.T, state uint8, s string) {
		c, err := net.Dial("tcp", srv.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		s = fuzzStates[int(state)%len(fuzzStates)] + s
		if _, err := io.WriteString(c, s+"\r\n"); err != nil {
			return // refused in the middle
		}
		c.(*net.TCPConn).CloseWrite()
		out, err := io.ReadAll(c)
		if err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%v after %q", err, out)
		}
		if err == nil && len(out) > 0 && !strings.HasSuffix(string(out), "\r\n") {
			t.Errorf("ends in the middle of a line: %q", out)
		}
	})
}
