package mailboxlist

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox/vfs"
)

// tree makes directories below a new one and returns it.
func tree(t *testing.T, dirs ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Join(root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestWalk(t *testing.T) {
	root := tree(t, "INBOX/dbox-Mails", "INBOX/child/dbox-Mails", "A/B/dbox-Mails", "A+/dbox-Mails", "Empty dir", "&ZeVnLIqe-/dbox-Mails")
	if err := os.WriteFile(filepath.Join(root, "a file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Walk(vfs.OS, root, Codec{}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Tree{Mailboxes: []Mailbox{
		{Name: "A", Dir: "A", NoSelect: true},
		{Name: "A+", Dir: "A+"},
		{Name: "A/B", Dir: "A/B"},
		{Name: "Empty dir", Dir: "Empty dir", NoSelect: true},
		{Name: "INBOX", Dir: "INBOX"},
		{Name: "INBOX/child", Dir: "INBOX/child"},
		{Name: "日本語", Dir: "&ZeVnLIqe-"},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWalkOfMissingDirectoryIsEmpty(t *testing.T) {
	got, err := Walk(vfs.OS, filepath.Join(t.TempDir(), "mailboxes"), Codec{}, 0, nil)
	if err != nil || len(got.Mailboxes) != 0 || len(got.Damage) != 0 {
		t.Errorf("Walk = %+v, %v", got, err)
	}
}

func TestWalkNotesWhatItLeavesOut(t *testing.T) {
	root := tree(t, "good/dbox-Mails", "bad&name/dbox-Mails", "~home/dbox-Mails", "inbox/dbox-Mails", "caf\xc3\xa9/dbox-Mails")
	if err := os.Symlink("..", filepath.Join(root, "good", "loop")); err != nil {
		t.Fatal(err)
	}
	got, err := Walk(vfs.OS, root, Codec{}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Mailbox{{Name: "good", Dir: "good"}, {Name: "inbox", Dir: "inbox"}}, got.Mailboxes); d != "" {
		t.Error(d)
	}
	for _, left := range []string{"bad&name", "~home", "caf\xc3\xa9", "good/loop"} {
		found := false
		for _, d := range got.Damage {
			found = found || strings.HasPrefix(d, filepath.Join(root, left)+": ")
		}
		if !found {
			t.Errorf("nothing is noted about %s in %q", left, got.Damage)
		}
	}
}

func TestWalkFollowsLinks(t *testing.T) {
	elsewhere := tree(t, "dbox-Mails")
	root := tree(t)
	if err := os.Symlink(elsewhere, filepath.Join(root, "linked")); err != nil {
		t.Fatal(err)
	}
	got, err := Walk(vfs.OS, root, Codec{}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&Tree{Mailboxes: []Mailbox{{Name: "linked", Dir: "linked"}}}, got); d != "" {
		t.Error(d)
	}
}

func TestWalkLimitNamesItself(t *testing.T) {
	root := tree(t, "a/dbox-Mails", "b/dbox-Mails", "c/dbox-Mails")
	_, err := Walk(vfs.OS, root, Codec{}, 2, nil)
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Limit != 2 || !strings.Contains(err.Error(), "max_mailboxes") {
		t.Errorf("err = %v, want a *LimitError of max_mailboxes", err)
	}
}
