package check_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// statFile makes an *os.File one that can be scanned.
type statFile struct{ *os.File }

func (f statFile) Stat() (vfs.Info, error) { return vfs.OS.Stat(f.Name()) }

// storageName is the directory of a mailbox.
func storageName(name string) string {
	s, err := mailboxlist.Codec{Dir: "dbox-Mails"}.Storage(name)
	if err != nil {
		return ""
	}
	return s
}

// usedStore lets Dovecot make a store in which much has happened: flags and keywords were changed, messages copied, moved and expunged, files purged and
// logs rotated.
func usedStore(t *testing.T) *mdboxtest.Store {
	t.Helper()
	s := mdboxtest.MakeStore(t, "--content", "small")
	conf, err := os.ReadFile(s.Conf)
	if err != nil {
		t.Fatal(err)
	}
	// Logs of these sizes rotate while the store is used.
	more := "\nmail_index_log_rotate_min_size = 1k\nmail_index_log_rotate_max_size = 3k\nmail_index_log_rotate_min_age = 0\nmail_index_rewrite_min_log_bytes = 500\nmail_index_rewrite_max_log_bytes = 2k\n"
	if err := os.WriteFile(s.Conf, append(conf, more...), 0o644); err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		commands := []string{"SELECT INBOX"}
		for i := range 8 {
			uid := 1 + (round*3+i)%20
			commands = append(commands,
				fmt.Sprintf(`UID STORE %d:%d +FLAGS (\Flagged $Round%d)`, uid, uid+2, round),
				fmt.Sprintf(`UID STORE %d -FLAGS (\Seen)`, uid+1),
				fmt.Sprintf(`UID STORE %d +FLAGS (\Answered)`, uid+3))
		}
		commands = append(commands, `COPY 1:2 Sent`, `COPY 3 Archive`, `SELECT Sent`, fmt.Sprintf(`STORE 1 +FLAGS ($Sent%d)`, round),
			`SELECT Archive`, fmt.Sprintf(`STORE 1 +FLAGS (\Seen $Kept%d)`, round), `STORE 2 +FLAGS (\Deleted)`, `EXPUNGE`)
		s.IMAP(t, commands...)
	}
	s.Doveadm(t, "purge")
	return s
}

// keep copies a store aside; the result brings it back.
func keep(t *testing.T, root string) (restore func()) {
	t.Helper()
	aside := filepath.Join(t.TempDir(), "aside")
	if out, err := exec.Command("cp", "-a", root, aside).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return func() {
		t.Helper()
		if err := os.RemoveAll(root); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-a", aside, root).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// give gives all files below root to the owner of root.
func give(t *testing.T, root string) {
	t.Helper()
	st, err := os.Stat(root)
	if err != nil {
		t.Fatal(err)
	}
	sys := st.Sys().(*syscall.Stat_t)
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || os.Getuid() != 0 {
			return err
		}
		return os.Lchown(path, int(sys.Uid), int(sys.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// row is a line of the table.
type lossRow struct{ ours, theirs losses }

// TestRebuildBesideDovecot damages each kind of file in many ways, and lets Rebuild repair it, and doveadm force-resync repair the same. Rebuild loses
// nothing that is still in any file. Dovecot serves what it leaves, without a complaint.
func TestRebuildBesideDovecot(t *testing.T) {
	s := usedStore(t)
	restore := keep(t, s.Root)
	before, states := read(t, openToWrite(t, s))
	total := 0
	for _, box := range before {
		total += len(box)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%d messages in %d mailboxes\n%-11s %-9s | %-38s | %s\n", total, len(before), "file", "damage", "roost mail rebuild", "doveadm force-resync")
	const times = 2
	for _, kind := range kinds {
		for _, d := range damages {
			var sum lossRow
			for n := range times {
				restore()
				files := filesOf(t, s.Root, kind)
				if len(files) == 0 {
					t.Fatalf("the store has no file of kind %s", kind)
				}
				seed := fmt.Sprint("beside", kind, d.name, n)
				r := seedOf(seed)
				file := files[r.IntN(len(files))]
				path := filepath.Join(s.Root, file)
				pristine, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := d.do(r, path); err != nil {
					t.Fatal(err)
				}
				excused := excuses(t, path, kind, boxOf(file), pristine)
				damaged := keepFile(t, path)
				what := fmt.Sprintf("%s, %s %d", file, d.name, n)
				after := rebuiltStore(t, s, states, what)
				sum.ours.add(compare(before, after))
				if l, which := excused.unexcused(before, after); l != (losses{}) {
					t.Errorf("%s: lost without need: %v, %d texts: %v", what, l, l.damaged, which)
				}
				serve(t, s, what)
				restore()
				damaged()
				for range 2 { // some repairs need a second try, as an administrator would make
					_, _ = doveadm(s, "force-resync", "*")
					_, _ = doveadm(s, "fetch", "uid size.virtual", "mailbox", "*", "all")
				}
				give(t, s.Root)
				theirs, _ := read(t, openToWrite(t, s))
				sum.theirs.add(compare(before, theirs))
			}
			fmt.Fprintf(&table, "%-11s %-9s | %-38s | %s\n", kind, d.name, sum.ours, sum.theirs)
		}
	}
	t.Logf("what is lost in %d damages of each kind:\n%s", times, table.String())
}

func (l *losses) add(o losses) {
	l.messages += o.messages
	l.uids += o.uids
	l.flags += o.flags
	l.damaged += o.damaged
}

// keepFile remembers a file as it is now, or that it is gone; the result makes it so again.
func keepFile(t *testing.T, path string) (again func()) {
	t.Helper()
	b, err := os.ReadFile(path)
	return func() {
		t.Helper()
		if err != nil {
			os.Remove(path)
			return
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// rebuiltStore rebuilds the store and returns what is in it.
func rebuiltStore(t *testing.T, s *mdboxtest.Store, states map[string]boxState, what string) contents {
	t.Helper()
	m := openToWrite(t, s)
	repairs, err := check.Rebuild(context.Background(), m, check.RebuildOptions{})
	if err != nil {
		t.Errorf("%s: rebuild: %v", what, err)
	}
	m.Close()
	give(t, s.Root)
	report, err := check.Verify(context.Background(), openToWrite(t, s), check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Clean() {
		t.Errorf("%s: not clean after the rebuild: %v\nfound %v\ndid %v", what, report.Findings, repairs.Found.Findings, repairs.Done)
	}
	after, now := read(t, openToWrite(t, s))
	for name, was := range states {
		is := now[name]
		if !repairs.Changed() {
			continue // a log that ends earlier, with nothing that shows it, is one that was never longer
		}
		if is.uidValidity < was.uidValidity || is.uidValidity == was.uidValidity && (is.uidNext < was.uidNext || is.modSeq < was.modSeq) {
			t.Errorf("%s: mailbox %s: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ %v, were %v", what, name, is, was)
		}
	}
	return after
}

// serve lets Dovecot read everything. It must not find anything wrong.
func serve(t *testing.T, s *mdboxtest.Store, what string) {
	t.Helper()
	out, err := doveadm(s, "fetch", "uid flags hdr.subject body size.virtual", "mailbox", "*", "all")
	if err != nil || strings.Contains(out, "Error:") || strings.Contains(out, "Warning:") || strings.Contains(out, "Panic") {
		t.Errorf("%s: doveadm fetch: %v\n%s", what, err, complaints(out))
	}
	log := filepath.Join(filepath.Dir(s.Conf), "dovecot.log")
	if b, err := os.ReadFile(log); err == nil {
		for _, word := range []string{"Corrupted", "Panic", "Error: ", "fscked", "Inconsistency"} {
			if strings.Contains(string(b), word) {
				t.Errorf("%s: Dovecot's log:\n%s", what, complaints(string(b)))
			}
		}
	}
	os.Truncate(log, 0)
}

func complaints(out string) string {
	var lines []string
	for _, l := range strings.Split(out, "\n") {
		if strings.Contains(l, "Error") || strings.Contains(l, "Warning") || strings.Contains(l, "Panic") || strings.Contains(l, "orrupt") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines[:min(len(lines), 8)], "\n")
}

// doveadm runs a command, whatever comes of it.
func doveadm(s *mdboxtest.Store, args ...string) (string, error) {
	cmd := exec.Command("doveadm", append([]string{"-c", s.Conf}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.Home, "USER="+s.Expected.User)
	out, err := cmd.CombinedOutput()
	log := filepath.Join(filepath.Dir(s.Conf), "dovecot.log")
	if args[0] == "force-resync" {
		os.Truncate(log, 0)
	}
	return string(out), err
}
