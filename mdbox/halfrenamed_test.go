package mdbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox"
)

// TestRecountBesideHalfRenamed: with INDEX= a mailbox is renamed by two renames, its mail directory's first. Between them, and for ever if the process is
// killed there, its messages have their references in an index that is no mailbox's. They are not counted as lost, also not when the new name was opened.
func TestRecountBesideHalfRenamed(t *testing.T) {
	d := newDovecotStore(t, "mdbox:~/mdbox:INDEX=~/index")
	body := "Subject: x\r\n\r\nx\r\n"
	d.IMAP(t, "CREATE A/B", "APPEND A/B {17+}\r\n"+body)
	mails, indexes := filepath.Join(d.Root, "mailboxes"), filepath.Join(d.Home, "index", "mailboxes")
	if err := os.Rename(filepath.Join(mails, "A"), filepath.Join(mails, "C")); err != nil {
		t.Fatal(err)
	}
	s := d.open(t, func(o *mdbox.Options) { o.Report = func(error) {} })
	recount := func(when string) {
		t.Helper()
		if err := mdbox.RecountReferences(s); err != nil {
			t.Fatal(err)
		}
		if e, found, err := mdbox.LookupMap(t, s, 1); err != nil || !found || e.Refcount != 1 {
			t.Fatalf("%s: the message has %d references in the map (%v, %v), want 1", when, e.Refcount, found, err)
		}
	}
	recount("between the renames")
	if b := openBox(t, s, "C/B"); len(mustSnapshot(t, b).Messages.UIDs) > 0 {
		t.Fatal("the new name has messages")
	}
	recount("after the new name was opened")
	for _, path := range []string{filepath.Join(indexes, "C"), filepath.Join(mails, "C")} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(indexes, "A")); err != nil {
		t.Fatal(err)
	}
	if err := mdbox.RecountReferences(s); err != nil {
		t.Fatal(err)
	}
	if e, _, err := mdbox.LookupMap(t, s, 1); err != nil || e.Refcount != 0 {
		t.Errorf("after the index was removed: %d references, %v", e.Refcount, err)
	}
}

// TestRecountBesideLostIndex: messages of a mailbox that has lost its index stay, so that a rebuild can put them back.
func TestRecountBesideLostIndex(t *testing.T) {
	d := newDovecotStore(t, "mdbox:~/mdbox")
	d.IMAP(t, "CREATE A", "APPEND A {17+}\r\nSubject: x\r\n\r\nx\r\n")
	files, err := filepath.Glob(filepath.Join(d.Mailbox("A"), "dovecot.index*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no index: %v", err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	s := d.open(t, func(o *mdbox.Options) { o.Report = func(error) {} })
	if err := mdbox.RecountReferences(s); err != nil {
		t.Fatal(err)
	}
	if e, found, err := mdbox.LookupMap(t, s, 1); err != nil || !found || e.Refcount != 1 {
		t.Errorf("the message has %d references in the map (%v, %v), want 1", e.Refcount, found, err)
	}
}
