package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/cmd/internal/traffic"
)

// TestSideBySideMaildir is TestSideBySide in a Maildir, for a third of the time, without RENAME: in this format a lock moves with the directory. When
// Dovecot renames a mailbox in which a session holds it, others wait for it for two minutes, also without roost; a RENAME by roost, which
// takes the lock itself, was seen to end so in one of nine runs.
func TestSideBySideMaildir(t *testing.T) {
	const location = "maildir:~/Maildir"
	d := startDovecot(t, rig.DovecotOptions{Location: location})
	r := startRoost(t, rig.RoostOptions{Location: location, Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	l := work(t, soak(t)/3, traffic.Config{Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8, KeepNames: true}, {Name: "d", Addr: d.Addr, Clients: 8, KeepNames: true}}})
	for what, n := range l.Refused {
		if strings.Contains(what, "CORRUPTION") || strings.Contains(what, "INUSE") {
			t.Errorf("refused %d times: %s", n, what)
		}
	}
	judge(t, l, d, r)
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
