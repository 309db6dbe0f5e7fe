package check_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// renamer renames mailboxes as a server does: when TREE is free.
type renamer struct {
	t    *testing.T
	root string
	busy bool
	done int
}

// rename renames several mailboxes, one after the other, and reports whether it could.
func (r *renamer) rename(names ...[2]string) bool {
	if _, err := os.Stat(filepath.Join(r.root, "mailboxes.lock")); r.busy || err == nil {
		return false
	}
	r.busy = true
	defer func() { r.busy = false }()
	for _, n := range names {
		if err := os.Rename(filepath.Join(r.root, "mailboxes", n[0]), filepath.Join(r.root, "mailboxes", n[1])); err != nil {
			r.t.Error(err)
			return false
		}
	}
	r.done++
	return true
}

// renamings are ways in which a mailbox is missed, or met twice, by who looks at one after the other. Each gets the renamer and the names of
// what is about to be looked at.
var renamings = map[string]func() func(r *renamer, name string){
	"to the front": func() func(r *renamer, name string) {
		done := false
		return func(r *renamer, name string) {
			if !done && strings.Contains(name, "/mailboxes/B/") {
				done = r.rename([2]string{"B", "0"})
			}
		}
	},
	"to the end": func() func(r *renamer, name string) {
		done := false
		return func(r *renamer, name string) {
			if !done && strings.Contains(name, "/mailboxes/C/") {
				done = r.rename([2]string{"B", "Z"})
			}
		}
	},
	"into each other's places": func() func(r *renamer, name string) {
		done := false
		return func(r *renamer, name string) {
			if !done && strings.Contains(name, "/mailboxes/B/") {
				done = r.rename([2]string{"A", "T"}, [2]string{"B", "A"}, [2]string{"T", "B"})
			}
		}
	},
	"away and back, all the time": func() func(r *renamer, name string) {
		away := false
		return func(r *renamer, name string) {
			if !away && strings.Contains(name, "/mailboxes/B/") {
				away = r.rename([2]string{"B", "0"})
			} else if away && strings.Contains(name, "/mailboxes/C/") {
				away = !r.rename([2]string{"0", "B"})
			}
		}
	},
}

// storeForRenames returns a store with messages in A, B and C, one of them in B twice, and one in each.
func storeForRenames(t *testing.T) *mdboxtest.Store {
	t.Helper()
	s := mdboxtest.MakeStore(t, "--content", "small")
	s.IMAP(t, "CREATE A", "CREATE B", "CREATE C", "SELECT INBOX", "COPY 1 A", "COPY 2:3 B", "COPY 3 B", "COPY 4 C", "COPY 5 A", "COPY 5 B", "COPY 5 C",
		"STORE 2:3 +FLAGS (\\Deleted)", "EXPUNGE")
	return s
}

func openHooked(t *testing.T, s *mdboxtest.Store, fsys vfs.FS) *mdbox.Store {
	t.Helper()
	tmpl, err := mdbox.ParseLocation("mdbox:" + s.Root)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tmpl.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		t.Fatal(err)
	}
	m := mdbox.New(l, mdbox.Options{FS: fsys, Write: &mdbox.Writing{Cache: cache.DefaultPolicy()}, Report: func(err error) { t.Error(err) }})
	t.Cleanup(func() { m.Close() })
	return m
}

// damageMailFile damages the header of a mail file.
func damageMailFile(t *testing.T, s *mdboxtest.Store) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Root, "storage", "m.*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	file := files[0]
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff // the version in its header
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyWhileMailboxesAreRenamed: a mailbox that is renamed while a store is verified is no damage.
func TestVerifyWhileMailboxesAreRenamed(t *testing.T) {
	for name, renaming := range renamings {
		for _, step := range []string{"from the start", "when references are counted"} {
			t.Run(name+"/"+step, func(t *testing.T) {
				s := storeForRenames(t)
				r, change := &renamer{t: t, root: s.Root}, renaming()
				counting := step == "from the start"
				seen := map[string]bool{}
				hooked := &mdboxtest.Hooked{FS: vfs.OS, Hook: func(name string) error {
					seen[name] = true
					// The index of C is the last one to be opened.
					counting = counting || strings.Contains(name, "mdbox/storage/dovecot.map.index.log") && seen[filepath.Join(s.Root, "mailboxes/C/dbox-Mails/dovecot.index.log")]
					if counting {
						change(r, name)
					}
					return nil
				}}
				report, err := check.Verify(context.Background(), openHooked(t, s, hooked), check.Options{FS: hooked})
				if err != nil || r.done == 0 {
					t.Fatalf("%v; renamed %d times", err, r.done)
				}
				unsteady := strings.Contains(name, "all the time")
				for _, f := range report.Findings {
					if f.Kind == check.Damage || !unsteady {
						t.Error(f)
					}
				}
				if unsteady != (len(report.Findings) > 0) {
					t.Errorf("%d findings", len(report.Findings))
				}
			})
		}
	}
}

// TestRebuildWhileMailboxesAreRenamed: a mailbox that is renamed beside a rebuild keeps its references: what is counted too low is lost with the next
// expunge, and what is not counted at all is put back although nobody has lost it.
func TestRebuildWhileMailboxesAreRenamed(t *testing.T) {
	for name, renaming := range renamings {
		t.Run(name, func(t *testing.T) {
			s := storeForRenames(t)
			before, _ := read(t, openToWrite(t, s))
			damageMailFile(t, s)
			r, change := &renamer{t: t, root: s.Root}, renaming()
			looked := 0
			hooked := &mdboxtest.Hooked{FS: vfs.OS, Hook: func(name string) error {
				if strings.HasSuffix(name, "/dovecot.map.index.backup") {
					looked++
				}
				if looked > 1 { // that it is verified comes first
					change(r, name)
				}
				return nil
			}}
			repairs, err := check.Rebuild(context.Background(), openHooked(t, s, hooked), check.RebuildOptions{FS: hooked})
			if err != nil || !repairs.Changed() {
				t.Fatalf("%v, changed %t", err, repairs.Changed())
			}
			if looked < 2 {
				t.Fatalf("the backup of the map was looked at %d times", looked)
			}
			if repairs.Restored > 0 || repairs.LostMessages > 0 {
				t.Errorf("restored %d, lost %d: %v", repairs.Restored, repairs.LostMessages, repairs.Done)
			}
			if found := verify(t, s); len(found.Findings) > 0 {
				t.Errorf("afterwards: %v\ndid %v", found.Findings, repairs.Done)
			}
			after, _ := read(t, openToWrite(t, s))
			if was, is := counts(before), counts(after); was != is {
				t.Errorf("messages %s, were %s", is, was)
			}
		})
	}
}

// counts tells how many mailboxes have how many messages.
func counts(c contents) string {
	n := map[int]int{}
	for _, box := range c {
		n[len(box)]++
	}
	return fmt.Sprint(n)
}

// TestRebuildBesideNameLeftOut: what a directory refers to that is no mailbox, since its name is no storage name, is there when it is one again.
func TestRebuildBesideNameLeftOut(t *testing.T) {
	s := storeForRenames(t)
	damageMailFile(t, s)
	dir, aside := filepath.Join(s.Root, "mailboxes", "B"), filepath.Join(s.Root, "mailboxes", "B&")
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	if _, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, dir); err != nil {
		t.Fatal(err)
	}
	for _, f := range verify(t, s).Findings {
		t.Error(f)
	}
	if box, _ := read(t, openToWrite(t, s)); len(box["B"]) != 4 {
		t.Errorf("B has %d messages", len(box["B"]))
	}
}

// TestRebuildOfLostMapBesideNameLeftOut: without a map nobody knows what such a directory refers to. A message that was expunged elsewhere is not
// given up, and the directory gets no other messages when it is a mailbox again.
func TestRebuildOfLostMapBesideNameLeftOut(t *testing.T) {
	t.Run("whole", func(t *testing.T) { rebuildOfLostMapBesideNameLeftOut(t, false) })
	t.Run("the last of it", func(t *testing.T) { rebuildOfLostMapBesideNameLeftOut(t, true) })
}

func rebuildOfLostMapBesideNameLeftOut(t *testing.T, last bool) {
	s := storeForRenames(t)
	snapshot := filepath.Join(s.Root, "storage", "dovecot.map.index")
	old, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	var saved []string
	for n := range 8 { // those in B have the highest map UIDs, but not the last places
		text := fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", n, strings.Repeat("x", n))
		for _, name := range []string{"A", "B"} {
			saved = append(saved, fmt.Sprintf("APPEND %s {%d+}\r\n%s", name, len(text), text))
		}
	}
	s.IMAP(t, append(saved, "SELECT A", "STORE 3:* +FLAGS (\\Deleted)", "EXPUNGE")...)
	before, _ := read(t, openToWrite(t, s))
	lost, err := filepath.Glob(filepath.Join(s.Root, "storage", "dovecot.map.index*"))
	if err != nil || len(lost) == 0 {
		t.Fatal(lost, err)
	}
	for _, name := range lost {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if last {
		if err := os.WriteFile(snapshot, old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(s.Root, "mailboxes", "B"), filepath.Join(s.Root, "mailboxes", "B&")); err != nil {
		t.Fatal(err)
	}
	if _, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	after, _ := read(t, openToWrite(t, s))
	texts := map[string]bool{}
	for _, box := range after {
		for _, m := range box {
			texts[m.hash] = true
		}
	}
	for uid, m := range before["B"] {
		if !texts[m.hash] {
			t.Errorf("UID %d of B is in no mailbox", uid)
		}
	}

	// What comes back has map UIDs that the new map gave to others.
	if err := os.Rename(filepath.Join(s.Root, "mailboxes", "B&"), filepath.Join(s.Root, "mailboxes", "D")); err != nil {
		t.Fatal(err)
	}
	foreign := false // Dovecot shows them the wrong texts otherwise: it does not compare GUIDs
	for _, f := range verify(t, s).Findings {
		foreign = foreign || strings.Contains(f.String(), "belongs to a map with UIDVALIDITY") && f.Mailbox == "D"
	}
	if !foreign {
		t.Error("D belongs to the new map")
	}
	if _, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, f := range verify(t, s).Findings {
		t.Error(f)
	}
	after, _ = read(t, openToWrite(t, s))
	for uid, m := range before["B"] {
		if after["D"][uid].hash != m.hash {
			t.Errorf("UID %d of D has another text", uid)
		}
	}
}
