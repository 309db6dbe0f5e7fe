package maildir_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
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
