package mdbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs"
)

// newSdbox makes a store in the format sdbox, with three mailboxes that Dovecot has made.
func newSdbox(t *testing.T, params string, settings ...string) *dovecotStore {
	t.Helper()
	d := newDovecotStore(t, "sdbox:~/sdbox"+params, settings...)
	d.Root = filepath.Join(d.Home, "sdbox")
	d.IMAP(t, "CREATE A", "CREATE B", "STATUS INBOX (MESSAGES)")
	return d
}

// TestSdboxWrittenByBoth lets this library and a real Dovecot change the same sdbox store in turn, and compares what they see of it.
func TestSdboxWrittenByBoth(t *testing.T) {
	for name, params := range map[string]string{"plain": "", "places": ":INDEX=~/index:CONTROL=~/control:ALT=~/alt", "index layout": ":LAYOUT=index"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSdbox(t, params)
			s := d.open(t, func(o *mdbox.Options) {
				o.Write.Cache = cache.DefaultPolicy()
				o.Write.Index = index.Writing{RotateMinSize: 2000, RotateMaxSize: 6000, RewriteMinLog: 500, RewriteMaxLog: 2000}
			})
			names := []string{"INBOX", "A", "B"}
			boxes := map[string]*mdbox.Mailbox{}
			for _, n := range names {
				boxes[n] = openBox(t, s, n)
			}
			rng := rand.New(rand.NewPCG(3, 4))
			for round := range 12 {
				for i := range 8 {
					randomWrite(t, rng, boxes, fmt.Sprintf("%d-%d", round, i))
				}
				for _, n := range names { // Dovecot takes no message numbers that do not exist
					seed := fmt.Sprint("seed", round)
					if _, err := boxes[n].Append(t.Context(), []mdbox.NewMessage{newMail(seed+"a", 300, 0), newMail(seed+"b", 0, 0), newMail(seed+"c", 0, 0)}); err != nil {
						t.Fatal(err)
					}
				}
				dovecotWrites(t, rng, d.Store, names[rng.IntN(3)], names[rng.IntN(3)], round)
				for _, n := range names {
					sameAsDovecot(t, d.Store, boxes[n])
				}
				if t.Failed() {
					t.Fatalf("round %d", round)
				}
			}
			d.unchangedByResync(t)
		})
	}
}

// TestSdboxAlt moves messages to ALT storage with Dovecot, and lets this library read, copy, expunge, rename and delete them.
func TestSdboxAlt(t *testing.T) {
	d := newSdbox(t, ":ALT=~/alt")
	s := d.open(t)
	inbox, a := openBox(t, s, "INBOX"), openBox(t, s, "A")
	for _, b := range []*mdbox.Mailbox{inbox, a} {
		if _, err := b.Append(t.Context(), []mdbox.NewMessage{newMail("one", 300, 0), newMail("two", 2000, 0), newMail("three", 0, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	d.Doveadm(t, "altmove", "mailbox", "*", "ALL")
	wantFiles := func(want int) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(d.Home, "alt", "mailboxes", "*", "dbox-Mails", "u.*"))
		if err != nil || len(files) != want {
			t.Errorf("files in ALT: %v, want %d", files, want)
		}
	}
	wantFiles(6)
	sameAsDovecot(t, d.Store, inbox)
	if _, err := inbox.Copy(t.Context(), mdbox.CopyRequest{UIDs: []uint32{1, 2}, To: a}); err != nil {
		t.Fatal(err)
	}
	if _, err := inbox.Expunge(t.Context(), [16]byte{}, []uint32{2}, false); err != nil {
		t.Fatal(err)
	}
	wantFiles(5)
	sameAsDovecot(t, d.Store, a)
	if err := s.RenameMailbox(t.Context(), "INBOX", "new"); err != nil {
		t.Fatal(err)
	}
	if err := s.RenameMailbox(t.Context(), "A", "x/y"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"INBOX", "new", "x/y"} {
		sameAsDovecot(t, d.Store, openBox(t, s, name))
	}
	if err := s.DeleteMailbox(t.Context(), "x/y"); err != nil {
		t.Fatal(err)
	}
	wantFiles(2)
	if _, err := os.Stat(filepath.Join(d.Home, "alt", "mailboxes", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ALT storage of the deleted mailbox: %v", err)
	}
	d.unchangedByResync(t)
}

// TestSdboxAttachments: each message has attachments of its own, also where copies share the rest.
func TestSdboxAttachments(t *testing.T) {
	d := newSdbox(t, "")
	attachments := filepath.Join(d.Home, "attachments")
	conf, err := os.OpenFile(d.Conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conf, "mail_attachment_dir = %s\nmail_attachment_min_size = 1k\n", attachments)
	if err := conf.Close(); err != nil {
		t.Fatal(err)
	}
	text := "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/octet-stream\r\n" +
		"Content-Disposition: attachment; filename=x\r\n\r\n" + strings.Repeat("0123456789\r\n", 1000) + "--b--\r\n"
	d.IMAP(t, fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text), "SELECT INBOX", "COPY 1 A")
	count := func() int {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(attachments, "*", "*", "*-*-*-*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	if n := count(); n != 2 {
		t.Fatalf("%d attachments, want one for each message", n)
	}
	s := d.open(t, func(o *mdbox.Options) { o.AttachmentDir = attachments })
	inbox, a, b := openBox(t, s, "INBOX"), openBox(t, s, "A"), openBox(t, s, "B")
	if _, err := inbox.Copy(t.Context(), mdbox.CopyRequest{UIDs: []uint32{1}, To: b}); err != nil {
		t.Fatal(err)
	}
	if _, err := inbox.Expunge(t.Context(), [16]byte{}, []uint32{1}, false); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 {
		t.Errorf("%d attachments after one of two messages with attachments was expunged", n)
	}
	for _, box := range []*mdbox.Mailbox{a, b} {
		ms, err := box.Messages([]uint32{1})
		if err != nil || !ms.Next() {
			t.Fatalf("%s: no message: %v", box.Name(), err)
		}
		if got := readAll(t, ms.Message()); string(got) != text {
			t.Errorf("%s: %d bytes, want %d: %.200q", box.Name(), len(got), len(text), got)
		}
		ms.Close()
	}
	d.unchangedByResync(t)
}

// TestSdboxLeftovers: a file that a killed process has left keeps its name, and a mailbox that has lost its index is not taken for an empty one.
func TestSdboxLeftovers(t *testing.T) {
	d := newSdbox(t, "")
	s := d.open(t)
	a := openBox(t, s, "A")
	if _, err := a.Append(t.Context(), []mdbox.NewMessage{newMail("one", 300, 0)}); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadFile(filepath.Join(a.Dir(), "u.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"u.3", "u.4"} {
		if err := os.WriteFile(filepath.Join(a.Dir(), name), left, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	saved, err := a.Append(t.Context(), []mdbox.NewMessage{newMail("two", 300, 0), newMail("three", 300, 0)})
	if err != nil || !slices.Equal(saved.UIDs, []uint32{5, 6}) {
		t.Fatalf("saved as %v, %v", saved, err)
	}
	sameAsDovecot(t, d.Store, a)
	report, err := check.Verify(t.Context(), s, check.Options{})
	if err != nil || len(report.Findings) != 2 || report.Findings[0].Kind != check.Leftover {
		t.Errorf("verified: %+v, %v", report, err)
	}
	for _, name := range []string{"dovecot.index.log", "dovecot.index", "dovecot.index.cache"} {
		if err := os.Remove(filepath.Join(a.Dir(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	var damage *vfs.CorruptError
	if _, err := d.open(t).OpenMailbox("A"); !errors.As(err, &damage) {
		t.Errorf("a mailbox without index: %v", err)
	}
}

// TestSdboxToMdbox copies messages between stores of different formats.
func TestSdboxToMdbox(t *testing.T) {
	d, e := newSdbox(t, ""), newDovecotStore(t, "mdbox:~/mdbox")
	s, m := d.open(t), e.open(t)
	from, to := openBox(t, s, "INBOX"), openBox(t, m, "INBOX")
	if _, err := from.Append(t.Context(), []mdbox.NewMessage{newMail("one", 300, index.FlagSeen, "Work"), newMail("two", 30_000, 0)}); err != nil {
		t.Fatal(err)
	}
	if c, err := from.Copy(t.Context(), mdbox.CopyRequest{UIDs: []uint32{1, 2}, To: to, Move: true}); err != nil || len(c.UIDs) != 2 {
		t.Fatalf("%+v, %v", c, err)
	}
	if c, err := to.Copy(t.Context(), mdbox.CopyRequest{UIDs: []uint32{2}, To: from}); err != nil || len(c.UIDs) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	sameAsDovecot(t, d.Store, from)
	sameAsDovecot(t, e.Store, to)
}

// TestSdboxOfMdbox opens an mdbox store as one of the format sdbox: nothing is saved or expunged in it, so that Dovecot finds what it has had.
func TestSdboxOfMdbox(t *testing.T) {
	d := newDovecotStore(t, "mdbox:~/mdbox")
	s := d.open(t)
	if _, err := openBox(t, s, "INBOX").Append(t.Context(), []mdbox.NewMessage{newMail("one", 300, 0), newMail("two", 300, 0)}); err != nil {
		t.Fatal(err)
	}
	b := openBox(t, (&dovecotStore{Store: d.Store, location: "sdbox:~/mdbox", log: d.log}).open(t), "INBOX")
	var damage *vfs.CorruptError
	if _, err := b.Append(t.Context(), []mdbox.NewMessage{newMail("three", 300, 0)}); !errors.As(err, &damage) || !strings.Contains(err.Error(), "is one of an mdbox store") {
		t.Errorf("append: %v", err)
	}
	if _, err := b.Copy(t.Context(), mdbox.CopyRequest{UIDs: []uint32{1}, To: b}); err == nil {
		t.Error("copied")
	}
	if _, err := b.Expunge(t.Context(), [16]byte{}, []uint32{1}, false); !errors.As(err, &damage) {
		t.Errorf("expunge: %v", err)
	}
	sameAsDovecot(t, d.Store, openBox(t, s, "INBOX"))
	d.unchangedByResync(t)
}

// TestSdboxReadsAsDovecot compares dates, sizes and texts of what Dovecot has written, plain and compressed, with and without a cache.
func TestSdboxReadsAsDovecot(t *testing.T) {
	for name, settings := range map[string][]string{
		"plain":      {"mail_always_cache_fields = date.save"},
		"no cache":   {"mail_never_cache_fields = *"},
		"compressed": {"mail_plugins = zlib", "plugin {", "  zlib_save = gz", "}"},
		"crlf":       {"mail_save_crlf = yes"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newSdbox(t, "", settings...)
			var commands []string
			for i := range 12 {
				m := message(fmt.Sprint("m", i), i*i*1000)
				commands = append(commands, fmt.Sprintf("APPEND A (\\Flagged) \"%02d-Feb-2020 10:11:12 +0100\" {%d+}\r\n%s", i+1, len(m), m))
			}
			d.IMAP(t, append(commands, "SELECT A", "COPY 2:5 B", "MOVE 6:7 INBOX", "UID STORE 9 +FLAGS (\\Deleted)", "EXPUNGE")...)
			s := d.open(t)
			for _, box := range []string{"A", "B", "INBOX"} {
				var want []map[string]string
				out := d.Doveadm(t, "-f", "json", "fetch", "uid guid date.received.unixtime date.saved.unixtime size.virtual text", "mailbox", box, "all")
				if err := json.Unmarshal([]byte(out), &want); err != nil {
					t.Fatal(err)
				}
				b := openBox(t, s, box)
				sameAsDovecot(t, d.Store, b)
				ms, err := b.Messages(mustSnapshot(t, b).Messages.UIDs)
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for ; ms.Next(); n++ {
					m := ms.Message()
					guid, err1 := m.GUID()
					received, err2 := m.Received()
					size, err3 := m.Size()
					got := map[string]string{"uid": fmt.Sprint(m.UID()), "guid": guid, "date.received.unixtime": fmt.Sprint(received),
						"date.saved.unixtime": fmt.Sprint(m.SaveDate()), "size.virtual": fmt.Sprint(size), "text": strings.ReplaceAll(string(readAll(t, m)), "\r\n", "\n")}
					want[n]["text"] = strings.ReplaceAll(want[n]["text"], "\r\n", "\n")
					if diff := cmp.Diff(want[n], got); diff != "" || errors.Join(err1, err2, err3) != nil {
						t.Errorf("%s: %v\n%s", box, errors.Join(err1, err2, err3), diff)
					}
				}
				if ms.Close(); n == 0 || n != len(want) {
					t.Errorf("%s: %d messages, Dovecot has %d", box, n, len(want))
				}
			}
		})
	}
}
