package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestMaildirDeliveries: what any program does in a Maildir, as an MDA that knows nothing of indexes, shows at the next NOOP, also of a session that sleeps, and in IDLE.
func TestMaildirDeliveries(t *testing.T) {
	home := mailHome(t)
	r := startRoost(t, rig.RoostOptions{Location: "maildir:~/Maildir", Home: home, Users: []string{storeUser}, Extra: "[limits]\nmailbox_warm = \"0s\""})
	asks, waits := login(t, r.Addr, storeUser), login(t, r.Addr, storeUser)
	cmd(t, asks, "SELECT INBOX")
	cmd(t, waits, "SELECT INBOX")
	tag, err := waits.Start("IDLE")
	must(t, err)
	next := func(pattern string) {
		t.Helper()
		for {
			line, err := waits.ReadResponse()
			must(t, err)
			if regexp.MustCompile(pattern).Match(line) {
				return
			}
			if bytes.HasPrefix(line, []byte(tag)) || bytes.HasPrefix(line, []byte("* BYE")) {
				t.Fatalf("got %q while waiting for %s", line, pattern)
			}
		}
	}
	next(`^\+ `)
	dir := filepath.Join(filepath.Dir(home), storeUser, "Maildir")
	file := func(sub, name string) string { return filepath.Join(dir, sub, name) }
	moved := func(from, to string) { t.Helper(); must(t, os.Rename(from, to)) }
	deliver := func(name string) {
		t.Helper()
		must(t, os.WriteFile(file("tmp", name), []byte("Subject: "+name+"\n\nx\n"), 0o600))
		must(t, os.Chown(file("tmp", name), rig.MailUID, rig.MailUID))
		moved(file("tmp", name), file("new", name))
	}
	deliver("1000000001.M1P1.host")
	wantMatch(t, joined(cmd(t, asks, "NOOP")), `\* 1 EXISTS`)
	next(`^\* 1 EXISTS`)
	deliver("1000000002.M1P1.host")
	wantMatch(t, joined(cmd(t, asks, "NOOP")), `\* 2 EXISTS`)
	next(`^\* 2 EXISTS`)
	// Who has seen it all moves them to cur, and other clients of the directory change flags and remove files there.
	names, err := filepath.Glob(file("cur", "1000000001.*"))
	if must(t, err); len(names) != 1 {
		t.Fatalf("cur/ has %q", names)
	}
	seen := file("cur", "1000000001.M1P1.host:2,S")
	moved(names[0], seen)
	wantMatch(t, joined(cmd(t, asks, "NOOP")), `\* 1 FETCH \(.*\\Seen`)
	next(`^\* 1 FETCH \(.*\\Seen`)
	must(t, os.Remove(seen))
	wantMatch(t, joined(cmd(t, asks, "NOOP")), `\* 1 EXPUNGE`)
	next(`^\* 1 EXPUNGE`)
	must(t, waits.Send([]byte("DONE\r\n")))
	_, final, err := waits.Until(tag)
	must(t, err)
	wantMatch(t, string(final), `^OK`)
}
