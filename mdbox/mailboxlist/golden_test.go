package mailboxlist_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

func TestGoldenTrees(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			s := mdboxtest.Golden(t, name)
			tree, err := mailboxlist.Walk(vfs.OS, filepath.Join(s.Root, "mailboxes"), mailboxlist.Codec{}, 0)
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
			subs, err := mailboxlist.ReadSubscriptions(vfs.OS, filepath.Join(s.Root, "subscriptions"))
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
