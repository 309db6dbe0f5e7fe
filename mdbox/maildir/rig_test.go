package maildir_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// nobody owns the mails when the test runs as root: Dovecot serves none as root.
const nobody = 65534

// store is a Maildir of the installed Dovecot, and of ours.
type store struct {
	*mdboxtest.Store
	fs  vfs.FS
	log string
}

func newStore(t testing.TB, settings ...string) *store {
	t.Helper()
	dir := mdboxtest.ReachableDir(t)
	uid, gid := os.Geteuid(), os.Getegid()
	s := &store{fs: vfs.OS, log: filepath.Join(dir, "dovecot.log")}
	home := filepath.Join(dir, "home")
	must(t, os.Mkdir(home, 0o700))
	must(t, os.WriteFile(s.log, nil, 0o600))
	if uid == 0 {
		uid, gid = nobody, nobody
		must(t, os.Chown(home, uid, gid))
		must(t, os.Chown(s.log, uid, gid))
		var err error
		s.fs, err = vfs.As(vfs.OS, uid, gid, nil)
		must(t, err)
	}
	conf := filepath.Join(dir, "dovecot.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, `base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[2]s
protocols = imap
ssl = no
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = nobody
default_login_user = nobody
mail_location = maildir:~/Maildir
mail_uid = %[3]d
mail_gid = %[4]d
namespace inbox {
  inbox = yes
  separator = /
}
passdb {
  driver = static
}
userdb {
  driver = static
  args = uid=%[3]d gid=%[4]d home=%[5]s
}
%[6]s
`, dir, s.log, uid, gid, home, strings.Join(settings, "\n")), 0o600))
	if os.Geteuid() == 0 {
		must(t, os.Chmod(conf, 0o644))
	}
	s.Store = &mdboxtest.Store{Home: home, Root: filepath.Join(home, "Maildir"), Conf: conf, Expected: &mdboxtest.Expected{User: "u"}}
	t.Cleanup(func() { s.quiet(t) })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// quiet fails if Dovecot has complained.
func (s *store) quiet(t testing.TB) {
	t.Helper()
	b, err := os.ReadFile(s.log)
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if !strings.Contains(line, ": Info: ") {
			t.Errorf("Dovecot: %s", line)
		}
	}
}

// append lets Dovecot save messages, with flags, one for each text.
func (s *store) append(t testing.TB, mailbox, flags string, texts ...string) {
	t.Helper()
	var commands []string
	for _, text := range texts {
		text = strings.ReplaceAll(text, "\n", "\r\n")
		commands = append(commands, fmt.Sprintf("APPEND %q (%s) {%d+}\r\n%s", mailbox, flags, len(text), text))
	}
	s.IMAP(t, commands...)
}

// box is a mailbox as a server of ours has it open.
type box struct {
	t testing.TB
	s *store
	m *maildir.Mailbox
	x *index.Index
	w *index.Writing
	// reports are what it had to tell.
	reports []string
	// expunged are the texts of messages that it has expunged.
	expunged []string
}

func (s *store) open(t testing.TB, dir string) *box {
	t.Helper()
	return s.openAt(t, dir, nil)
}

func (s *store) openAt(t testing.TB, dir string, now func() time.Time) *box {
	t.Helper()
	dir = filepath.Join(s.Root, dir)
	b := &box{t: t, s: s}
	locks := &filelock.Config{FS: s.fs, DotlockExcl: true}
	c := &maildir.Config{FS: s.fs, Lock: locks, Now: now, NewUIDValidity: func() (uint32, error) { return 4711, nil },
		Report: func(err error) { b.reports = append(b.reports, err.Error()) }}
	b.m = maildir.New(c, maildir.Dirs{Mail: dir, Control: dir}, vfs.Private)
	b.w = &index.Writing{Lock: locks}
	x, l, err := index.Create(context.Background(), index.Options{FS: s.fs, Dir: dir}, b.w)
	must(t, err)
	must(t, l.Unlock())
	b.x = x
	return b
}

// sync syncs the mailbox, and reports whether that changed its index.
func (b *box) sync(o maildir.SyncOptions) (changed bool, err error) {
	err = b.locked(func(l *maildir.Locked, x *index.Locked) (err error) {
		changed, err = l.Sync(x, o)
		return err
	})
	return changed, err
}

// locked calls f with the locks of mailbox and index.
func (b *box) locked(f func(*maildir.Locked, *index.Locked) error) error {
	l, err := b.m.Lock(context.Background())
	if err != nil {
		return err
	}
	x, err := b.x.Lock(context.Background(), b.w)
	if err != nil {
		return errors.Join(err, l.Unlock())
	}
	err = f(l, x)
	if err == nil {
		err = x.Maintain()
	}
	return errors.Join(err, x.Unlock(), l.Unlock())
}

func (b *box) mustSync() (changed bool) {
	b.t.Helper()
	changed, err := b.sync(maildir.SyncOptions{})
	must(b.t, err)
	return changed
}

// row is a message as text: UID, flags, keywords, GUID.
func row(uid uint32, flags, keywords []string, guid string) string {
	return fmt.Sprintf("%d %s %s %s", uid, strings.Join(flags, " "), strings.Join(keywords, " "), guid)
}

// rows are the messages that our index has.
func (b *box) rows() (rows []string) {
	b.t.Helper()
	_, err := b.x.Refresh()
	must(b.t, err)
	s := b.x.State()
	names := s.Keywords()
	for i, uid := range s.UIDs() {
		var flags, keywords []string
		for flag, name := range map[uint8]string{index.FlagAnswered: `\Answered`, index.FlagFlagged: `\Flagged`, index.FlagDeleted: `\Deleted`,
			index.FlagSeen: `\Seen`, index.FlagDraft: `\Draft`} {
			if s.Flags()[i]&flag != 0 {
				flags = append(flags, name)
			}
		}
		words := s.AppendKeywords(nil, i, s.KeywordWords())
		for k, name := range names {
			if words[k/64]&(1<<(k%64)) != 0 {
				keywords = append(keywords, name)
			}
		}
		slices.Sort(flags)
		slices.Sort(keywords)
		e, ok, err := b.m.Lookup(uid)
		if err != nil || !ok {
			b.t.Errorf("message %d is not in dovecot-uidlist: %v", uid, err)
		}
		rows = append(rows, row(uid, flags, keywords, e.GUID()))
	}
	return rows
}

// theirs are the messages that Dovecot shows.
func (s *store) theirs(t testing.TB, mailbox string) (rows []string) {
	t.Helper()
	for _, m := range s.Describe(t, mailbox, false).Mails {
		rows = append(rows, row(m.UID, m.Flags, m.Keywords, m.GUID))
	}
	return rows
}

// text reads the file of a message.
func (b *box) text(uid uint32) string {
	b.t.Helper()
	f, _, err := b.m.Open(uid)
	must(b.t, err)
	defer f.Close()
	st, err := f.Stat()
	must(b.t, err)
	p := make([]byte, st.Size)
	_, err = f.ReadAt(p, 0)
	must(b.t, err)
	return string(p)
}

// deliver puts a message into new/, as a program does that knows nothing of Dovecot's files.
func (s *store) deliver(t testing.TB, dir, name, text string) {
	t.Helper()
	tmp, to := filepath.Join(s.Root, dir, "tmp", name), filepath.Join(s.Root, dir, "new", name)
	f, err := s.fs.OpenWrite(tmp, vfs.Create|vfs.Exclusive, 0o600)
	must(t, err)
	_, err = f.Write([]byte(text))
	must(t, err)
	must(t, f.Close())
	must(t, s.fs.Rename(tmp, to))
}

// files are the names in cur/ and new/.
func (s *store) files(t testing.TB, dir string) (names []string) {
	t.Helper()
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(s.Root, dir, sub))
		must(t, err)
		for _, e := range entries {
			names = append(names, sub+"/"+e.Name())
		}
	}
	return names
}

// saved is files of messages that were saved one after the other, in that order: the microseconds in their names have no leading zeros.
func (s *store) saved(t testing.TB, dir string) []string {
	t.Helper()
	names := s.files(t, dir)
	at := func(name string) (seconds, micros int) {
		_, err := fmt.Sscanf(path.Base(name), "%d.M%dP", &seconds, &micros)
		must(t, err)
		return seconds, micros
	}
	slices.SortFunc(names, func(a, b string) int {
		as, am := at(a)
		bs, bm := at(b)
		return cmp.Or(cmp.Compare(as, bs), cmp.Compare(am, bm))
	})
	return names
}
