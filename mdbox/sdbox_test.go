package mdbox_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
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
