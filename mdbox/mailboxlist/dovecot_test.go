package mailboxlist_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// layoutIndexStore returns a store with LAYOUT=index and nothing in it.
func layoutIndexStore(t *testing.T) *mdboxtest.Store {
	t.Helper()
	s := mdboxtest.MakeStore(t, "--content", "tiny")
	conf, err := os.ReadFile(s.Conf)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(conf), "mdbox:~/mdbox", "mdbox:~/by-index:LAYOUT=index", 1)
	if changed == string(conf) {
		t.Fatalf("no mail_location in %s", conf)
	}
	if err := os.WriteFile(s.Conf, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Root = filepath.Join(s.Home, "by-index")
	return s
}

func TestLayoutIndexAfterDovecotsChanges(t *testing.T) {
	s := layoutIndexStore(t)
	s.Doveadm(t, "mailbox", "create", "Archive/2024/Januar", "Entwürfe & Ideen", "日本語/会議", "Doomed", "Old")
	s.Doveadm(t, "mailbox", "delete", "Doomed")
	s.Doveadm(t, "mailbox", "rename", "Old", "Archive/New")

	tree, err := mailboxlist.ReadListIndex(index.Options{Dir: s.Root}, mailboxlist.Codec{}, 0)
	if err != nil || len(tree.Damage) > 0 {
		t.Fatalf("damage %q, %v", tree.Damage, err)
	}
	want := map[string]string{} // name: GUID
	for _, line := range strings.Split(strings.TrimSpace(s.Doveadm(t, "-f", "tab", "mailbox", "status", "guid", "*")), "\n")[1:] {
		name, guid, _ := strings.Cut(line, "\t")
		want[name] = guid
	}
	got := map[string]string{}
	for _, m := range tree.Mailboxes {
		if m.NoSelect {
			continue
		}
		got[m.Name] = m.Dir
		if st, err := vfs.OS.Stat(filepath.Join(s.Root, "mailboxes", m.Dir)); err != nil || !st.Dir {
			t.Errorf("%s: its directory: %+v, %v", m.Name, st, err)
		}
	}
	if d := cmp.Diff(want, got); d != "" || len(got) != 4 {
		t.Errorf("%d mailboxes (-doveadm +list index): %s", len(got), d)
	}
	for _, m := range tree.Mailboxes {
		if parent := m.Name == "Archive" || m.Name == "Archive/2024" || m.Name == "日本語"; parent != m.NoSelect {
			t.Errorf("%s: NoSelect is %v", m.Name, m.NoSelect)
		}
	}
}
