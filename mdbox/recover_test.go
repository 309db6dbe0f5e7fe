package mdbox_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// TestReferencesAreCountedWhileMailboxesAreRenamed: a mailbox that is renamed, which takes no lock of the map, while references are counted
// again is counted all the same: what is counted too low is lost with the next expunge.
func TestReferencesAreCountedWhileMailboxesAreRenamed(t *testing.T) {
	for name, rename := range map[string]func(t *testing.T, mailboxes string){
		"to the front": func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, "B"), filepath.Join(dir, "0")); err != nil {
				t.Error(err)
			}
		},
		"into each other's places": func(t *testing.T, dir string) {
			for _, names := range [][2]string{{"A", "T"}, {"B", "A"}, {"T", "B"}} {
				if err := os.Rename(filepath.Join(dir, names[0]), filepath.Join(dir, names[1])); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dovecot := mdboxtest.MakeStore(t, "--content", "fresh")
			dovecot.IMAP(t, "CREATE A", "CREATE B", "CREATE C")
			hooked := &mdboxtest.Hooked{FS: vfs.OS, Hook: func(string) error { return nil }}
			s := mdbox.New(testLocation(t, dovecot.Root), mdbox.Options{FS: hooked, Write: &mdbox.Writing{Cache: cache.DefaultPolicy()}, Report: func(err error) { t.Error(err) }})
			t.Cleanup(func() { s.Close() })
			for _, box := range []string{"A", "B", "B", "C"} {
				if _, err := openBox(t, s, box).Append(t.Context(), []mdbox.NewMessage{newMail(box, 100, 0)}); err != nil {
					t.Fatal(err)
				}
			}
			moved := false
			hooked.Hook = func(name string) error {
				if !moved && strings.Contains(name, "/mailboxes/B/") {
					moved = true
					rename(t, filepath.Join(dovecot.Root, "mailboxes"))
				}
				return nil
			}
			if err := mdbox.RecountReferences(s); err != nil || !moved {
				t.Fatalf("moved %t, %v", moved, err)
			}
			for uid, want := range mdbox.CountAllReferences(t, s) {
				if e, found, err := mdbox.LookupMap(t, s, uid); err != nil || !found || int(e.Refcount) != want {
					t.Errorf("map UID %d has %d references, and the mailboxes %d; %t, %v", uid, e.Refcount, want, found, err)
				}
			}
		})
	}
}

// TestReferencesAreCountedBesideAStaleName: a name in the tree whose mailbox is never found does not keep references from being counted.
func TestReferencesAreCountedBesideAStaleName(t *testing.T) {
	dovecot := mdboxtest.MakeStore(t, "--content", "fresh")
	dovecot.IMAP(t, "CREATE A", "CREATE B")
	hooked := &mdboxtest.Hooked{FS: vfs.OS, Hook: func(string) error { return nil }}
	s := mdbox.New(testLocation(t, dovecot.Root), mdbox.Options{FS: hooked, Write: &mdbox.Writing{Cache: cache.DefaultPolicy()}, Report: func(err error) { t.Error(err) }})
	t.Cleanup(func() { s.Close() })
	hooked.Hook = func(name string) error {
		if strings.HasPrefix(name, filepath.Join(dovecot.Root, "mailboxes", "B", "dbox-Mails")) {
			return fs.ErrNotExist
		}
		return nil
	}
	if _, err := s.OpenMailbox("B"); !errors.Is(err, mdbox.ErrNotFound) || !names(t, s)["B"] {
		t.Fatalf("%v, mailboxes %v", err, names(t, s))
	}
	if err := mdbox.RecountReferences(s); err != nil {
		t.Error(err)
	}
}
