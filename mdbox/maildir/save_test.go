package maildir_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// place brings drafts into the mailbox, as a server does that saves messages.
func (b *box) place(drafts ...*maildir.Draft) (first uint32, err error) {
	err = b.locked(func(l *maildir.Locked, x *index.Locked) (err error) {
		if _, err = l.Sync(x, maildir.SyncOptions{}); err != nil {
			return errors.Join(err, abort(drafts))
		}
		if first, err = l.Place(drafts); err != nil {
			return err
		}
		header, err := l.HeaderRecords(x)
		if err != nil {
			return errors.Join(err, abort(drafts))
		}
		var appends translog.Appends
		for i, d := range drafts {
			appends = append(appends, translog.AppendedMessage{UID: first + uint32(i), Flags: d.Flags})
		}
		records := append(header, translog.NewRecord{External: true, Payload: appends})
		for i, d := range drafts {
			for _, k := range d.Keywords {
				records = append(records, translog.NewRecord{External: true, Payload: translog.KeywordUpdate{Name: k, UIDs: one(first + uint32(i))}})
			}
		}
		if err := x.Commit(true, records...); err != nil {
			return errors.Join(err, abort(drafts))
		}
		return x.CommitTail()
	})
	return first, err
}

func abort(drafts []*maildir.Draft) (err error) {
	for _, d := range drafts {
		err = errors.Join(err, d.Abort())
	}
	return err
}

const received = 1577872800 // 2020-01-01 10:00:00 UTC

// save saves a message with flags.
func (b *box) save(text string, flags uint8, keywords ...string) (uid uint32, err error) {
	d, err := b.m.Save(received, strings.NewReader(text), nil)
	if err != nil {
		return 0, err
	}
	d.Flags, d.Keywords = flags, keywords
	return b.place(d)
}

func TestSavedMessagesAreDovecots(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "theirs", "Subject: a\n\nbody\n")
	b := s.open(t, "")
	uid, err := b.save("Subject: b\r\n\r\nbody\r\n", 0)
	must(t, err)
	if _, err = b.save("Subject: c\n\nbody\r\r\n", index.FlagSeen|index.FlagDraft, "ours", "theirs"); err != nil || uid != 2 {
		t.Errorf("UID %d, %v", uid, err)
	}
	equal(t, "saved", b, "INBOX")
	if got := b.text(3); got != "Subject: c\n\nbody\r\n" {
		t.Errorf("text %q", got)
	}
	for i, r := range fetch(t, s, "INBOX", "uid size.physical size.virtual date.received.unixtime hdr.subject") {
		if want := "2 17 20 1577872800 b"; i == 1 && r != want {
			t.Errorf("Dovecot reads %q, want %q", r, want)
		}
	}
	b.mustSync()
	resynced(t, s, "INBOX")
	if out := s.IMAP(t, "EXAMINE INBOX"); !strings.Contains(out, "* 3 RECENT") {
		t.Errorf("saved messages are not recent:\n%s", out)
	}
	entries, err := os.ReadDir(filepath.Join(s.Root, "tmp"))
	if err != nil || len(entries) > 0 {
		t.Errorf("left in tmp: %v, %v", entries, err)
	}
}

// fetch returns what doveadm fetches of each message, on a line.
func fetch(t testing.TB, s *store, mailbox, fields string) (rows []string) {
	t.Helper()
	out := s.Doveadm(t, "-f", "tab", "fetch", fields, "mailbox", mailbox, "all")
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	return rows[1:]
}

func TestCopiesShareTheFile(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", `\Seen kw other`, "Subject: a\n\nbody\n")
	s.IMAP(t, "CREATE Other")
	s.append(t, "Other", "other", "Subject: x\n\n")
	in, other := s.open(t, ""), s.open(t, ".Other")
	in.mustSync()
	for range 2 { // the second one finds the name taken
		d, err := other.m.Link(in.m, 1)
		must(t, err)
		d.Flags, d.Keywords = index.FlagSeen, []string{"kw", "other"}
		_, err = other.place(d)
		must(t, err)
	}
	equal(t, "copied", other, "Other")
	rows := other.rows()
	guid := func(row string) string { return row[strings.LastIndexByte(row, ' '):] }
	if len(rows) != 3 || guid(rows[1]) != guid(rows[2]) || guid(rows[1]) != guid(in.rows()[0]) {
		t.Errorf("messages %q, copies of %q", rows, in.rows())
	}
	original, err := os.Stat(filepath.Join(s.Root, s.files(t, "")[0]))
	must(t, err)
	var infos []string
	for _, f := range s.files(t, ".Other") {
		_, info, _ := strings.Cut(f, ":")
		infos = append(infos, info)
		st, err := os.Stat(filepath.Join(s.Root, ".Other", f))
		if err != nil || os.SameFile(st, original) != (info == "2,Sab") {
			t.Errorf("%s is a file of its own, or not: %v", f, err)
		}
	}
	slices.Sort(infos)
	if diff := cmp.Diff([]string{"2,Sab", "2,Sab", "2,a"}, infos); diff != "" {
		t.Errorf("letters are those of the mailbox (-want +got):\n%s", diff)
	}
	resynced(t, s, "Other")
	if _, err := other.m.Link(in.m, 77); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("copy of a message that does not exist: %v", err)
	}
}

func TestMoreKeywordsThanLetters(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: a\n\n")
	b := s.open(t, "")
	var keywords []string
	for i := range 30 {
		keywords = append(keywords, fmt.Sprintf("kw%02d", i))
	}
	_, err := b.save("Subject: b\n\n", 0, keywords...)
	must(t, err)
	b.request(translog.KeywordUpdate{Name: "kw29", UIDs: one(1)}, translog.KeywordUpdate{Name: "kw03", UIDs: one(1)})
	b.mustSync()
	_, err = b.sync(maildir.SyncOptions{Force: true})
	must(t, err)
	equal(t, "many keywords", b, "INBOX")
	if got := b.rows(); strings.Count(got[1], "kw") != 30 || !strings.HasPrefix(got[0], "1  kw03 kw29 ") {
		t.Errorf("messages %q", got)
	}
	resynced(t, s, "INBOX")
}

// TestMovesOfTheKilledAreFinished: what a process has noted in tmp/ and not moved comes into the mailbox with the next lock, and nothing else does.
func TestMovesOfTheKilledAreFinished(t *testing.T) {
	s := newStore(t)
	s.append(t, "INBOX", "", "Subject: there\n\n")
	b := s.open(t, "")
	b.mustSync()
	tmp, cur := filepath.Join(s.Root, "tmp"), filepath.Join(s.Root, "cur")
	entries, err := os.ReadDir(cur)
	must(t, err)
	there := entries[0].Name()
	write := func(dir, name, text string) {
		f, err := s.fs.OpenWrite(filepath.Join(dir, name), vfs.Create, 0o600)
		must(t, err)
		_, err = f.Write([]byte(text))
		must(t, errors.Join(err, f.Close()))
	}
	count := func() int {
		b.mustSync()
		entries, err := os.ReadDir(cur)
		must(t, err)
		if _, err := os.Stat(filepath.Join(tmp, "roost.moves")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the note is still there: %v", err)
		}
		if len(entries) != len(b.x.State().UIDs()) {
			t.Errorf("%d files, and messages %v", len(entries), b.x.State().UIDs())
		}
		return len(entries)
	}
	write(tmp, "5.M1P1.h", "Subject: one\n\n")
	write(tmp, "5.M2P1.h", "Subject: two\n\n")
	write(tmp, "roost.moves", "5.M1P1.h\t5.M1P1.h:2,S\n5.M2P1.h\t5.M2P1.h:2,\n") // it has no end: nothing was moved
	if n := count(); n != 1 {
		t.Errorf("%d messages", n)
	}
	write(tmp, "roost.moves", "5.M1P1.h\t../5.M1P1.h:2,S\n5.M1P1.h\t.x\nx\n\n5.M2P1.h\t"+there+"\n5.M3P1.h\t5.M3P1.h:2,\n.\n") // or is somebody else's
	if n := count(); n != 1 {
		t.Errorf("%d messages", n)
	}
	write(tmp, "roost.moves", "5.M1P1.h\t5.M1P1.h:2,S\n5.M2P1.h\t5.M2P1.h:2,\n.\n") // nothing was moved
	if n := count(); n != 1 {
		t.Errorf("%d messages", n)
	}
	write(tmp, "roost.moves", "5.M0P1.h\t5.M0P1.h:2,S\n5.M1P1.h\t5.M1P1.h:2,S\n5.M2P1.h\t5.M2P1.h:2,\n.\n")
	if n := count(); n != 3 {
		t.Errorf("%d messages", n)
	}
	resynced(t, s, "INBOX")
}
