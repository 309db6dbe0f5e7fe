package mdbox_test

import (
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// TestCachedStatus compares Dovecot's noted values with what its index says, and
// looks that they are not used after a change.
func TestCachedStatus(t *testing.T) {
	disk := mdboxtest.MakeStore(t, "--content", "small")
	disk.Doveadm(t, "mailbox", "status", "all", "*")
	store := mdbox.New(testLocation(t, disk.Root), mdbox.Options{})
	defer store.Close()
	used := ""
	for name, box := range disk.Expected.Mailboxes {
		if box.NoSelect {
			continue
		}
		b, err := store.OpenMailbox(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := b.Status(true)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := store.CachedStatus(name, true)
		if ok && got != want {
			t.Errorf("%s: noted %+v, the index says %+v", name, got, want)
		}
		if ok && name == mailboxlist.Inbox {
			t.Error("INBOX was answered from the list index")
		}
		if ok && want.Messages > 0 {
			used = name
		}
	}
	if used == "" {
		t.Fatal("no mailbox was answered from the list index")
	}
	disk.Doveadm(t, "flags", "add", "NewKeyword", "mailbox", used, "all")
	b, err := store.OpenMailbox(used)
	if err != nil {
		t.Fatal(err)
	}
	want, err := b.Status(true)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := store.CachedStatus(used, true); ok && got != want {
		t.Errorf("%s after a change: noted %+v, the index says %+v", used, got, want)
	}
}

func TestCachedStatusWithoutListIndex(t *testing.T) {
	disk := mdboxtest.Golden(t, "dovecot-2.3/tiny")
	removeAll(t, disk.Root+"/dovecot.list.index")
	removeAll(t, disk.Root+"/dovecot.list.index.log")
	store := mdbox.New(testLocation(t, disk.Root), mdbox.Options{})
	defer store.Close()
	for _, name := range []string{"INBOX", "Sent", "none", "a//b"} {
		if st, ok := store.CachedStatus(name, false); ok {
			t.Errorf("%s: %+v", name, st)
		}
	}
}
