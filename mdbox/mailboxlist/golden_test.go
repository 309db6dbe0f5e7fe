package mailboxlist_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

func TestGoldenTrees(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			s := mdboxtest.Golden(t, name)
			tree, err := mailboxlist.Walk(vfs.OS, filepath.Join(s.Root, "mailboxes"), mailboxlist.Codec{}, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			var want []mailboxlist.Mailbox
			for name, m := range s.Expected.Mailboxes {
				want = append(want, mailboxlist.Mailbox{Name: name, Dir: m.MUTF7, NoSelect: m.NoSelect})
			}
			slices.SortFunc(want, func(a, b mailboxlist.Mailbox) int { return strings.Compare(a.Name, b.Name) })
			if d := cmp.Diff(&mailboxlist.Tree{Mailboxes: want}, tree); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestGoldenSubscriptions(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			s := mdboxtest.Golden(t, name)
			subs, err := mailboxlist.ReadSubscriptions(vfs.OS, filepath.Join(s.Root, "subscriptions"), '/')
			if err != nil {
				t.Fatal(err)
			}
			names, invalid := subs.Decoded(mailboxlist.Codec{})
			slices.Sort(names)
			if d := cmp.Diff(s.Expected.Subscriptions, names); d != "" || len(invalid) > 0 {
				t.Errorf("invalid: %q, %s", invalid, d)
			}
		})
	}
}

func TestGoldenUIDValidity(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			s := mdboxtest.Golden(t, name)
			var want uint32
			for _, m := range s.Expected.Mailboxes {
				want = max(want, m.UIDValidity)
			}
			last, err := mailboxlist.LastUIDValidity(vfs.OS, s.Root)
			if err != nil || last < want {
				t.Errorf("last UIDVALIDITY %d, %v; a mailbox has %d", last, err, want)
			}
		})
	}
}

// The list index of a store is a cache of its tree; where it is up to date it must
// be the same tree, with the GUIDs of the mailboxes.
func TestGoldenListIndexes(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			s := mdboxtest.Golden(t, name)
			tree, err := mailboxlist.ReadListIndex(index.Options{Dir: s.Root}, mailboxlist.Codec{}, 0)
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for _, m := range tree.Mailboxes {
				want := s.Expected.Mailboxes[m.Name]
				if want == nil {
					t.Errorf("%s is not a mailbox", m.Name)
					continue
				}
				if m.Dir != "" && m.Dir != want.GUID {
					t.Errorf("%s has the GUID %s, want %s", m.Name, m.Dir, want.GUID)
				}
				found++
			}
			if found == 0 || len(tree.Damage) > 0 {
				t.Errorf("%d mailboxes, damage %q", found, tree.Damage)
			}
		})
	}
}
