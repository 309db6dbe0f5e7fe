package mdbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// attachedStore is a store whose Dovecot puts attachments into files, and has saved a message in INBOX for each of the texts.
func attachedStore(t *testing.T, location string, texts ...string) (d *dovecotStore, dir string) {
	t.Helper()
	d = newDovecotStore(t, location)
	dir = filepath.Join(d.Home, "attachments")
	conf, err := os.OpenFile(d.Conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conf, "mail_attachment_dir = %s\nmail_attachment_min_size = 1k\nmail_attachment_fs = sis posix\n", dir)
	if err := conf.Close(); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		d.IMAP(t, fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
	}
	return d, dir
}

// attachedText is a message with an attachment.
func attachedText(subject, content string) string {
	return "Subject: " + subject + "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/octet-stream\r\n" +
		"Content-Disposition: attachment; filename=x\r\n\r\n" + strings.Repeat(content+"\r\n", 1000) + "--b--\r\n"
}

// wantAttachments checks how many attachments there are, and how many by their hashes.
func wantAttachments(t *testing.T, dir, when string, n, hashes int) {
	t.Helper()
	for pattern, want := range map[string]int{"*-*": n, "hashes/*": hashes} {
		files, err := filepath.Glob(filepath.Join(dir, "*", "*", pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != want {
			t.Errorf("%s: %d files %s, want %d", when, len(files), pattern, want)
		}
	}
}

func purgeAll(t *testing.T, s *mdbox.Store) {
	t.Helper()
	if _, err := s.Purge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// TestPurgeRemovesAttachments: with a message its attachments go, and the space of one that no other message shares.
func TestPurgeRemovesAttachments(t *testing.T) {
	same, third := attachedText("one", "0123456789"), attachedText("three", "abcdefghij")
	d, dir := attachedStore(t, "mdbox:~/mdbox", same, same, third)
	d.IMAP(t, "CREATE A", "SELECT INBOX", "COPY 3 A")
	wantAttachments(t, dir, "at first", 3, 2)
	s := d.open(t, func(o *mdbox.Options) { o.AttachmentDir = dir })
	inbox, a := openBox(t, s, "INBOX"), openBox(t, s, "A")
	expunge := func(uid uint32) {
		t.Helper()
		if _, err := inbox.Expunge(t.Context(), [16]byte{}, []uint32{uid}, false); err != nil {
			t.Fatal(err)
		}
		purgeAll(t, s)
	}
	expunge(1)
	wantAttachments(t, dir, "after one of two with the same attachment", 2, 2)
	expunge(2)
	wantAttachments(t, dir, "after both", 1, 1)
	expunge(3)
	wantAttachments(t, dir, "after one of two copies", 1, 1)
	ms, err := a.Messages([]uint32{1})
	if err != nil || !ms.Next() {
		t.Fatalf("no message: %v", err)
	}
	if got := readAll(t, ms.Message()); string(got) != third {
		t.Errorf("%d bytes, want %d: %.200q", len(got), len(third), got)
	}
	ms.Close()
	d.unchangedByResync(t)
}

// TestStoppedPurgeRemovesAttachments: a purge that is stopped removes the attachments of what it has removed.
func TestStoppedPurgeRemovesAttachments(t *testing.T) {
	d, dir := attachedStore(t, "mdbox:~/mdbox", attachedText("one", "0123456789"))
	s := d.open(t, func(o *mdbox.Options) { o.AttachmentDir = dir })
	inbox := openBox(t, s, "INBOX")
	if _, err := inbox.Expunge(t.Context(), [16]byte{}, []uint32{1}, false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Purge(ctx, func(int, int) { cancel() }); err != nil {
		t.Fatal(err)
	}
	wantAttachments(t, dir, "after the purge", 0, 0)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("what is left of the attachments: %v, %v", left, err)
	}
}

// TestPurgeKeepsSharedAttachments: a message that is in the mail files twice, as a purge that was killed leaves it, has its attachments once.
func TestPurgeKeepsSharedAttachments(t *testing.T) {
	text := attachedText("one", "0123456789")
	d, dir := attachedStore(t, "mdbox:~/mdbox", text)
	files := dbox.NewFiles(dbox.Config{FS: ownerFS(t), StorageDir: d.Storage()})
	defer files.Close()
	l, err := files.Lock(1)
	if err != nil {
		t.Fatal(err)
	}
	copies := files.NewAppender(func(func(dbox.Candidate) bool) {})
	var st dbox.Stored
	err = l.Scan(func(_ dbox.FileHeader, m *dbox.Scanned) (err error) {
		st, err = copies.CopyRaw(l, m)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := copies.Name(2); err != nil {
		t.Fatal(err)
	}
	m, err := mapindex.Open(d.Storage(), index.Options{FS: ownerFS(t)})
	if err != nil {
		t.Fatal(err)
	}
	lm, err := m.Lock(t.Context(), &index.Writing{Lock: &filelock.Config{FS: ownerFS(t)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := lm.Reserve(2); err != nil {
		t.Fatal(err)
	}
	uid, err := lm.Append(time.Now(), []mapindex.Location{{FileID: 2, Offset: st.Offset, Size: st.Size}})
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []func() error{func() error { return lm.SetReferences(map[mapindex.UID]uint16{uid: 0}) }, lm.Finish, lm.Unlock, copies.Release, l.Unlock} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	s := d.open(t, func(o *mdbox.Options) { o.AttachmentDir = dir })
	purgeAll(t, s)
	wantAttachments(t, dir, "after the purge of the second", 1, 1)
	ms, err := openBox(t, s, "INBOX").Messages([]uint32{1})
	if err != nil || !ms.Next() {
		t.Fatalf("no message: %v", err)
	}
	if got := readAll(t, ms.Message()); string(got) != text {
		t.Errorf("%d bytes, want %d: %.200q", len(got), len(text), got)
	}
	ms.Close()
}

// TestSdboxRemovesAttachments: the space of an attachment is free when no message has it any more.
func TestSdboxRemovesAttachments(t *testing.T) {
	same := attachedText("one", "0123456789")
	d, dir := attachedStore(t, "sdbox:~/mdbox", same, same)
	wantAttachments(t, dir, "at first", 2, 1)
	s := d.open(t, func(o *mdbox.Options) { o.AttachmentDir = dir })
	inbox := openBox(t, s, "INBOX")
	for i, hashes := range []int{1, 0} {
		if _, err := inbox.Expunge(t.Context(), [16]byte{}, []uint32{uint32(i + 1)}, false); err != nil {
			t.Fatal(err)
		}
		wantAttachments(t, dir, fmt.Sprintf("after %d", i+1), 1-i, hashes)
	}
}

// TestSdboxDeleteRemovesAttachments: with a mailbox the attachments of its messages go, and no others.
func TestSdboxDeleteRemovesAttachments(t *testing.T) {
	text := attachedText("one", "0123456789")
	d, dir := attachedStore(t, "sdbox:~/mdbox", text, attachedText("two", "abcdefghij"))
	d.IMAP(t, "CREATE A", "SELECT INBOX", "COPY 1:2 A", "STORE 2 +FLAGS (\\Deleted)", "EXPUNGE")
	wantAttachments(t, dir, "at first", 3, 2)
	s := d.open(t, func(o *mdbox.Options) { o.AttachmentDir = dir })
	if err := s.DeleteMailbox(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	wantAttachments(t, dir, "after DELETE", 1, 1)
	ms, err := openBox(t, s, "INBOX").Messages([]uint32{1})
	if err != nil || !ms.Next() {
		t.Fatalf("no message: %v", err)
	}
	if got := readAll(t, ms.Message()); string(got) != text {
		t.Errorf("%d bytes, want %d: %.200q", len(got), len(text), got)
	}
	ms.Close()
}
