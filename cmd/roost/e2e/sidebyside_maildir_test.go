package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/cmd/internal/traffic"
)

// TestSideBySideMaildir is TestSideBySide in a Maildir, for a third of the time. Dovecot's clients rename nothing: in this format its RENAME takes
// no lock of the mailbox, so that a session's lock can move with the directory, and then others wait for it for two minutes, also without roost.
func TestSideBySideMaildir(t *testing.T) {
	const location = "maildir:~/Maildir"
	d := startDovecot(t, rig.DovecotOptions{Location: location})
	r := startRoost(t, rig.RoostOptions{Location: location, Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	l := work(t, soak(t)/3, traffic.Config{Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}, {Name: "d", Addr: d.Addr, Clients: 8, KeepNames: true}}})
	for what, n := range l.Refused {
		if strings.Contains(what, "CORRUPTION") || strings.Contains(what, "INUSE") {
			t.Errorf("refused %d times: %s", n, what)
		}
	}
	judge(t, l, d, r, renamed...)
}

// TestMaildirOfManyClients lets clients of roost work in a Maildir, as in TestSideBySide, for a third of the time, and Dovecot judge the
// result. It has no clients of its own.
func TestMaildirOfManyClients(t *testing.T) {
	const location = "maildir:~/Maildir"
	d := startDovecot(t, rig.DovecotOptions{Location: location})
	r := startRoost(t, rig.RoostOptions{Location: location, Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	l := work(t, soak(t)/3, traffic.Config{Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}}})
	for what, n := range l.Refused {
		if strings.Contains(what, "CORRUPTION") || strings.Contains(what, "INUSE") {
			t.Errorf("refused %d times: %s", n, what)
		}
	}
	judge(t, l, d, r)
}
