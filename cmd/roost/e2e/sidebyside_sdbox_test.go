package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/cmd/internal/traffic"
)

// renamed is what happens to sessions of Dovecot, also without roost, when somebody renames the mailbox that they read from or save in.
var renamed = []*regexp.Regexp{
	regexp.MustCompile(`(dbox|Mailbox .*): Unexpectedly lost uid`),
	regexp.MustCompile(`^d\d+\.\d+: .*NO \[SERVERBUG\]`),
}

// TestSideBySideSdbox is TestSideBySide in a store of the format sdbox, for a third of the time.
func TestSideBySideSdbox(t *testing.T) {
	const location = "sdbox:~/sdbox"
	d := startDovecot(t, rig.DovecotOptions{Location: location})
	r := startRoost(t, rig.RoostOptions{Location: location, Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	l := work(t, soak(t)/3, traffic.Config{Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}, {Name: "d", Addr: d.Addr, Clients: 8}}})
	for what, n := range l.Refused {
		if strings.Contains(what, "CORRUPTION") || strings.Contains(what, "INUSE") {
			t.Errorf("refused %d times: %s", n, what)
		}
	}
	judge(t, l, d, r, renamed...)
}
