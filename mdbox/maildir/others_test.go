package maildir_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// A server that has read the directories before another one renamed files changes flags of a message that this one has not touched. The
// directories need not be read again for that: the other server has noted in the index what they are like.
func TestChangesOfOthersStay(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", `\Flagged`, "Subject: a\n\n", "Subject: b\n\n", "Subject: c\n\n")
	unchanging := func() time.Time { return time.Unix(received, 0) } // in the second of a change, directories are not read again
	us, them := s.openAt(t, "", unchanging), s.openAt(t, "", unchanging)
	for _, b := range []*box{us, them} {
		if _, err := b.sync(maildir.SyncOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	them.request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 1}, Add: index.FlagDeleted, Remove: index.FlagFlagged}},
		translog.KeywordUpdate{Name: "kw", UIDs: one(1)})
	them.mustSync()
	us.request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 2, Last: 2}, Add: index.FlagSeen}})
	us.mustSync()
	us.request(translog.ExpungeGUIDs{{UID: 3}})
	us.mustSync()
	want := []string{`1 \Deleted kw`, `2 \Flagged \Seen `}
	if diff := cmp.Diff(want, us.described()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	equal(t, "in the end", us, "INBOX")
}

// A FIFO among the messages does not hold up who opens it.
func TestFIFOIsNotOpened(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: a\n\n")
	fifo := filepath.Join(s.Root, "cur", "9.M1P1.h:2,")
	must(t, unix.Mkfifo(fifo, 0o644))
	other, err := os.OpenFile(fifo, os.O_RDWR, 0) // so that to open it does not take for ever
	must(t, err)
	defer other.Close()
	b := s.open(t, "")
	b.mustSync()
	if f, _, err := b.m.Open(2); err == nil {
		f.Close()
		t.Error("it was opened")
	}
	if got := b.text(1); got != "Subject: a\n\n" {
		t.Errorf("message 1 is %q", got)
	}
}

// fullFS has no space for dovecot-keywords as long as full is set.
type fullFS struct {
	vfs.FS
	full *bool
}

func (f fullFS) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	if *f.full && strings.Contains(filepath.Base(name), "dovecot-keywords") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: unix.ENOSPC}
	}
	return f.FS.OpenWrite(name, how, perm)
}

// A keyword that can not be written to dovecot-keywords, since the disk is full, is only in the index until it can be: who wants to make room has to
// open the mailbox.
func TestKeywordWithoutSpace(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: a\n\n", "Subject: b\n\n", "Subject: c\n\n")
	full := true
	s.fs = fullFS{s.fs, &full}
	b := s.open(t, "")
	b.request(translog.KeywordUpdate{Name: "kw", UIDs: one(1)}, translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 1}, Add: index.FlagSeen}},
		translog.ExpungeGUIDs{{UID: 2}})
	b.mustSync()
	want := []string{`1 \Seen kw`, "3  "}
	if diff := cmp.Diff(want, b.described()); diff != "" || len(b.reports) == 0 {
		t.Errorf("reports %q, messages (-want +got):\n%s", b.reports, diff)
	}
	full = false
	b.request(translog.KeywordUpdate{Name: "kw", UIDs: one(3)})
	if _, err := b.sync(maildir.SyncOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	b.request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 1}, Add: index.FlagFlagged}})
	if _, err := b.sync(maildir.SyncOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	want = []string{`1 \Flagged \Seen kw`, "3  kw"}
	if diff := cmp.Diff(want, b.described()); diff != "" {
		t.Errorf("messages when there is space (-want +got):\n%s", diff)
	}
	equal(t, "in the end", b, "INBOX")
}
