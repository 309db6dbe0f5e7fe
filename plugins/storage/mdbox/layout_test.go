package mdbox

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// TestLocations lets Dovecot import a store into others, whose parts lie elsewhere, and reads them.
func TestLocations(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "small")
	for name, params := range map[string]string{
		"index layout":     "LAYOUT=index",
		"parts elsewhere":  "INDEX=~/parts/index:CONTROL=~/parts/control:VOLATILEDIR=~/parts/volatile:INDEXCACHE=~/parts/cache",
		"other names":      "DIRNAME=mails:MAILBOXDIR=boxes:UTF-8",
		"INBOX elsewhere":  "INBOX=~/inbox",
		"index of indexes": "LAYOUT=index:INDEX=~/ixix",
	} {
		t.Run(name, func(t *testing.T) {
			location := "mdbox:~/" + strings.ReplaceAll(name, " ", "-") + ":" + params
			doveadm := func(args ...string) string {
				return store.Doveadm(t, append([]string{"-o", "mail_location=" + location}, args...)...)
			}
			doveadm("import", "-s", "mdbox:"+store.Root, "", "all")
			doveadm("mailbox", "create", "Drafts", "Junk", "Sent") // Dovecot lists them before they are there
			s := configured(t, map[string]any{"mail_location": location, "mail_home": store.Home})
			list, err := s.ListMailboxes(context.Background(), testUser, "")
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, m := range list {
				if m.NonExistent {
					continue
				}
				names = append(names, m.Name)
				if want := store.Expected.Mailboxes[m.Name]; want != nil && !want.NoSelect {
					compareMessages(t, s, m.Name, want)
				}
			}
			want := strings.Fields(strings.ReplaceAll(doveadm("mailbox", "list", "-8"), " ", "_"))
			sort.Strings(want)
			got := strings.Fields(strings.ReplaceAll(strings.Join(names, "\n"), " ", "_"))
			sort.Strings(got)
			if !slices.Equal(got, want) {
				t.Errorf("mailboxes %q, Dovecot lists %q", got, want)
			}
		})
	}
}

// With LAYOUT=index a mailbox keeps its directory when it is renamed: what is kept open of a name must not be taken for
// the mailbox that has the name now, which Dovecot has made.
func TestNameLeadsToAnotherDirectory(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "small")
	ctx := context.Background()
	for name, change := range map[string][][]string{
		"renamed": {{"mailbox", "rename", "box", "other"}, {"mailbox", "create", "box"}},
		"deleted": {{"mailbox", "delete", "box"}, {"mailbox", "create", "box"}},
	} {
		t.Run(name, func(t *testing.T) {
			location := "mdbox:~/" + name + ":LAYOUT=index"
			doveadm := func(args ...string) string {
				t.Helper()
				return store.Doveadm(t, append([]string{"-o", "mail_location=" + location}, args...)...)
			}
			s := configured(t, map[string]any{"mail_location": location, "mail_home": store.Home})
			add := func() error {
				const text = "Subject: x\r\n\r\nx\r\n"
				_, err := s.Append(ctx, &backend.AppendRequest{Mailbox: ref("box"), Messages: []backend.AppendMessage{{Size: uint64(len(text)), Body: strings.NewReader(text)}}})
				return err
			}
			doveadm("mailbox", "create", "box")
			before, err := s.Open(ctx, ref("box"))
			if err != nil {
				t.Fatal(err)
			}
			use := map[string]func() error{
				"Open":   func() error { _, err := s.Open(ctx, ref("box")); return err },
				"Append": add,
			}
			for _, first := range []string{"Open", "Append"} {
				for _, args := range change {
					doveadm(args...)
				}
				if err := use[first](); err != nil {
					t.Errorf("%s: %v", first, err)
				}
				after, err := s.Open(ctx, ref("box"))
				if err != nil {
					t.Fatal(err)
				}
				if after.MailboxID == before.MailboxID {
					t.Errorf("%s: still the mailbox that had the name before", first)
				}
				before = after
				if name == "renamed" {
					if got := doveadm("search", "mailbox", "other", "all"); got != "" {
						t.Errorf("%s: the renamed mailbox has messages: %s", first, got)
					}
					doveadm("mailbox", "delete", "other")
				}
			}
			if got := strings.Fields(doveadm("search", "mailbox", "box", "all")); len(got) != 2 { // GUID and UID
				t.Errorf("Dovecot finds %q, want one message", got)
			}
		})
	}
}

// compareMessages compares the texts of all messages, in any order.
func compareMessages(t *testing.T, s *Storage, name string, want *mdboxtest.ExpectedMailbox) {
	t.Helper()
	snap, err := s.Open(context.Background(), ref(name))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	count := map[string]int{}
	for _, m := range fetch(t, s, backend.FetchRequest{Mailbox: ref(name), UIDs: snap.Messages.UIDs, Items: backend.FetchBody}) {
		if m.Err != nil {
			t.Errorf("%s: UID %d: %v", name, m.UID, m.Err)
		}
		count[hash(m.body)]++
	}
	wanted := map[string]int{}
	for _, m := range want.Mails {
		wanted[m.SHA256]++
	}
	if !maps.Equal(count, wanted) {
		t.Errorf("%s: other messages than were imported: %d, want %d", name, len(snap.Messages.UIDs), len(want.Mails))
	}
}
