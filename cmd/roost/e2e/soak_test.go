//go:build soak

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/cmd/internal/traffic"
)

// root24 returns a Debian root with Dovecot 2.4: ROOST_DOVECOT24, else one that is made for the test.
func root24(t *testing.T) string {
	t.Helper()
	root := os.Getenv("ROOST_DOVECOT24")
	if root == "" {
		root = filepath.Join(tempDir(t), "root")
	}
	must(t, rig.Root24(root))
	return root
}

func startDovecot24(t *testing.T, root, home, location string) *rig.Dovecot {
	t.Helper()
	d, err := rig.StartDovecot24(root, rig.DovecotOptions{Dir: tempDir(t), Home: home, Location: location})
	must(t, err)
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		reportLog(t, "Dovecot 2.4's log", d.Log)
	})
	return d
}

// TestSoakSideBySide24 is TestSideBySide, and TestSideBySideSdbox for the whole time, with Dovecot 2.4.
func TestSoakSideBySide24(t *testing.T) {
	root := root24(t)
	for location, allowed := range map[string][]*regexp.Regexp{"mdbox:~/mdbox": nil, "sdbox:~/sdbox": renamed} {
		t.Run(location[:5], func(t *testing.T) {
			home := mailHome(t)
			d := startDovecot24(t, root, home, location)
			r := startRoost(t, rig.RoostOptions{Home: home, Location: location, Users: []string{storeUser}})
			l := work(t, soak(t), traffic.Config{Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}, {Name: "d", Addr: d.Addr, Clients: 8}}})
			judge(t, l, d, r, allowed...)
		})
	}
}

// TestSoakHandedOn hands a store from Dovecot 2.3 to roost to Dovecot 2.4 and back: each has it for itself for a time.
func TestSoakHandedOn(t *testing.T) {
	root := root24(t)
	for _, location := range []string{"mdbox:~/mdbox", "sdbox:~/sdbox", "maildir:~/Maildir"} {
		format, _, _ := strings.Cut(location, ":")
		var allowed []*regexp.Regexp
		if format == "sdbox" {
			allowed = renamed
		}
		t.Run(format, func(t *testing.T) { handOn(t, root, location, allowed) })
	}
}

func handOn(t *testing.T, root, location string, allowed []*regexp.Regexp) {
	home := mailHome(t)
	var l *traffic.Ledger
	for round, name := range []string{"2.3", "roost", "2.4", "roost", "2.3", "2.4"} {
		ok := t.Run(fmt.Sprintf("%d %s", round, name), func(t *testing.T) {
			var addr string
			switch name {
			case "2.3":
				d := startDovecot(t, rig.DovecotOptions{Home: home, Location: location})
				addr = d.Addr
				defer quiet(t, d, allowed...)
			case "2.4":
				d := startDovecot24(t, root, home, location)
				addr = d.Addr
				defer quiet(t, d, allowed...)
			default:
				addr = startRoost(t, rig.RoostOptions{Home: home, Location: location, Users: []string{storeUser}}).Addr
			}
			l = work(t, soak(t)/6, traffic.Config{Continue: l, Servers: []traffic.Server{{Name: name, Addr: addr, Clients: 8}}})
		})
		if !ok {
			return
		}
	}
	d := startDovecot(t, rig.DovecotOptions{Home: home, Location: location})
	judge(t, l, d, startRoost(t, rig.RoostOptions{Home: home, Location: location, Users: []string{storeUser}}), allowed...)
}

// TestSoakContradictions is TestContradictions for longer: each way at the same time as the others.
func TestSoakContradictions(t *testing.T) {
	for _, w := range checkedWays {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			w.check(t, seed(), soak(t))
		})
	}
}
