//go:build soak

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func startDovecot24(t *testing.T, root string, o rig.DovecotOptions) *rig.Dovecot {
	t.Helper()
	o.Dir = tempDir(t)
	d, err := rig.StartDovecot24(root, o)
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
			d := startDovecot24(t, root, rig.DovecotOptions{Home: home, Location: location})
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

// TestSoakMaildirKilled is TestSideBySideKilled in a Maildir. In sdbox a message has its file before the index has it: who is killed in between, Dovecot
// too, leaves a file that the next Dovecot's rebuild takes for a message.
func TestSoakMaildirKilled(t *testing.T) {
	location := locations["maildir"]
	d := startDovecot(t, rig.DovecotOptions{Location: location})
	r := startRoost(t, rig.RoostOptions{Location: location, Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	stop := killStorage(t, r)
	l := work(t, soak(t), traffic.Config{Tolerant: true, Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}, {Name: "d", Addr: d.Addr, Clients: 8, KeepNames: true}}})
	t.Logf("killed %d times", stop())
	judge(t, l, d, r, renamed...)
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
				d := startDovecot24(t, root, rig.DovecotOptions{Home: home, Location: location})
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

// TestSoakAround24 compares what Dovecot 2.4 and roost say of access rights, annotations and the use of space, as each changes them.
func TestSoakAround24(t *testing.T) {
	home := mailHome(t)
	d := startDovecot24(t, root24(t), rig.DovecotOptions{Home: home, Extra: `
mail_plugins {
  acl = yes
  quota = yes
}
protocol imap {
  mail_plugins {
    imap_acl = yes
    imap_quota = yes
  }
  imap_metadata = yes
}
acl_driver = vfile
mail_attribute {
  dict file {
    path = %{home}/attributes
  }
}
quota "User quota" {
  quota_driver = count
  quota_storage_size = 1M
}`})
	r := startRoost(t, rig.RoostOptions{Home: home, Users: []string{storeUser}, Storage: `
options.mail_attribute_dict = "file:%h/attributes"
options.acl = "vfile"
options.quota = "count:User quota"
options.quota_rule = ["*:storage=1M"]`})
	theirs, err := rig.Login(d.Addr, storeUser)
	must(t, err)
	defer theirs.Close()
	ours, err := rig.Login(r.Addr, storeUser)
	must(t, err)
	defer ours.Close()
	for i, c := range []*rig.Client{theirs, ours, theirs, ours} {
		box, from := fmt.Sprintf("box%d", i), fmt.Sprintf("nr%d", i)
		for _, command := range []string{"CREATE " + box, "SETACL " + box + " jane lr", "SETACL " + box + " anna lrw", "SETACL box0 bob " + []string{"l", "lr", "lrw", "r"}[i],
			fmt.Sprintf("SETMETADATA %s (/private/comment %q /shared/comment %q)", box, from, "shared "+from), fmt.Sprintf("SETMETADATA box0 (/private/comment %q)", from),
			fmt.Sprintf("APPEND %s {%d+}\r\n%s", box, 90_000+i, strings.Repeat("x", 90_000+i)), "SELECT " + box, "STORE 1 +FLAGS (\\Deleted)", "EXPUNGE", "UNSELECT",
			fmt.Sprintf("APPEND box0 {%d+}\r\n%s", 100_000+i, strings.Repeat("x", 100_000+i))} {
			if _, err := c.Cmd("%s", command); err != nil {
				t.Fatalf("%.60s: %v", command, err)
			}
		}
		for _, question := range []string{"GETACL " + box, "GETACL box0", "MYRIGHTS " + box, "GETMETADATA " + box + " (/private/comment /shared/comment)", "GETMETADATA box0 /private/comment", `GETQUOTA "User quota"`} {
			want, err := theirs.Cmd("%s", question)
			must(t, err)
			got, err := ours.Cmd("%s", question)
			must(t, err)
			if diff := cmp.Diff(fmt.Sprintf("%s", want), fmt.Sprintf("%s", got)); diff != "" {
				t.Errorf("%d: %s: Dovecot 2.4 (-), roost (+):\n%s", i, question, diff)
			}
		}
	}
	large := fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", 1<<20, strings.Repeat("x", 1<<20))
	for name, c := range map[string]*rig.Client{"Dovecot": theirs, "roost": ours} {
		if _, err := c.Cmd("%s", large); err == nil || !strings.Contains(err.Error(), "OVERQUOTA") {
			t.Errorf("%s: APPEND beyond the quota: %v", name, err)
		}
	}
	quiet(t, d)
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
