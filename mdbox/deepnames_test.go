package mdbox_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox"
)

// TestDeepNames: Dovecot makes mailboxes of any number of levels. They are listed and opened here, and so are ours there.
func TestDeepNames(t *testing.T) {
	for _, location := range []string{"mdbox:~/mdbox", "mdbox:~/mdbox:LAYOUT=index", "sdbox:~/mdbox"} {
		t.Run(location, func(t *testing.T) {
			d := newDovecotStore(t, location)
			theirs, ours := "theirs"+strings.Repeat("/x", 30), "ours"+strings.Repeat("/y", 40)
			deepest := "deepest" + strings.Repeat("/z", 1500)
			d.Doveadm(t, "mailbox", "create", theirs, deepest)
			store := d.open(t)
			if err := store.CreateMailbox(t.Context(), ours); err != nil {
				t.Fatal(err)
			}
			list, damage, err := store.Mailboxes()
			if err != nil || damage != nil {
				t.Fatalf("%q, %v", damage, err)
			}
			var names []string
			for _, m := range list {
				if !m.NoSelect {
					names = append(names, m.Name)
				}
			}
			for _, name := range []string{theirs, ours, deepest} {
				if !slices.Contains(names, name) {
					t.Errorf("%.20s is not listed", name)
				}
				if _, err := store.OpenMailbox(name); err != nil {
					t.Fatal(err)
				}
			}
			if err := store.RenameMailbox(t.Context(), deepest, ours+"/renamed"); err != nil {
				t.Fatal(err)
			}
			if err := store.DeleteMailbox(t.Context(), theirs); err != nil {
				t.Fatal(err)
			}
			listed := strings.Fields(d.Doveadm(t, "mailbox", "list"))
			for name, want := range map[string]bool{ours: true, ours + "/renamed": true, theirs: false, deepest: false} {
				if slices.Contains(listed, name) != want {
					t.Errorf("Dovecot lists %.20s…: %v", name, !want)
				}
			}
		})
	}
}

// TestNamesLongerThanPaths: nothing is made of a mailbox whose files could not be named.
func TestNamesLongerThanPaths(t *testing.T) {
	l := resolve(t, "mdbox:~/mdbox")
	s := mdbox.New(l, mdbox.Options{Write: &mdbox.Writing{}})
	defer s.Close()
	mustChange(t, s, change{"CREATE", "a", ""})
	long := "long" + strings.Repeat("/x", (unix.PathMax-len(l.Root)-60)/2) // its directory can be named
	if err := s.CreateMailbox(t.Context(), long); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("CREATE: %v", err)
	}
	if err := s.RenameMailbox(t.Context(), "a", long); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("RENAME: %v", err)
	}
	if diff := cmp.Diff(map[string]bool{"a": true}, names(t, s)); diff != "" {
		t.Error(diff)
	}
}
