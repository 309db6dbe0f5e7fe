package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestSaveDatesAndPreviewsBesideDovecot lets both servers save messages into one mailbox, whatever its format is: both tell the same save
// dates, and each has the previews at once, also with LAZY, that the other has made.
func TestSaveDatesAndPreviewsBesideDovecot(t *testing.T) {
	for _, location := range []string{"mdbox:~/mdbox", "sdbox:~/sdbox", "maildir:~/Maildir"} {
		format, _, _ := strings.Cut(location, ":")
		t.Run(format, func(t *testing.T) {
			d := startDovecot(t, rig.DovecotOptions{Location: location})
			r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}, Location: location})
			dovecot, roost := login(t, d.Addr, storeUser), login(t, r.Addr, storeUser)
			clients := []*rig.Client{dovecot, roost}
			for i, c := range []*rig.Client{dovecot, roost, dovecot, roost} {
				text := fmt.Sprintf("Subject: %d\r\nContent-Type: text/html\r\n\r\n<p>text &#8364; of <b>number</b> %d\r\n", i, i)
				cmd(t, c, "APPEND INBOX {%d+}\r\n%s", len(text), text)
			}
			for _, c := range clients {
				cmd(t, c, "SELECT INBOX")
			}
			sameFetch(t, "SAVEDATE", cmd(t, roost, "UID FETCH 1:4 (SAVEDATE)"), cmd(t, dovecot, "UID FETCH 1:4 (SAVEDATE)"))
			for _, u := range cmd(t, roost, "UID FETCH 1:4 (SAVEDATE)") {
				if strings.Contains(string(u), "NIL") {
					t.Errorf("%s", u)
				}
			}
			// One makes what the other has not, of a message that roost and of one that Dovecot has saved.
			for i, uids := range []string{"1:2", "3:4"} {
				maker, reader := clients[i], clients[1-i]
				for _, u := range cmd(t, reader, "UID FETCH %s (PREVIEW (LAZY))", uids) {
					if !strings.Contains(string(u), "PREVIEW NIL") {
						t.Errorf("%s of a message of which nobody has asked for the preview", u)
					}
				}
				want := cmd(t, maker, "UID FETCH %s (PREVIEW)", uids)
				if !strings.Contains(string(want[0]), "text \u20ac of number") {
					t.Errorf("preview %q", want[0])
				}
				cmd(t, reader, "NOOP")
				sameFetch(t, "PREVIEW (LAZY) "+uids, cmd(t, reader, "UID FETCH %s (PREVIEW (LAZY))", uids), want)
			}
			quiet(t, d)
		})
	}
}

// TestAnnotationsThatDovecotChanges: who has enabled METADATA, or has asked for it with NOTIFY, is told of annotations that Dovecot changes.
func TestAnnotationsThatDovecotChanges(t *testing.T) {
	for _, location := range []string{"mdbox:~/mdbox", "sdbox:~/sdbox", "maildir:~/Maildir"} {
		format, _, _ := strings.Cut(location, ":")
		t.Run(format, func(t *testing.T) {
			d := startDovecot(t, rig.DovecotOptions{Location: location, Extra: "imap_metadata = yes\nmail_attribute_dict = file:%h/dovecot-attributes"})
			r := startRoost(t, rig.RoostOptions{
				Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}, Location: location,
				Storage: `options.mail_attribute_dict = "file:%h/dovecot-attributes"`,
			})
			dovecot := login(t, d.Addr, storeUser)
			cmd(t, dovecot, "CREATE box")
			appendMessage(t, dovecot, "INBOX", 1)
			cmd(t, dovecot, `SETMETADATA box (/private/comment "0" /private/gone "0")`)
			enabled, asked := login(t, r.Addr, storeUser), login(t, r.Addr, storeUser)
			cmd(t, enabled, "ENABLE METADATA")
			cmd(t, asked, "NOTIFY SET (PERSONAL (MailboxMetadataChange ServerMetadataChange))")
			for _, step := range []struct{ command, want string }{
				{`SETMETADATA box (/private/comment "1" /shared/comment "1")`, "* METADATA box /private/comment /shared/comment"},
				{`SETMETADATA box (/private/gone NIL)`, "* METADATA box /private/gone"},
				{`SETMETADATA INBOX (/private/comment "1")`, "* METADATA INBOX /private/comment"},
				{`SETMETADATA "" (/private/comment "1")`, `* METADATA "" /private/comment`},
				{`SETMETADATA box (/private/comment "2")`, "* METADATA box /private/comment"},
			} {
				cmd(t, dovecot, "%s", step.command)
				for _, c := range []*rig.Client{enabled, asked} {
					got, err := c.ReadResponse()
					must(t, err)
					if string(got) != step.want {
						t.Errorf("%s: %s, want %s", step.command, got, step.want)
					}
				}
			}
			quiet(t, d)
		})
	}
}
