//go:build soak

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// locations are those of the formats.
var locations = map[string]string{"mdbox": "mdbox:~/mdbox", "sdbox": "sdbox:~/sdbox", "maildir": "maildir:~/Maildir"}

// TestSoakSideBySide24 is TestSideBySide, and the same in the other formats for the whole time, with Dovecot 2.4.
func TestSoakSideBySide24(t *testing.T) {
	root := root24(t)
	for format, location := range locations {
		t.Run(format, func(t *testing.T) {
			home := mailHome(t)
			d := startDovecot24(t, root, home, location)
			r := startRoost(t, rig.RoostOptions{Home: home, Location: location, Users: []string{storeUser}})
			l := work(t, soak(t), traffic.Config{Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}, {Name: "d", Addr: d.Addr, Clients: 8, KeepNames: format == "maildir"}}})
			judge(t, l, d, r, allowed(format)...)
		})
	}
}

// allowed is what judge takes in a format.
func allowed(format string) []*regexp.Regexp {
	if format == "mdbox" {
		return nil
	}
	return renamed
}

// TestSoakHandedOn hands a store from Dovecot 2.3 to roost to Dovecot 2.4 and back: each has it for itself for a time.
func TestSoakHandedOn(t *testing.T) {
	root := root24(t)
	for format := range locations {
		t.Run(format, func(t *testing.T) { handOn(t, root, format) })
	}
}

func handOn(t *testing.T, root, format string) {
	home, location := mailHome(t), locations[format]
	var l *traffic.Ledger
	for round, name := range []string{"2.3", "roost", "2.4", "roost", "2.3", "2.4"} {
		ok := t.Run(fmt.Sprintf("%d %s", round, name), func(t *testing.T) {
			var addr string
			switch name {
			case "2.3":
				d := startDovecot(t, rig.DovecotOptions{Home: home, Location: location})
				addr = d.Addr
				defer quiet(t, d, allowed(format)...)
			case "2.4":
				d := startDovecot24(t, root, home, location)
				addr = d.Addr
				defer quiet(t, d, allowed(format)...)
			default:
				addr = startRoost(t, rig.RoostOptions{Home: home, Location: location, Users: []string{storeUser}}).Addr
			}
			l = work(t, soak(t)/6, traffic.Config{Continue: l, Servers: []traffic.Server{{Name: name, Addr: addr, Clients: 8,
				KeepNames: name != "roost" && format == "maildir"}}})
		})
		if !ok {
			return
		}
	}
	d := startDovecot(t, rig.DovecotOptions{Home: home, Location: location})
	judge(t, l, d, startRoost(t, rig.RoostOptions{Home: home, Location: location, Users: []string{storeUser}}), allowed(format)...)
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
