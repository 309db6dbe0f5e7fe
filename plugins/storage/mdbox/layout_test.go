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
