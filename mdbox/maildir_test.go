package mdbox_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
)

// newMaildir makes a store in the format Maildir, with three mailboxes that Dovecot has made.
func newMaildir(t *testing.T, params string, settings ...string) *dovecotStore {
	t.Helper()
	d := newDovecotStore(t, "maildir:~/Maildir"+params, settings...)
	d.Root = filepath.Join(d.Home, "Maildir")
	d.IMAP(t, "CREATE A", "CREATE B", "STATUS INBOX (MESSAGES)")
	return d
}

// TestMaildirWrittenByBoth lets this library and a real Dovecot change the same Maildir in turn, and compares what they see of it.
func TestMaildirWrittenByBoth(t *testing.T) {
	for name, params := range map[string]string{"plain": "", "places": ":INDEX=~/index:CONTROL=~/control"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newMaildir(t, params)
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

// TestMaildirTree changes the tree of a Maildir++, and lets Dovecot, in a session that has been there before, see and use the result.
func TestMaildirTree(t *testing.T) {
	for _, params := range []string{"", ":INDEX=~/index:CONTROL=~/control"} {
		t.Run(params, func(t *testing.T) {
			d := newDovecotStore(t, "maildir:~/Maildir"+params)
			s, session := d.open(t), d.session(t)
			for _, name := range []string{"INBOX", "a", "a/b", "a/b/c", "INBOX/child"} {
				if name != "INBOX" {
					mustChange(t, s, change{"CREATE", name, ""})
				}
				session.appendMail(name, "one "+name)
			}
			before := open(t, s, "a/b")
			mustChange(t, s, change{"RENAME", "a", "x/y"}, change{"CREATE", "gone", ""})
			session.thrownOut = true
			session.try("NOOP")
			session.appendMail("gone", "of a mailbox that is deleted")
			mustChange(t, s, change{"DELETE", "gone", ""})
			after := open(t, s, "x/y/b")
			if after.GUID != before.GUID || after.UIDValidity != before.UIDValidity || len(after.Messages.UIDs) != 1 {
				t.Errorf("renamed: %x %d %v, was %x %d", after.GUID, after.UIDValidity, after.Messages.UIDs, before.GUID, before.UIDValidity)
			}
			want := map[string]bool{"INBOX": true, "INBOX/child": true, "x": false, "x/y": true, "x/y/b": true, "x/y/b/c": true}
			if diff := cmp.Diff(want, names(t, s)); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			session = d.session(t)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(session.list()))); diff != "" {
				t.Errorf("roost lists (-), Dovecot lists (+):\n%s", diff)
			}
			for _, name := range []string{"x/y", "x/y/b/c"} {
				session.appendMail(name, "two")
				if n := len(open(t, s, name).Messages.UIDs); n != 2 {
					t.Errorf("%d messages in %s", n, name)
				}
			}
			for c, want := range map[change]error{
				{"CREATE", "x/y/b", ""}:      mdbox.ErrExists,
				{"DELETE", "gone", ""}:       mdbox.ErrNotFound,
				{"DELETE", "x", ""}:          mdbox.ErrHasChildren,
				{"RENAME", "gone", "z"}:      mdbox.ErrNotFound,
				{"RENAME", "x/y/b", "INBOX"}: mdbox.ErrExists,
				{"RENAME", "x/y/b", "x/y"}:   mdbox.ErrExists,
			} {
				if err := c.roost(s); !errors.Is(err, want) {
					t.Errorf("%v: %v, want %v", c, err, want)
				}
			}
			d.unchangedByResync(t)
			entries, err := os.ReadDir(filepath.Join(d.Home, "Maildir"))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), ".gone") || strings.HasPrefix(e.Name(), "..") {
					t.Errorf("left: %s", e.Name())
				}
			}
		})
	}
}

// TestMaildirFolderMarker: every mailbox has the marker but INBOX, which is the root.
func TestMaildirFolderMarker(t *testing.T) {
	d := newDovecotStore(t, "maildir:~/Maildir")
	s := d.open(t)
	open(t, s, "INBOX")
	mustChange(t, s, change{"CREATE", "a", ""})
	d.IMAP(t, "CREATE b", "STATUS INBOX (MESSAGES)")
	for dir, want := range map[string]bool{"": false, ".a": true, ".b": true} {
		if _, err := os.Stat(filepath.Join(d.Home, "Maildir", dir, "maildirfolder")); (err == nil) != want {
			t.Errorf("directory %q: %v, want a marker: %t", dir, err, want)
		}
	}
}

// TestMaildirWithoutAllDirectories: a directory below the root is a mailbox, whatever is in it; what it lacks is made when it is opened.
func TestMaildirWithoutAllDirectories(t *testing.T) {
	d := newMaildir(t, "")
	s, session := d.open(t), d.session(t)
	session.appendMail("A", "one")
	open(t, s, "A")
	file := filepath.Join(d.Root, ".Restored", "new", "1700000000.a")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("Subject: one\n\nbody\n"), 0o600), os.Mkdir(filepath.Join(d.Root, ".Empty"), 0o700),
		os.WriteFile(filepath.Join(d.Root, ".file"), nil, 0o600),
		os.RemoveAll(filepath.Join(d.Root, ".A", "cur")), os.RemoveAll(filepath.Join(d.Root, ".A", "tmp")), os.RemoveAll(filepath.Join(d.Root, ".B", "new"))); err != nil {
		t.Fatal(err)
	}
	giveTo(t, d.Root)
	want := map[string]bool{"INBOX": true, "A": true, "B": true, "Restored": true, "Empty": true}
	if diff := cmp.Diff(want, names(t, s)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for name := range want {
		if _, listed := d.session(t).list()[name]; !listed {
			t.Errorf("Dovecot does not list %s", name)
		}
	}
	if err := (change{"CREATE", "Empty", ""}).roost(s); !errors.Is(err, mdbox.ErrExists) {
		t.Errorf("create what exists: %v", err)
	}
	for name, messages := range map[string]int{"Restored": 1, "Empty": 0, "A": 0, "B": 0} {
		b := openBox(t, s, name)
		if n := len(mustSnapshot(t, b).Messages.UIDs); n != messages {
			t.Errorf("%d messages in %s", n, name)
		}
		if _, err := b.Append(t.Context(), []mdbox.NewMessage{newMail("two", 0, 0)}); err != nil {
			t.Error(err)
		}
		sameAsDovecot(t, d.Store, b)
	}
	mustChange(t, s, change{"DELETE", "Empty", ""}, change{"RENAME", "Restored", "Renamed"})
	d.unchangedByResync(t)
}

// TestMaildirExpungeThatCanNotBeDone: a message whose file can not be removed stays, and is not said to be gone.
func TestMaildirExpungeThatCanNotBeDone(t *testing.T) {
	d := newMaildir(t, "")
	var reports []error
	s := d.open(t, func(o *mdbox.Options) { o.Report = func(err error) { reports = append(reports, err) } })
	b := openBox(t, s, "A")
	if _, err := b.Append(t.Context(), []mdbox.NewMessage{newMail("one", 0, 0), newMail("two", 0, 0)}); err != nil {
		t.Fatal(err)
	}
	cur := filepath.Join(d.Root, ".A", "cur")
	if err := os.Chmod(cur, 0o500); err != nil {
		t.Fatal(err)
	}
	if expunged, err := b.Expunge(t.Context(), [16]byte{}, []uint32{1}, false); err != nil || len(expunged) > 0 || len(reports) == 0 {
		t.Errorf("expunged %v, %v, reports %v", expunged, err, reports)
	}
	if snap := mustSnapshot(t, b); len(snap.Messages.UIDs) != 2 {
		t.Errorf("messages %v", snap.Messages.UIDs)
	}
	if err := os.Chmod(cur, 0o700); err != nil {
		t.Fatal(err)
	}
	if expunged, err := b.Expunge(t.Context(), [16]byte{}, []uint32{2}, false); err != nil || !slices.Equal(expunged, []uint32{2}) {
		t.Errorf("expunged %v, %v", expunged, err)
	}
	if snap := mustSnapshot(t, b); len(snap.Messages.UIDs) != 0 {
		t.Errorf("messages %v: that of before is expunged as well", snap.Messages.UIDs)
	}
	d.unchangedByResync(t)
}

// TestRenameInboxOfMaildir: INBOX is the root, and stays; its messages move.
func TestRenameInboxOfMaildir(t *testing.T) {
	d := newDovecotStore(t, "maildir:~/Maildir")
	s, session := d.open(t), d.session(t)
	session.appendMail("INBOX", "one")
	session.run(`SELECT INBOX`)
	session.run(`STORE 1 +FLAGS (kw \Flagged)`)
	mustChange(t, s, change{"CREATE", "INBOX/child", ""}, change{"RENAME", "INBOX", "kept/inbox"})
	if n := len(open(t, s, "INBOX").Messages.UIDs); n != 0 {
		t.Errorf("%d messages in INBOX", n)
	}
	moved := open(t, s, "kept/inbox")
	if len(moved.Messages.UIDs) != 1 || moved.Messages.Flags[0] != index.FlagFlagged || !slices.Equal(moved.Keywords, []string{"kw"}) {
		t.Errorf("moved: %+v", moved)
	}
	if got := names(t, s); !got["INBOX/child"] || got["kept/inbox/child"] {
		t.Errorf("names: %v", got)
	}
	d.unchangedByResync(t)
}

// TestMaildirDelivered: a program that knows of no index delivers, and another one takes messages away.
func TestMaildirDelivered(t *testing.T) {
	d := newMaildir(t, "")
	s := d.open(t)
	b := openBox(t, s, "A")
	deliver := func(name, text string) {
		t.Helper()
		tmp, to := filepath.Join(d.Root, ".A", "tmp", name), filepath.Join(d.Root, ".A", "new", name)
		if err := errors.Join(os.WriteFile(tmp, []byte(text), 0o600), os.Rename(tmp, to)); err != nil {
			t.Fatal(err)
		}
		giveTo(t, d.Root)
	}
	deliver("1.M1P1.h", "Subject: one\n\nbody\n")
	deliver("1.M2P1.h", "Subject: two\n\nbody\n")
	if snap := mustSnapshot(t, b); len(snap.Messages.UIDs) != 2 || snap.FirstRecentUID != 1 {
		t.Fatalf("messages %v, first recent %d", snap.Messages.UIDs, snap.FirstRecentUID)
	}
	sameAsDovecot(t, d.Store, b)
	ms, err := b.Messages([]uint32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	defer ms.Close()
	if err := os.Remove(filepath.Join(d.Root, ".A", "cur", "1.M1P1.h:2,")); err != nil {
		t.Fatal(err)
	}
	if !ms.Next() {
		t.Fatal(ms.Err())
	}
	if _, err := ms.Message().AppendHeader(nil); !errors.Is(err, mdbox.ErrExpunged) {
		t.Errorf("a message whose file is gone: %v", err)
	}
	if snap := mustSnapshot(t, b); !slices.Equal(snap.Messages.UIDs, []uint32{2}) {
		t.Errorf("messages %v", snap.Messages.UIDs)
	}
	sameAsDovecot(t, d.Store, b)
	d.unchangedByResync(t)
}

// TestMaildirSubscriptionsOfVersion1 has its levels separated by '.'.
func TestMaildirSubscriptionsOfVersion1(t *testing.T) {
	d := newMaildir(t, "")
	s := d.open(t)
	path := filepath.Join(d.Root, "subscriptions")
	if err := os.WriteFile(path, []byte("A\nA.B\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustChange(t, s, change{"SUBSCRIBE", "A/B/C", ""}, change{"UNSUBSCRIBE", "A/B", ""})
	if b, err := os.ReadFile(path); err != nil || string(b) != "A\nA.B.C\n" {
		t.Errorf("subscriptions: %q, %v", b, err)
	}
	if subs, damage, err := s.Subscriptions(); err != nil || len(damage) > 0 || !slices.Equal(subs, []string{"A", "A/B/C"}) {
		t.Errorf("subscribed: %q, damage %q, %v", subs, damage, err)
	}
	if got := d.Doveadm(t, "mailbox", "list", "-s"); got != "A\nA/B/C\n" {
		t.Errorf("Dovecot lists as subscribed: %q", got)
	}
}

// TestMaildirRenamedBeforeFetch: a message of a mailbox that somebody renames before it is read has gone, and is not damaged.
func TestMaildirRenamedBeforeFetch(t *testing.T) {
	d := newMaildir(t, "")
	s := d.open(t)
	b := openBox(t, s, "A")
	if _, err := b.Append(t.Context(), []mdbox.NewMessage{newMail("one", 300, 0)}); err != nil {
		t.Fatal(err)
	}
	ms, err := b.Messages([]uint32{1})
	if err != nil || !ms.Next() {
		t.Fatalf("no message: %v", err)
	}
	defer ms.Close()
	if err := os.Rename(filepath.Join(d.Root, ".A"), filepath.Join(d.Root, ".C")); err != nil {
		t.Fatal(err)
	}
	if _, err := ms.Message().AppendHeader(nil); !errors.Is(err, mdbox.ErrExpunged) {
		t.Errorf("%v, want %v", err, mdbox.ErrExpunged)
	}
}
