package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/cmd/internal/traffic"
)

// soak is how long servers work side by side: ROOST_SOAK, such as "10m", else a minute.
func soak(t *testing.T) time.Duration {
	t.Helper()
	s := os.Getenv("ROOST_SOAK")
	if s == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(s)
	must(t, err)
	return d
}

// TestSideBySide lets 8 clients of roost and 8 of Dovecot work on the same mailboxes of one user. Afterwards nothing
// that was acknowledged is missing, both servers show the same, a rebuild by Dovecot finds nothing to repair,
// and Dovecot has never complained.
func TestSideBySide(t *testing.T) {
	d := startDovecot(t, rig.DovecotOptions{})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	l := work(t, soak(t), traffic.Config{Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}, {Name: "d", Addr: d.Addr, Clients: 8}}})
	judge(t, l, d, r)
}

// TestSideBySideKilled is the same while roost's storage plugin is killed every second.
func TestSideBySideKilled(t *testing.T) {
	d := startDovecot(t, rig.DovecotOptions{})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	stop := killStorage(t, r)
	l := work(t, soak(t), traffic.Config{Tolerant: true, Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}, {Name: "d", Addr: d.Addr, Clients: 8}}})
	t.Logf("killed %d times", stop())
	judge(t, l, d, r)
}

// killStorage kills the storage plugin every second, until stop is called.
func killStorage(t *testing.T, r *rig.Roost) (stop func() int) {
	t.Helper()
	return every(t, func() {
		if pid, err := r.PluginPID("storage/" + r.Storage); err == nil {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}

// every calls f once a second until stop is called, which returns how often it was.
func every(t *testing.T, f func()) (stop func() int) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				f()
			case <-done:
				ended <- n
				return
			}
		}
	}()
	return func() int { close(done); return <-ended }
}

// TestSideBySideCoreKilled kills roost as a whole in the midst of the work, and starts it again.
func TestSideBySideCoreKilled(t *testing.T) {
	d := startDovecot(t, rig.DovecotOptions{})
	o := rig.RoostOptions{Binary: roostBinary, Dir: tempDir(t), Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}}
	first, err := rig.StartRoost(o)
	must(t, err)
	kill := time.AfterFunc(soak(t)/6, first.Kill)
	defer kill.Stop()
	l := work(t, soak(t)/3, traffic.Config{Tolerant: true, Servers: []traffic.Server{{Name: "r", Addr: first.Addr, Clients: 8}, {Name: "d", Addr: d.Addr, Clients: 8}}})
	o.Dir = tempDir(t)
	judge(t, l, d, startRoost(t, o))
}

// work lets clients work for a time.
func work(t *testing.T, d time.Duration, cfg traffic.Config) *traffic.Ledger {
	t.Helper()
	cfg.User, cfg.Seed = storeUser, seed()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if name := os.Getenv("ROOST_TRACE"); name != "" { // for who wants to see what went wrong
		f, err := os.Create(name) // each line is one write
		must(t, err)
		defer f.Close()
		cfg.Trace = f
	}
	l, err := traffic.Run(ctx, cfg)
	must(t, err)
	for name, n := range l.Done {
		t.Logf("%6d %s", n, name)
	}
	for what, n := range l.Refused {
		t.Logf("%6d refused: %s", n, what)
	}
	return l
}

var complaints = regexp.MustCompile(`(?i)corrupted|panic|error: index|fsck|inconsistency|rebuilding|unexpected`)

// judge looks at the store from all sides. Problems of clients and lines of Dovecot's log that match one of harmless are none.
func judge(t *testing.T, l *traffic.Ledger, d *rig.Dovecot, r *rig.Roost, harmless ...*regexp.Regexp) {
	t.Helper()
	byDovecot, err := traffic.List(d.Addr, storeUser)
	must(t, err)
	for _, p := range l.Problems(byDovecot) {
		if !anyMatches(harmless, p) {
			t.Error(p)
		}
	}
	byRoost, err := traffic.List(r.Addr, storeUser)
	must(t, err)
	for _, p := range traffic.Compare(byDovecot, byRoost) {
		t.Errorf("Dovecot and roost show different things: %s", p)
	}
	quiet(t, d, harmless...)
	if r.Storage != "maildir" { // of which there is nothing that roost mail verify could compare
		if out, err := exec.Command(roostBinary, "mail", "verify", "--config", r.Config, "--user", storeUser).CombinedOutput(); err != nil {
			t.Errorf("roost mail verify: %v\n%s", err, out)
		}
	}
	if dir := os.Getenv("ROOST_KEEP"); dir != "" && t.Failed() { // for who wants to see what went wrong
		must(t, rig.CopyTree(filepath.Join(filepath.Dir(d.Conf), "mail"), dir))
	}
	guids := mailGUIDs(t, d)
	_, err = d.Doveadm("force-resync", "-u", storeUser, "*")
	must(t, err)
	after, err := traffic.List(d.Addr, storeUser)
	must(t, err)
	for _, p := range traffic.Compare(byDovecot.WithoutModSeqs(), after.WithoutModSeqs()) {
		t.Errorf("a rebuild changes something: %s", p)
	}
	if now := mailGUIDs(t, d); now != guids {
		t.Errorf("a rebuild changes GUIDs:\n%s\n%s", guids, now)
	}
	messages := 0
	for _, box := range byDovecot {
		messages += len(box.Messages)
	}
	t.Logf("%d mailboxes with %d messages; %d acknowledged messages that nobody expunged are there", len(byDovecot), messages, l.Kept())
}

// sessionID is 16 random characters, which may be any word.
var sessionID = regexp.MustCompile(`session=<[^>]*>|<[A-Za-z0-9+/]{16}>`)

// quiet fails the test if Dovecot's log has a complaint that matches none of harmless.
func quiet(t *testing.T, d *rig.Dovecot, harmless ...*regexp.Regexp) {
	t.Helper()
	log, err := os.ReadFile(d.Log)
	must(t, err)
	for line := range strings.Lines(dropRenameRaces(string(log))) {
		if complaints.MatchString(sessionID.ReplaceAllString(line, "")) && !anyMatches(harmless, line) {
			t.Errorf("Dovecot complains: %s", line)
		}
	}
}

// renameRace is what Dovecot 2.4 says when a mailbox is renamed after it has opened the log and before it opens dovecot.index: it says so too
// of a directory that mv(1) has moved in between, with nobody else at work (strace -e inject=openat:delay_enter shows it each time). It looks
// for the index in memory only, and changes nothing.
var renameRace = regexp.MustCompile(`(?m)^.* (\S+/dovecot\.index): index not found via open\(\): Lost log for seq=1 offset=0: Missing middle file seq=1 .* File doesn't exist .*\n.*: fscking index file (\S+/dovecot\.index)\n`)

// dropRenameRaces takes these pairs of lines out of a log.
func dropRenameRaces(log string) string {
	return renameRace.ReplaceAllStringFunc(log, func(pair string) string {
		if m := renameRace.FindStringSubmatch(pair); m[1] != m[2] {
			return pair
		}
		return ""
	})
}

func anyMatches(patterns []*regexp.Regexp, line string) bool {
	return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(line) })
}

// mailGUIDs returns mailbox, UID, GUID and reference count of every message.
func mailGUIDs(t *testing.T, d *rig.Dovecot) string {
	t.Helper()
	out, err := d.Doveadm("-f", "tab", "fetch", "-u", storeUser, "mailbox-guid uid guid refcount", "ALL")
	must(t, err)
	return fmt.Sprint(out)
}
