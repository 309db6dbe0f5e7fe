package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestClientMbsyncPushes lets mbsync carry new messages, flags and expunges both ways between a Maildir and an empty store of roost, and
// shows what is there to Dovecot.
func TestClientMbsyncPushes(t *testing.T) {
	home := mailHome(t)
	r := startRoost(t, rig.RoostOptions{Home: home, Users: []string{storeUser}})
	dir := tempDir(t)
	_, port, _ := strings.Cut(r.TLSAddr, ":")
	writeFile(t, filepath.Join(dir, "mbsyncrc"), fmt.Sprintf("IMAPAccount a\nHost localhost\nPort %s\nUser %s\nPass pass\nSSLType IMAPS\nSystemCertificates no\nCertificateFile %s\n\n"+
		"IMAPStore far\nAccount a\n\nMaildirStore near\nPath %s/mail/\nInbox %s/mail/INBOX\nSubFolders Verbatim\n\n"+
		"Channel c\nFar :far:\nNear :near:\nPatterns *\nSync All\nCreate Both\nExpunge Both\nSyncState *\n",
		port, storeUser, filepath.Join(filepath.Dir(r.Config), "cert.pem"), dir, dir))
	must(t, os.Mkdir(filepath.Join(dir, "mail"), 0o700))
	for _, box := range []string{"INBOX", "Work", "Work/R&APY-dhake"} {
		for _, sub := range []string{"cur", "new", "tmp"} {
			must(t, os.MkdirAll(filepath.Join(dir, "mail", box, sub), 0o700))
		}
		for n := range 5 {
			writeFile(t, filepath.Join(dir, "mail", box, "cur", fmt.Sprintf("1700000000.%d_1.host:2,S", n)),
				fmt.Sprintf("From: a@example.org\nSubject: %s\nMessage-ID: <%d>\n\ntext %d\n", box, n, n))
		}
	}
	sync := func() { tool(t, dir, "mbsync", "-c", filepath.Join(dir, "mbsyncrc"), "c") }
	sync()

	// The server's side expunges one message and flags another; the near side deletes one.
	c := login(t, r.Addr, storeUser)
	cmd(t, c, "SELECT INBOX")
	cmd(t, c, `STORE 1 +FLAGS (\Deleted)`)
	cmd(t, c, "EXPUNGE")
	cmd(t, c, `STORE 1 +FLAGS (\Flagged)`)
	near, err := filepath.Glob(filepath.Join(dir, "mail", "Work", "cur", "*"))
	must(t, err)
	must(t, os.Rename(near[0], near[0]+"T"))
	sync()

	d := startDovecot(t, rig.DovecotOptions{Home: home})
	want := map[string]int{"INBOX": 4, "Work": 4, "Work/R&APY-dhake": 5}
	show := func(addr string) map[string]map[uint32]map[string]rig.Value {
		c := login(t, addr, storeUser)
		all := map[string]map[uint32]map[string]rig.Value{}
		for box := range want {
			cmd(t, c, "EXAMINE %q", box)
			answers, err := rig.FetchAnswers(cmd(t, c, "UID FETCH 1:* (FLAGS BODY.PEEK[])"))
			must(t, err)
			all[box] = answers
		}
		return all
	}
	byDovecot := show(d.Addr)
	if d := cmp.Diff(byDovecot, show(r.Addr)); d != "" {
		t.Errorf("Dovecot and roost show different things (-Dovecot +roost):\n%s", d)
	}
	for box, n := range want {
		if len(byDovecot[box]) != n {
			t.Errorf("mailbox %s: %v, want %d messages", box, byDovecot[box], n)
		}
		for uid, m := range byDovecot[box] {
			if !strings.Contains(m["FLAGS"].String(), `\Seen`) || !strings.Contains(m["BODY[]"].Str, "\r\n\r\ntext ") {
				t.Errorf("mailbox %s UID %d: %v", box, uid, m)
			}
		}
	}
	inbox, err := filepath.Glob(filepath.Join(dir, "mail", "INBOX", "cur", "*"))
	must(t, err)
	flagged, err := filepath.Glob(filepath.Join(dir, "mail", "INBOX", "cur", "*:2,FS"))
	must(t, err)
	if len(inbox) != 4 || len(flagged) != 1 {
		t.Errorf("the Maildir has %v", inbox)
	}
	quiet(t, d)
}
