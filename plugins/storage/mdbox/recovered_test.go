package mdbox

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/mdboxtest/writer"
)

// TestStoresAreRecoveredAtOnce: a store is looked at once as long as nothing happens in its directory, and again when another process has died there.
func TestStoresAreRecoveredAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mdbox")
	w := writer.New(t, dir).Mailbox("INBOX")
	w.Append(0, []byte("Subject: x\r\n\r\nhello\r\n"))
	w.WriteIndex()
	template, err := mdbox.ParseLocation("mdbox:" + dir)
	if err != nil {
		t.Fatal(err)
	}
	location, err := template.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		t.Fatal(err)
	}
	store := func() *mdbox.Store { return mdbox.New(location, mdbox.Options{Write: &mdbox.Writing{}}) }
	marker := filepath.Join(dir, "storage", ".roost.OTHER")
	leave := func() {
		t.Helper()
		if err := os.WriteFile(marker, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := recovered{clock: func() time.Time { return time.Now().Add(time.Hour) }}
	p := place{attachments: "a"}
	open := func() {
		t.Helper()
		s := store()
		r.recover(p, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(marker); err == nil {
			t.Error("what a process has left is still there")
		}
	}
	open()
	if s := store(); !r.known(p, s.Entered()) {
		t.Error("it is not remembered that there is nothing")
	}
	leave()
	open()
	leave()
	open()
	// What was changed just now is not remembered.
	r = recovered{}
	open()
	if s := store(); r.known(p, s.Entered()) {
		t.Error("it is remembered although the next change may have the same time")
	}
	// With more stores than slots some are looked at again, and none is taken for another.
	for i := range 2 * recoveredSlots {
		if p := (place{attachments: fmt.Sprint(i)}); r.known(p, 1) {
			t.Fatalf("store %d was never looked at", i)
		} else {
			r.note(p, 1)
		}
	}
}
