package maildir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
)

// equal fails unless Dovecot and we show the same.
func equal(t testing.TB, what string, b *box, mailbox string) {
	t.Helper()
	ours := b.rows()
	if diff := cmp.Diff(b.s.theirs(t, mailbox), ours); diff != "" {
		t.Errorf("%s (-dovecot +ours):\n%s", what, diff)
	}
}

// resynced fails if force-resync changes something.
func resynced(t testing.TB, s *store, mailbox string) {
	t.Helper()
	before := s.Describe(t, mailbox, false)
	s.Doveadm(t, "force-resync", "*")
	if diff := cmp.Diff(before, s.Describe(t, mailbox, false)); diff != "" {
		t.Errorf("force-resync changed %s:\n%s", mailbox, diff)
	}
}

func TestDovecotsMailboxIsRead(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: a\n\nbody a\n")
	s.append(t, "INBOX", `\Seen $Kw1 kw2`, "Subject: b\n\nbody b\n")
	s.append(t, "INBOX", `\Flagged \Answered \Draft \Deleted`, "Subject: c\n\nbody c\n")
	s.IMAP(t, "SELECT INBOX", "STORE 1 +FLAGS (Third)", `STORE 1:* +FLAGS (\Seen)`)
	b := s.open(t, "")
	equal(t, "before a sync", b, "INBOX")
	b.mustSync()
	equal(t, "after a sync", b, "INBOX")
	if got := b.text(2); got != "Subject: b\n\nbody b\n" {
		t.Errorf("text %q", got)
	}
	st := s.Describe(t, "INBOX", false)
	if v := b.x.State().UIDValidity(); v != st.UIDValidity || b.x.State().NextUID() != st.UIDNext {
		t.Errorf("UIDVALIDITY %d, UIDNEXT %d, want %d, %d", v, b.x.State().NextUID(), st.UIDValidity, st.UIDNext)
	}
	if guid, err := b.m.GUID(); fmt.Sprintf("%x", guid) != st.GUID || err != nil {
		t.Errorf("GUID %x, %v, want %s", guid, err, st.GUID)
	}
	resynced(t, s, "INBOX")
	if len(b.reports) > 0 {
		t.Errorf("reports: %q", b.reports)
	}
}

func TestMailboxWithoutAnyFileOfDovecot(t *testing.T) {
	s := newStore(t)
	for _, dir := range []string{"", "cur", "new", "tmp"} {
		must(t, s.fs.Mkdir(filepath.Join(s.Root, dir), 0o700))
	}
	s.deliver(t, "", "100.M2P1.h", "Subject: second\n\n")
	s.deliver(t, "", "100.M1P1.h", "Subject: first\n\n")
	s.deliver(t, "", "99.other:2,FS", "Subject: oldest\n\n")
	s.deliver(t, "", ".hidden", "x")
	b := s.open(t, "")
	if !b.mustSync() {
		t.Error("nothing changed")
	}
	want := []string{`1 \Flagged \Seen  99.other`, "2   100.M1P1.h", "3   100.M2P1.h"}
	if diff := cmp.Diff(want, b.rows()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cur/100.M1P1.h:2,", "cur/100.M2P1.h:2,", "cur/99.other:2,FS", "new/.hidden"}, s.files(t, "")); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if v := b.x.State().UIDValidity(); v != 4711 {
		t.Errorf("UIDVALIDITY %d", v)
	}
	equal(t, "a mailbox that we made", b, "INBOX")
	resynced(t, s, "INBOX")
	if out := s.IMAP(t, "EXAMINE INBOX"); !strings.Contains(out, "* 3 RECENT") {
		t.Errorf("what was delivered is not recent:\n%s", out)
	}
}

// request writes what a session asks for into the log, and leaves it to others to carry it out.
func (b *box) request(records ...translog.Payload) {
	b.t.Helper()
	x, err := b.x.Lock(b.t.Context(), b.w)
	must(b.t, err)
	var all []translog.NewRecord
	for _, r := range records {
		all = append(all, translog.NewRecord{Payload: r})
	}
	must(b.t, x.Commit(false, all...))
	must(b.t, x.Unlock())
}

func one(uid uint32) []translog.UIDRange { return []translog.UIDRange{{First: uid, Last: uid}} }

func TestRequestsAreCarriedOut(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "old", "Subject: a\n\n", "Subject: b\n\n", "Subject: c\n\n", "Subject: d\n\n")
	b := s.open(t, "")
	b.mustSync()
	s.append(t, "INBOX", `\Seen`, "Subject: e\n\n") // a file that we have not seen
	b.request(
		translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 2}, Add: index.FlagSeen | index.FlagFlagged}, {UIDs: translog.UIDRange{First: 5, Last: 5}, Remove: index.FlagSeen}},
		translog.KeywordUpdate{Name: "new", UIDs: []translog.UIDRange{{First: 2, Last: 5}}},
		translog.KeywordUpdate{Name: "OLD", Remove: true, UIDs: one(3)},
		translog.KeywordReset(one(2)),
		translog.ExpungeGUIDs{{UID: 4}})
	b.mustSync()
	if x := b.x.State(); x.Tail() != x.Pos() {
		t.Errorf("tail %v, head %v", x.Tail(), x.Pos())
	}
	var infos []string
	for _, f := range s.files(t, "") {
		_, info, _ := strings.Cut(f, ":")
		infos = append(infos, info)
	}
	slices.Sort(infos)
	if diff := cmp.Diff([]string{"2,FS", "2,FSa", "2,b", "2,b"}, infos); diff != "" {
		t.Errorf("file names (-want +got):\n%s", diff)
	}
	want := []string{`1 \Flagged \Seen old`, `2 \Flagged \Seen `, "3  new", "5  new"}
	var got []string
	for _, r := range b.rows() {
		got = append(got, r[:strings.LastIndexByte(r, ' ')])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	equal(t, "after the requests", b, "INBOX")
	resynced(t, s, "INBOX")
	b.mustSync() // the directories had just been changed
	if b.mustSync() {
		t.Error("there is always something to do")
	}
}

// Other programs rename and remove files, and know nothing of dovecot-uidlist and index.
func TestFilesAreTheTruth(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "kw", "Subject: a\n\n", "Subject: b\n\n", "Subject: c\n\n")
	b := s.open(t, "")
	b.mustSync()
	files := s.saved(t, "")
	rename := func(i int, info string) {
		t.Helper()
		base, _, _ := strings.Cut(files[i], ":")
		to := base + ":2," + info
		must(t, os.Rename(filepath.Join(s.Root, files[i]), filepath.Join(s.Root, to)))
		files[i] = to
	}
	rename(0, "FPSa")
	rename(1, "")
	must(t, os.Remove(filepath.Join(s.Root, files[2])))
	b.mustSync()
	equal(t, "after changes of files", b, "INBOX")
	if got := b.rows(); len(got) != 2 || !strings.HasPrefix(got[0], `1 \Flagged \Seen kw `) || !strings.HasPrefix(got[1], "2   ") {
		t.Errorf("messages %q", got)
	}
	b.request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 1}, Remove: index.FlagSeen}})
	b.mustSync()
	if _, err := os.Stat(filepath.Join(s.Root, strings.TrimSuffix(files[0], "FPSa")+"FPa")); err != nil {
		t.Errorf("an unknown flag is not kept: %v", err)
	}
	resynced(t, s, "INBOX")
}

func TestNameWithColons(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: a\n\n")
	for _, name := range []string{"1.M1P2.[::1]:2,FS", "2.x:3:2,S", "3.x:2,SF:2,T", "4.x:1,F", "5.x:2,S:"} {
		s.deliver(t, "", "1", "Subject: b\n\n")
		must(t, s.fs.Rename(filepath.Join(s.Root, "new", "1"), filepath.Join(s.Root, "cur", name)))
	}
	b := s.open(t, "")
	b.mustSync()
	equal(t, "names with colons", b, "INBOX")
	b.request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 2, Last: 6}, Add: index.FlagAnswered}})
	b.mustSync()
	want := []string{"cur/1.M1P2.[::1]:2,FRS", "cur/2.x:3:2,RS", "cur/3.x:2,SF:2,RT", "cur/4.x:2,R", "cur/5.x:2,S:2,R"} // as of Dovecot
	if diff := cmp.Diff(want, slices.DeleteFunc(s.files(t, ""), func(f string) bool { return len(f) > 40 })); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	equal(t, "with other flags", b, "INBOX")
	resynced(t, s, "INBOX")
}

func TestListsWithCRLF(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "kw", "Subject: a\n\n", "Subject: b\n\n", "Subject: c\n\n")
	s.IMAP(t, "SELECT INBOX", `STORE 1 +FLAGS (\Deleted)`, "EXPUNGE")
	for _, name := range []string{"dovecot-uidlist", "dovecot-keywords"} {
		path := filepath.Join(s.Root, name)
		raw, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(raw), "\n", "\r\n")), 0o600))
	}
	b := s.open(t, "")
	b.mustSync()
	if diff := cmp.Diff([]string{"2  kw", "3  kw"}, b.described()); diff != "" || len(b.reports) > 0 {
		t.Errorf("messages (-want +got):\n%s%q", diff, b.reports)
	}
	equal(t, "with CRLF", b, "INBOX")
	resynced(t, s, "INBOX")
}

// A letter whose name another one has means nothing.
func TestKeywordNamedTwice(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "foo", "Subject: a\n\n", "Subject: b\n\n")
	s.append(t, "INBOX", "", "Subject: c\n\n")
	b := s.open(t, "")
	b.mustSync()
	must(t, os.WriteFile(filepath.Join(s.Root, "dovecot-keywords"), []byte("0 foo\n1 foo\n"), 0o600))
	file := filepath.Join(s.Root, s.saved(t, "")[1])
	must(t, os.Rename(file, strings.TrimSuffix(file, "a")+"b"))
	b.mustSync()
	b.request(translog.KeywordUpdate{Name: "foo", UIDs: one(3)}, translog.KeywordUpdate{Name: "foo", Remove: true, UIDs: one(1)})
	b.mustSync()
	if diff := cmp.Diff([]string{"1  ", "2  ", "3  foo"}, b.described()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(strings.TrimSuffix(file, "a") + "b"); err != nil {
		t.Errorf("an unknown letter is not kept: %v", err)
	}
}

func TestExpungedFileThatIsBackGetsANewUID(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: a\n\n", "Subject: b\n\n")
	b := s.open(t, "")
	b.mustSync()
	files := s.saved(t, "")
	away := filepath.Join(s.Home, "away")
	must(t, os.Rename(filepath.Join(s.Root, files[0]), away))
	b.mustSync()
	if got := b.rows(); len(got) != 1 {
		t.Fatalf("messages %q", got)
	}
	must(t, os.Rename(away, filepath.Join(s.Root, files[0])))
	b.mustSync()
	if got := b.rows(); len(got) != 2 || !strings.HasPrefix(got[1], "3 ") {
		t.Errorf("messages %q", got)
	}
	equal(t, "a message that is back", b, "INBOX")
	resynced(t, s, "INBOX")
}

func TestTwoMessagesWithOneNameAreBothKept(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: a\n\n")
	b := s.open(t, "")
	b.mustSync()
	base, _, _ := strings.Cut(strings.TrimPrefix(s.files(t, "")[0], "cur/"), ":")
	s.deliver(t, "", base, "Subject: other\n\n")
	must(t, s.fs.Link(filepath.Join(s.Root, s.files(t, "")[0]), filepath.Join(s.Root, "cur", base+":2,F")))
	b.mustSync()
	if got := b.rows(); len(got) != 2 || b.text(1) != "Subject: a\n\n" || b.text(2) != "Subject: other\n\n" {
		t.Errorf("messages %q", got)
	}
	must(t, os.Remove(filepath.Join(s.Root, "cur", base+":2,F")))
	b.mustSync()
	equal(t, "two messages with one name", b, "INBOX")
}

func TestDamagedUidlist(t *testing.T) {
	for name, damage := range map[string]func(string) string{
		"lost":                  func(string) string { return "" },
		"no header":             func(s string) string { return "x" + s },
		"a line cut short":      func(s string) string { return s + "9 :10" },
		"a broken line":         func(s string) string { return strings.Replace(s, "\n2 :", "\nx :", 1) },
		"an entry out of order": func(s string) string { return strings.Replace(s, "\n1 :", "\n7 :", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			s.append(t, "INBOX", "kw", "Subject: a\n\n", "Subject: b\n\n", "Subject: c\n\n")
			path := filepath.Join(s.Root, "dovecot-uidlist")
			raw, err := os.ReadFile(path)
			must(t, err)
			if text := damage(string(raw)); text == "" {
				must(t, os.Remove(path))
			} else {
				must(t, os.WriteFile(path, []byte(text), 0o600))
			}
			b := s.open(t, "")
			b.mustSync()
			if got := b.rows(); len(got) != 3 || strings.Count(strings.Join(got, ""), " kw ") != 3 {
				t.Errorf("messages %q", got)
			}
			equal(t, "repaired", b, "INBOX")
			resynced(t, s, "INBOX")
		})
	}
}

func TestOtherUIDValidityStartsTheIndexAnew(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", `\Seen kw`, "Subject: a\n\n", "Subject: b\n\n")
	b := s.open(t, "")
	b.mustSync()
	modSeq := b.x.State().HighestModSeq()
	must(t, s.fs.Remove(filepath.Join(s.Root, "dovecot-uidlist")))
	var list string
	for i, f := range s.saved(t, "") {
		list += fmt.Sprintf("%d :%s\n", 10+i, maildir.Base(strings.TrimPrefix(f, "cur/")))
	}
	f, err := s.fs.OpenWrite(filepath.Join(s.Root, "dovecot-uidlist"), 1, 0o600)
	must(t, err)
	_, err = f.Write([]byte("3 V99 N12 G" + strings.Repeat("ab", 16) + "\n" + list))
	must(t, err)
	must(t, f.Close())
	b.mustSync()
	if st := b.x.State(); st.UIDValidity() != 99 || st.HighestModSeq() < modSeq || len(b.rows()) != 2 || st.UIDs()[0] != 10 {
		t.Errorf("UIDVALIDITY %d, modseq %d after %d, messages %q", st.UIDValidity(), st.HighestModSeq(), modSeq, b.rows())
	}
	equal(t, "started anew", b, "INBOX")
	resynced(t, s, "INBOX")
}

func TestOldTemporaryFilesAreRemoved(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: a\n\n")
	name := filepath.Join(s.Root, "tmp", "1.M1P1.h")
	must(t, os.WriteFile(name, nil, 0o600))
	must(t, os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0))) // the INTERNALDATE of a message that is being written
	later := time.Now()
	b := s.openAt(t, "", func() time.Time { return later })
	b.mustSync()
	if _, err := os.Stat(name); err != nil {
		t.Errorf("a new file: %v", err)
	}
	later = later.Add(37 * time.Hour)
	b.mustSync()
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("an old file: %v", err)
	}
}
