package maildir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
)

// described are the messages of our index without GUIDs.
func (b *box) described() (rows []string) {
	b.t.Helper()
	for _, r := range b.rows() {
		rows = append(rows, r[:strings.LastIndexByte(r, ' ')])
	}
	return rows
}

func TestFileWhoseNameHasNoRoomForFlags(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "kw", "Subject: a\n\n")
	long := func(base string, length int) string { return base + strings.Repeat("x", length-len(base)) }
	inNew, inCur := long("1.M1P1.", 255), long("1.M2P1.", 252)
	s.deliver(t, "", inNew, "Subject: new\n\n")
	s.deliver(t, "", inCur, "Subject: cur\n\n")
	b := s.open(t, "")
	b.mustSync()
	want := []string{"1  kw", "2  ", "3  "}
	if diff := cmp.Diff(want, b.described()); diff != "" || b.text(2) != "Subject: new\n\n" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	equal(t, "a name that is too long", b, "INBOX")
	if len(b.reports) == 0 {
		t.Error("nothing is reported")
	}
	b.request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 3}, Add: index.FlagAnswered}},
		translog.KeywordUpdate{Name: "kw", UIDs: []translog.UIDRange{{First: 2, Last: 3}}})
	b.mustSync()
	if x := b.x.State(); x.Tail() != x.Pos() {
		t.Errorf("tail %v, head %v", x.Tail(), x.Pos())
	}
	want = []string{`1 \Answered kw`, `2 \Answered kw`, `3 \Answered kw`}
	if diff := cmp.Diff(want, b.described()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	equal(t, "flags that only the index has", b, "INBOX")
	s.deliver(t, "", "2.M1P1.h", "Subject: later\n\n") // the files are read again
	b.mustSync()
	want = append(want, "4  ")
	if diff := cmp.Diff(want, b.described()); diff != "" {
		t.Errorf("messages after a scan (-want +got):\n%s", diff)
	}
	b.request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 2, Last: 3}, Remove: index.FlagAnswered}},
		translog.KeywordReset{{First: 2, Last: 3}})
	b.mustSync()
	want[1], want[2] = "2  ", "3  "
	if diff := cmp.Diff(want, b.described()); diff != "" {
		t.Errorf("messages without flags (-want +got):\n%s", diff)
	}
	if f := b.x.State().Flags(); f[1]&index.FlagDirty == 0 || f[2]&index.FlagDirty != 0 {
		t.Errorf("flags %#x: of these, the name of message 3 is the one that can be had", f)
	}
	if _, err := os.Stat(filepath.Join(s.Root, "cur", inCur+":2,")); err != nil {
		t.Error(err)
	}
}

func TestDirectoryThatCanNotBeChanged(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "kw", "Subject: a\n\n", "Subject: b\n\n")
	b := s.open(t, "")
	b.mustSync()
	cur := filepath.Join(s.Root, "cur")
	must(t, os.Chmod(cur, 0o500))
	s.deliver(t, "", "1.M1P1.h", "Subject: c\n\n")
	s.deliver(t, "", strings.TrimPrefix(strings.SplitN(s.files(t, "")[0], ":", 2)[0], "cur/"), "Subject: another of that name\n\n")
	b.request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 1}, Add: index.FlagSeen}},
		translog.KeywordUpdate{Name: "kw", Remove: true, UIDs: one(1)}, translog.ExpungeGUIDs{{UID: 2}})
	b.mustSync()
	want := []string{`1 \Seen `, "2  kw", "3  "}
	if diff := cmp.Diff(want, b.described()); diff != "" || b.text(3) != "Subject: c\n\n" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if len(b.reports) == 0 {
		t.Error("nothing is reported")
	}
	must(t, os.Chmod(cur, 0o700))
	b.request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 1}, Add: index.FlagFlagged}})
	_, err := b.sync(maildir.SyncOptions{Force: true})
	must(t, err)
	want = []string{`1 \Flagged \Seen `, "3  ", "4  "}
	if diff := cmp.Diff(want, b.described()); diff != "" || b.x.State().Flags()[0]&index.FlagDirty != 0 {
		t.Errorf("messages when it can be changed again (-want +got):\n%s", diff)
	}
	equal(t, "changed again", b, "INBOX")
	resynced(t, s, "INBOX")
}
