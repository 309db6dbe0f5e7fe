package mdbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
)

// sizedStore is a store whose INBOX has messages of which the sizes are noted wrong.
type sizedStore struct {
	*dovecotStore
	format string
	texts  []string // of the messages, with CRLF line ends

	mu      sync.Mutex
	reports []string
}

// newSizedStore makes a store in a format with a small message and a large one, which Dovecot saves.
func newSizedStore(t *testing.T, format string, settings ...string) *sizedStore {
	t.Helper()
	s := &sizedStore{dovecotStore: newDovecotStore(t, format+":~/mail", settings...), format: format}
	s.Root = filepath.Join(s.Home, "mail")
	for _, size := range []int{100, 300_000} {
		text := message(fmt.Sprint(size), size)
		s.texts = append(s.texts, text)
		s.IMAP(t, fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
	}
	return s
}

// cacheFile is the path of the cache of INBOX.
func (s *sizedStore) cacheFile() string {
	if s.format == "maildir" {
		return filepath.Join(s.Root, "dovecot.index.cache")
	}
	return filepath.Join(s.Root, "mailboxes", "INBOX", "dbox-Mails", "dovecot.index.cache")
}

// note changes a number of each message: V of its metadata, in a dbox file; or W or S of the name of a Maildir's file.
func (s *sizedStore) note(t *testing.T, key string, by int) {
	t.Helper()
	removeAll(t, s.cacheFile())
	mustDo := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(s.Root, map[string]string{
		"maildir": "*/*,S=*", "sdbox": "mailboxes/INBOX/dbox-Mails/u.*", "mdbox": "storage/m.*"}[s.format]))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if s.format == "maildir" {
			uidlist := filepath.Join(s.Root, "dovecot-uidlist")
			b, err := os.ReadFile(uidlist)
			mustDo(err)
			base, _, _ := strings.Cut(filepath.Base(f), ":")
			changed := changeNumber(t, base, ","+key+"=", 10, by)
			mustDo(os.WriteFile(uidlist, bytes.ReplaceAll(b, []byte(base), []byte(changed)), 0o600))
			mustDo(os.Rename(f, strings.Replace(f, base, changed, 1)))
			continue
		}
		b, err := os.ReadFile(f)
		mustDo(err)
		text := string(b)
		for at := strings.Index(text, "\n"+key); at >= 0; {
			was := len(text)
			text = text[:at] + changeNumber(t, text[at:], "\n"+key, 16, by)
			if len(text) != was && s.format == "mdbox" {
				t.Fatalf("%s: the map does not find the message behind a longer number", f)
			}
			next := strings.Index(text[at+2:], "\n"+key)
			if next < 0 {
				break
			}
			at += 2 + next
		}
		mustDo(os.WriteFile(f, []byte(text), 0o600))
	}
}

// changeNumber adds to the number behind the first key.
func changeNumber(t *testing.T, text, key string, base, by int) string {
	t.Helper()
	before, after, ok := strings.Cut(text, key)
	rest := strings.TrimLeft(after, "0123456789abcdef"[:base])
	n, err := strconv.ParseInt(after[:len(after)-len(rest)], base, 64)
	if !ok || err != nil {
		t.Fatalf("no number behind %q in %.100q", key, text)
	}
	return before + key + strconv.FormatInt(n+int64(by), base) + rest
}

// opened opens the store, and keeps what is reported.
func (s *sizedStore) opened(t *testing.T, tune ...func(*mdbox.Options)) *mdbox.Mailbox {
	t.Helper()
	report := func(o *mdbox.Options) {
		o.Write.Cache = cache.DefaultPolicy()
		o.Report = func(err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.reports = append(s.reports, err.Error())
		}
	}
	return openBox(t, s.open(t, append([]func(*mdbox.Options){report}, tune...)...), "INBOX")
}

// wantReports checks that there are n reports, each with the words, and forgets them.
func (s *sizedStore) wantReports(t *testing.T, when string, n int, words ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reports) != n {
		t.Errorf("%s: %d reports, want %d: %q", when, len(s.reports), n, s.reports)
	}
	for _, r := range s.reports {
		for _, w := range words {
			if !strings.Contains(r, w) {
				t.Errorf("%s: reported %q, without %q", when, r, w)
			}
		}
	}
	s.reports = nil
}

// readAgain reads a message as who has told nobody its size does.
func readAgain(t *testing.T, m *mdbox.Message) string {
	t.Helper()
	for range 2 {
		r, err := m.NewReader(0, 0)
		if err != nil {
			t.Errorf("UID %d: %v", m.UID(), err)
			return ""
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err == nil {
			return string(b)
		}
		if !errors.Is(err, dbox.ErrVirtualSize) {
			t.Errorf("UID %d: %v", m.UID(), err)
			return ""
		}
	}
	t.Errorf("UID %d: its size is found to be wrong again", m.UID())
	return ""
}

// uids are those that the two messages can have: a Dovecot that renames the file of one gives it another.
var uids = []uint32{1, 2, 3, 4}

// readEach reads the messages of b for a client, and compares texts, and then sizes.
func (s *sizedStore) readEach(t *testing.T, b *mdbox.Mailbox) {
	t.Helper()
	ms, err := b.Messages(uids)
	if err != nil {
		t.Fatal(err)
	}
	ms.Learn()
	for i := 0; ms.Next(); i++ {
		if got := readAgain(t, ms.Message()); got != s.texts[i] {
			t.Errorf("message %d: %d bytes, want %d", i+1, len(got), len(s.texts[i]))
		}
	}
	ms.Close()
	s.wantSizes(t, b)
}

func (s *sizedStore) wantSizes(t *testing.T, b *mdbox.Mailbox) {
	t.Helper()
	want := []uint64{uint64(len(s.texts[0])), uint64(len(s.texts[1]))}
	if got := noted(t, b); !slices.Equal(got, want) {
		t.Errorf("sizes %d, want %d", got, want)
	}
}

// noted returns the sizes of all messages, as a client is told.
func noted(t *testing.T, b *mdbox.Mailbox) (sizes []uint64) {
	t.Helper()
	ms, err := b.Messages(uids)
	if err != nil {
		t.Fatal(err)
	}
	defer ms.Close()
	for ms.Next() {
		n, err := ms.Message().Size()
		if err != nil {
			t.Errorf("UID %d: %v", ms.Message().UID(), err)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// wrongNotes are what can be noted wrong in a format.
var wrongNotes = []struct {
	format, key string
	by          int
}{
	{"mdbox", "V", 5}, {"mdbox", "V", -3}, {"sdbox", "V", 5000}, {"sdbox", "V", -3}, {"sdbox", "V", 5},
	{"maildir", "W", 5}, {"maildir", "W", -3}, {"maildir", "W", 5000}, {"maildir", "S", 5}, {"maildir", "S", -3},
}

// A message whose size is noted wrong is read, once reported, and then has the right size. A Dovecot that is told nothing ends the
// connection where more is noted than there is, and cuts the message where it is less; of dbox files it is told by the cache.
func TestWrongSizesBesideDovecot(t *testing.T) {
	for _, test := range wrongNotes {
		t.Run(fmt.Sprintf("%s/%s%+d", test.format, test.key, test.by), func(t *testing.T) {
			t.Parallel()
			s := newSizedStore(t, test.format)
			s.note(t, test.key, test.by)
			b := s.opened(t)
			noted(t, b) // it is told, and learned for the cache, until it is known better
			s.readEach(t, b)
			s.wantReports(t, "when read first", 2, "the size is noted as", s.Root)
			s.readEach(t, b)
			s.wantReports(t, "when read again", 0)
			if test.key == "S" {
				return // Dovecot does not read the message
			}
			for i, text := range s.texts {
				out := s.Doveadm(t, "fetch", "text", "mailbox", "INBOX", "uid", fmt.Sprint(i+1)) // whose size does not matter
				if !strings.Contains(out, strings.ReplaceAll(text, "\r\n", "\n")) {
					t.Errorf("message %d: Dovecot reads %.200q", i+1, out)
				}
			}
			if test.format == "maildir" {
				if test.by < 0 {
					return // Dovecot cuts the message
				}
				for range s.texts { // Dovecot ends the connection, and takes the number out of the name
					cmd := exec.Command("/usr/lib/dovecot/imap", "-c", s.Conf)
					cmd.Env = append(os.Environ(), "HOME="+s.Home, "USER=testuser")
					cmd.Stdin = strings.NewReader("a SELECT INBOX\r\na FETCH 1:2 (BODY.PEEK[])\r\na LOGOUT\r\n")
					if out, _ := cmd.CombinedOutput(); !bytes.Contains(out, []byte("got too little data")) {
						t.Fatalf("Dovecot does not complain: %s", out)
					}
				}
				if err := os.Truncate(s.log, 0); err != nil {
					t.Fatal(err)
				}
			}
			out := s.IMAP(t, "SELECT INBOX", "FETCH 1:2 (RFC822.SIZE BODY.PEEK[])")
			for i, text := range s.texts {
				if want := fmt.Sprintf("* %d FETCH (RFC822.SIZE %d BODY[] {%d}\r\n%s)\r\n", i+1, len(text), len(text), text); !strings.Contains(out, want) {
					t.Errorf("Dovecot does not answer %.80q: %.600q", want, out)
				}
			}
			s.readEach(t, s.opened(t))
		})
	}
}

// What is noted wrong in the cache, of messages whose own notes are right, is found out and corrected by who asks for the size and reads the message.
func TestWrongSizesInTheCache(t *testing.T) {
	s := newSizedStore(t, "mdbox")
	s.note(t, "V", 5)
	b := s.opened(t)
	ms, err := b.Messages([]uint32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	ms.Learn()
	for ms.Next() {
		ms.Message().Size() // of the large one: the wrong size goes to the cache
	}
	ms.Close()
	s.mu.Lock()
	s.reports = nil
	s.mu.Unlock()
	texts := s.cachedAndRight(t, -5)
	if got, want := noted(t, s.opened(t)), uint64(len(texts[1])+5); got[1] != want {
		t.Fatalf("size %d is cached, want the wrong one, %d", got[1], want)
	}
	b = s.opened(t)
	if ms, err = b.Messages(uids); err != nil {
		t.Fatal(err)
	}
	ms.Learn()
	for i := 0; ms.Next(); i++ {
		m := ms.Message()
		if _, err := m.Size(); err != nil {
			t.Error(err)
		}
		if got := readAgain(t, m); got != s.texts[i] {
			t.Errorf("message %d: %d bytes, want %d", i+1, len(got), len(s.texts[i]))
		}
		if n, err := m.Size(); err != nil || n != uint64(len(s.texts[i])) {
			t.Errorf("message %d: size %d, %v", i+1, n, err)
		}
	}
	ms.Close()
	s.wantSizes(t, b)
	s.wantReports(t, "when read first", 1, "dovecot.index.cache", "the size is noted as")
	s.wantSizes(t, s.opened(t))
	s.readEach(t, s.opened(t))
	s.wantReports(t, "when the store is opened again", 0)
}

// cachedAndRight makes V right again, and leaves the cache as it is.
func (s *sizedStore) cachedAndRight(t *testing.T, by int) []string {
	t.Helper()
	b, err := os.ReadFile(s.cacheFile())
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(s.cacheFile())
	if err != nil {
		t.Fatal(err)
	}
	s.note(t, "V", by)
	if err := os.WriteFile(s.cacheFile(), b, st.Mode()); err != nil {
		t.Fatal(err)
	}
	giveTo(t, s.Root)
	return s.texts
}

// Where the index has the sizes and their sum, both are made right when a message is read.
func TestWrongSizesInTheIndex(t *testing.T) {
	s := newSizedStore(t, "sdbox")
	s.note(t, "V", 5)
	b := s.opened(t)
	total := uint64(len(s.texts[0]) + len(s.texts[1]))
	if _, n, err := b.CountSize(t.Context()); err != nil || n != total+5 {
		t.Fatalf("sum %d, %v; want that of the notes, where they are believed, %d", n, err, total+5)
	}
	s.readEach(t, b)
	s.wantReports(t, "when read", 2)
	for _, b := range []*mdbox.Mailbox{b, s.opened(t)} {
		if _, n, err := b.CountSize(t.Context()); err != nil || n != total {
			t.Errorf("sum %d, %v; want %d", n, err, total)
		}
		s.wantSizes(t, b)
	}
	x, err := index.Open(index.Options{Dir: b.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := index.DecodeVSize(x.State().Ext(index.ExtVSize).Record(1)); !ok || n != uint32(len(s.texts[1])) {
		t.Errorf("the index has the size %d (%t), want %d", n, ok, len(s.texts[1]))
	}
	if _, err := b.Expunge(t.Context(), [16]byte{}, []uint32{1, 2}, false); err != nil {
		t.Fatal(err)
	}
	if _, n, err := b.CountSize(t.Context()); err != nil || n != 0 {
		t.Errorf("nothing is left, and the sum is %d, %v", n, err)
	}
}

// Copies of messages whose sizes are noted wrong have the whole text, and in another store the right size.
func TestCopyOfWrongSizes(t *testing.T) {
	for _, by := range []int{5, -3} {
		s := newSizedStore(t, "sdbox")
		s.note(t, "V", by)
		to := newSizedStore(t, "sdbox")
		_, err := s.opened(t).Copy(t.Context(), mdbox.CopyRequest{UIDs: []uint32{1, 2}, To: to.opened(t)})
		if err != nil {
			t.Fatal(err)
		}
		ms, err := to.opened(t).Messages([]uint32{3, 4})
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ms.Next(); i++ {
			if got := readAll(t, ms.Message()); string(got) != s.texts[i] {
				t.Errorf("V%+d: copy %d has %d bytes, want %d", by, i, len(got), len(s.texts[i]))
			}
			if n, err := ms.Message().Size(); err != nil || n != uint64(len(s.texts[i])) {
				t.Errorf("V%+d: copy %d has the size %d, %v", by, i, n, err)
			}
		}
		ms.Close()
		to.wantReports(t, "copies", 0)
	}
}

// A compressed Maildir file has its S and W of the text, of which nothing tells but reading it.
func TestWrongSizesOfCompressedMaildir(t *testing.T) {
	for _, by := range []int{5, -3} {
		s := newSizedStore(t, "maildir", "mail_plugins = zlib", "plugin {\n zlib_save = gz\n}")
		s.note(t, "S", by)
		b := s.opened(t)
		s.readEach(t, b)
		s.wantReports(t, "when read first", 2, "as stored")
		s.readEach(t, b)
		s.wantReports(t, "when read again", 0)
	}
}
