package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// dovecotSpaces has INBOX below a prefix, and a second store.
const dovecotSpaces = `
namespace inbox {
  separator = .
  prefix = INBOX.
}
namespace old {
  separator = .
  prefix = old.
  list = yes
  location = mdbox:~/mdbox2
  subscriptions = yes
}
`

// TestNamespacesAsDovecot: INBOX below a prefix, another separator, and a second store below a prefix of its own.
func TestNamespacesAsDovecot(t *testing.T) {
	dir, _ := makeStore(t, variants[0])
	d := startDovecot(t, rig.DovecotOptions{Home: filepath.Join(dir, "home"), Extra: dovecotSpaces})
	w := login(t, d.Addr, storeUser)
	cmd(t, w, "CREATE old.Stuff.Sub")
	cmd(t, w, "SUBSCRIBE old.Stuff.Sub")
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(dir, "home"), Users: []string{storeUser}, Spaces: `
[[namespace]]
name = "inbox"
inbox = true
prefix = "INBOX."
separator = "."
mailbox = [
  { name = "Drafts", special_use = '\Drafts' },
  { name = "Sent", special_use = '\Sent' },
  { name = "Junk", special_use = '\Junk' },
]
[[namespace]]
name = "old"
prefix = "old."
separator = "."
location = "mdbox:~/mdbox2"
`})
	c := login(t, r.Addr, storeUser)
	for _, q := range []string{"NAMESPACE", `LIST "" "*"`, `LIST "" "%"`, `LIST "" "INBOX.%"`, `LIST "INBOX." "%"`, `LIST "old." "*"`,
		`LIST "" "old.%"`, `LIST "" "old"`, `LIST "" ""`, `LSUB "" "*"`, `LSUB "" "%"`, `LSUB "" "old.%"`, "STATUS INBOX (MESSAGES)",
		"STATUS INBOX.Archive (MESSAGES UIDNEXT)", "STATUS old.Stuff.Sub (MESSAGES UIDVALIDITY)"} {
		sameLines(t, q, cmd(t, c, "%s", q), cmd(t, w, "%s", q))
	}
}

// TestInboxInOtherLettersAsDovecot: only the name INBOX itself has no case. Below a prefix Inbox and INBOX are mailboxes as others, which both servers
// find under the same names.
func TestInboxInOtherLettersAsDovecot(t *testing.T) {
	dir, _ := makeStore(t, variants[0])
	d := startDovecot(t, rig.DovecotOptions{Home: filepath.Join(dir, "home"), Extra: dovecotSpaces})
	w := login(t, d.Addr, storeUser)
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(dir, "home"), Users: []string{storeUser}, Spaces: `
[[namespace]]
name = "inbox"
inbox = true
prefix = "INBOX."
separator = "."
[[namespace]]
name = "old"
prefix = "old."
separator = "."
location = "mdbox:~/mdbox2"
`})
	c := login(t, r.Addr, storeUser)
	text := func(x *rig.Client, q string) []string {
		lines, err := x.Cmd("%s", q)
		got := []string{fmt.Sprint(err == nil)}
		for _, l := range lines {
			line := strings.TrimSpace(string(l))
			if _, name, ok := strings.Cut(line, ") "); ok && strings.HasPrefix(line, "* L") { // what they tell of it beside is not the same
				line = name
			}
			got = append(got, line)
		}
		slices.Sort(got)
		return got
	}
	asked := []string{`LIST "" "*"`, `LSUB "" "*"`, "STATUS INBOX (MESSAGES)", "STATUS inbox (MESSAGES)", "STATUS INBOX.Inbox (MESSAGES)", "STATUS INBOX.inbox (MESSAGES)",
		"STATUS old.Inbox (MESSAGES)", "STATUS old.INBOX (MESSAGES)", "STATUS old.inbox.deep (MESSAGES)", "STATUS old.moved (MESSAGES)", "STATUS INBOX.moved (MESSAGES)"}
	compare := func(after string) {
		t.Helper()
		for _, q := range asked {
			is, want := text(c, q), text(w, q)
			if want[0] == "false" || is[0] == "false" { // they say it in different words
				is, want = is[:1], want[:1]
			}
			if diff := cmp.Diff(want, is); diff != "" {
				t.Errorf("after %s, %s: Dovecot (-), roost (+):\n%s", after, q, diff)
			}
		}
	}
	for i, q := range []string{"CREATE old.Inbox", "CREATE old.inbox.deep", "CREATE INBOX.Inbox", "APPEND INBOX.Inbox {2+}\r\nA", "APPEND old.Inbox {2+}\r\nB", "SUBSCRIBE old.Inbox",
		"SUBSCRIBE INBOX.Inbox", "APPEND INBOX.inbox {2+}\r\nC", "RENAME INBOX.Inbox INBOX.moved", "CREATE old.INBOX", "APPEND old.INBOX {2+}\r\nD", "RENAME old.INBOX old.moved",
		"DELETE old.moved", "CREATE old.INBOX", "DELETE old.INBOX", "UNSUBSCRIBE old.Inbox"} {
		on := []*rig.Client{w, c}[i%2]
		_, _ = on.Cmd("%s", q) // APPEND INBOX.inbox: there is none
		compare(q)
	}
}

// TestSubscriptionsAboveAsDovecot: the subscriptions of a namespace that has none of its own are in the one above it, for both servers.
func TestSubscriptionsAboveAsDovecot(t *testing.T) {
	dir, _ := makeStore(t, variants[0])
	d := startDovecot(t, rig.DovecotOptions{Home: filepath.Join(dir, "home"), Extra: `
namespace old {
  separator = /
  prefix = old/
  list = yes
  location = mdbox:~/mdbox2
  subscriptions = no
}
`})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(dir, "home"), Users: []string{storeUser}, Spaces: `
[[namespace]]
name = "inbox"
inbox = true
mailbox = [
  { name = "Drafts", special_use = '\Drafts' },
  { name = "Sent", special_use = '\Sent' },
  { name = "Junk", special_use = '\Junk' },
]
[[namespace]]
name = "old"
prefix = "old/"
location = "mdbox:~/mdbox2"
subscriptions = false
`})
	w, c := login(t, d.Addr, storeUser), login(t, r.Addr, storeUser)
	cmd(t, w, "CREATE old/Stuff/Sub")
	cmd(t, w, "CREATE old/Other")
	for i, q := range []string{"SUBSCRIBE old/Stuff/Sub", "SUBSCRIBE old/Other", "SUBSCRIBE old/Gone", "UNSUBSCRIBE old/Gone", "UNSUBSCRIBE old/Stuff/Sub"} {
		cmd(t, []*rig.Client{c, w}[i%2], "%s", q)
		for _, q := range []string{`LSUB "" "*"`, `LSUB "" "old/%"`, `LIST (SUBSCRIBED) "" "*"`} {
			sameLines(t, q, cmd(t, c, "%s", q), cmd(t, w, "%s", q))
		}
	}
}
