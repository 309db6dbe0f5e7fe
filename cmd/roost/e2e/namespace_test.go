package e2e

import (
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestNamespacesAsDovecot: INBOX below a prefix, another separator, and a second store below a prefix of its own.
func TestNamespacesAsDovecot(t *testing.T) {
	dir, _ := makeStore(t, variants[0])
	d := startDovecot(t, rig.DovecotOptions{Home: filepath.Join(dir, "home"), Extra: `
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
`})
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
