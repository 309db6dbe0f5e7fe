package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestURLAuthBesideDovecot: URLs that one server has made are good for the other, and RESETKEY at one makes them void at both.
func TestURLAuthBesideDovecot(t *testing.T) {
	const attributes = `mail_attribute_dict = "file:%h/dovecot-attributes"`
	d := startDovecot(t, rig.DovecotOptions{Extra: "imap_metadata = yes\nmail_attribute_dict = file:%h/dovecot-attributes\nimap_urlauth_host = mail.example.org\n"})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser},
		Storage: "options." + attributes, Over: `imap.urlauth_host = "mail.example.org"`})
	clients := []*rig.Client{login(t, d.Addr, storeUser), login(t, r.Addr, storeUser)}
	cmd(t, clients[0], "APPEND INBOX {12+}\r\nA: b\r\n\r\ntext")
	rump := "imap://" + storeUser + "@mail.example.org/INBOX/;uid=1/;section=TEXT;urlauth=user+" + storeUser
	make := func(c *rig.Client) string {
		_, url, _ := strings.Cut(joined(cmd(t, c, "GENURLAUTH \"%s\" INTERNAL", rump)), "GENURLAUTH ")
		return strings.Trim(url, `"`)
	}
	good := func(c *rig.Client, url string) bool {
		return strings.Contains(joined(cmd(t, c, "URLFETCH \"%s\"", url)), "{4}\r\ntext")
	}
	for i, maker := range clients {
		other := clients[1-i]
		url := make(maker)
		if again := make(other); again != url {
			t.Errorf("%s made by one, %s by the other", url, again)
		}
		for _, c := range clients {
			if !good(c, url) {
				t.Errorf("%s is not good for both", url)
			}
		}
		cmd(t, maker, "RESETKEY INBOX")
		for _, c := range clients {
			if good(c, url) {
				t.Errorf("%s is good behind RESETKEY", url)
			}
		}
	}
	quiet(t, d)
}
