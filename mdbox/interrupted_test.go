package mdbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// TestSaveOfAKilledProcessStaysUnknown leaves what a process leaves that is killed in the middle of a save: a message that the map does
// not know, a part of another one, and the note about them.
func TestSaveOfAKilledProcessStaysUnknown(t *testing.T) {
	dovecot := mdboxtest.MakeStore(t, "--content", "fresh")
	m, err := mapindex.Open(dovecot.Storage(), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var last mapindex.Entry
	m.All(func(_ mapindex.UID, e mapindex.Entry, err error) bool {
		last = e
		return err == nil
	})
	path := filepath.Join(dovecot.Storage(), fmt.Sprintf("m.%d", last.FileID))
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(file) != int(last.Offset+last.Size) {
		t.Fatalf("%s has %d bytes, the map knows %d", path, len(file), last.Offset+last.Size)
	}
	mail := file[last.Offset:]
	left := append(append(file[:len(file):len(file)], mail...), mail[:50]...)
	note := fmt.Sprintf("%d %d\n", last.FileID, len(file))
	err = errors.Join(os.WriteFile(path, left, 0o600),
		os.WriteFile(filepath.Join(dovecot.Storage(), ".temp.1.P1Q1M000001.host.appends"), []byte(note), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	before := dovecot.Doveadm(t, "fetch", "guid", "mailbox", "INBOX")

	s := writable(t, dovecot.Root, nil)
	if _, err := s.Purge(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // it keeps notes of its own, empty ones
		t.Fatal(err)
	}
	if notes, err := filepath.Glob(filepath.Join(dovecot.Storage(), ".temp.*")); err != nil || len(notes) != 0 {
		t.Errorf("notes left: %v, %v", notes, err)
	}
	giveTo(t, dovecot.Root)
	dovecot.Doveadm(t, "force-resync", "INBOX")
	if after := dovecot.Doveadm(t, "fetch", "guid", "mailbox", "INBOX"); after != before {
		t.Errorf("INBOX has\n%s, before\n%s", after, before)
	}
	log, err := os.ReadFile(filepath.Join(filepath.Dir(dovecot.Conf), "dovecot.log"))
	if err != nil || strings.Contains(strings.ToLower(string(log)), "corrupted") {
		t.Errorf("Dovecot's log: %v\n%s", err, log)
	}
}
