package check_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// TestRebuildMakesMailboxesAgain: messages of a mailbox whose directory is gone come back to one with its name, which is made.
func TestRebuildMakesMailboxesAgain(t *testing.T) {
	s := mdboxtest.Golden(t, "dovecot-2.3/small")
	before, _ := read(t, openToWrite(t, s))
	const name = "Entwürfe & Ideen"
	if len(before[name]) == 0 {
		t.Fatal("there is nothing in the mailbox")
	}
	if err := os.RemoveAll(filepath.Dir(s.Mailbox(name))); err != nil {
		t.Fatal(err)
	}
	r, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	after, _ := read(t, openToWrite(t, s))
	if l := compare(before, after); l.messages != 0 || len(after[name]) != len(before[name]) || r.Restored != len(before[name]) {
		t.Errorf("lost %v; %d messages in the mailbox, %d restored, want %d; did %v", l, len(after[name]), r.Restored, len(before[name]), r.Done)
	}
	if v := verify(t, s); !v.Clean() {
		t.Errorf("not clean: %v", v.Findings)
	}
}

// TestRebuildNumbersFilesAnew: primary and alternative storage have different files with the same number. No message of either is lost.
func TestRebuildNumbersFilesAnew(t *testing.T) {
	s := mdboxtest.Golden(t, "dovecot-2.3/alt")
	before, _ := read(t, openToWrite(t, s))
	alt, err := filepath.Glob(filepath.Join(s.Alt, "storage", "m.*"))
	if err != nil || len(alt) == 0 {
		t.Fatalf("the store has nothing in its alternative storage: %v", err)
	}
	primary, err := filepath.Glob(filepath.Join(s.Root, "storage", "m.*"))
	if err != nil || len(primary) == 0 {
		t.Fatalf("the store has nothing in its primary storage: %v", err)
	}
	if err := os.Rename(alt[0], filepath.Join(s.Alt, "storage", filepath.Base(primary[0]))); err != nil {
		t.Fatal(err)
	}
	r, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	after, _ := read(t, openToWrite(t, s))
	if l := compare(before, after); l != (losses{}) {
		t.Errorf("lost %v; did %v", l, r.Done)
	}
	if v := verify(t, s); !v.Clean() {
		t.Errorf("not clean: %v", v.Findings)
	}
}

// TestRebuildKeepsExpungedMessagesExpunged: a map that is lost does not bring back what the logs of the mailboxes say was expunged.
func TestRebuildKeepsExpungedMessagesExpunged(t *testing.T) {
	s := mdboxtest.Golden(t, "dovecot-2.3/small")
	m := openToWrite(t, s)
	b, err := m.OpenMailbox("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	snap, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Expunge(context.Background(), [16]byte{}, snap.Messages.UIDs[:3], false); err != nil {
		t.Fatal(err)
	}
	m.Close()
	before, _ := read(t, openToWrite(t, s))
	for _, f := range filesOf(t, s.Root, "map index") {
		os.Remove(filepath.Join(s.Root, f))
	}
	for _, f := range filesOf(t, s.Root, "map log") {
		os.Remove(filepath.Join(s.Root, f))
	}
	if _, err := check.Rebuild(context.Background(), openToWrite(t, s), check.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	after, _ := read(t, openToWrite(t, s))
	if l := compare(before, after); l != (losses{}) || len(after["INBOX"]) != len(before["INBOX"]) {
		t.Errorf("lost %v; INBOX has %d messages, had %d", l, len(after["INBOX"]), len(before["INBOX"]))
	}
}
