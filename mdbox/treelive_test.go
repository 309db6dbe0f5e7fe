package mdbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/mailboxlist"
)

var layouts = []string{"mdbox:~/mdbox", "mdbox:~/mdbox:INDEX=~/index", "mdbox:~/mdbox:LAYOUT=index"}

// eachLayout runs a test for stores of several kinds.
func eachLayout(t *testing.T, test func(t *testing.T, d *dovecotStore)) {
	for _, location := range layouts {
		t.Run(location, func(t *testing.T) { test(t, newDovecotStore(t, location)) })
	}
}

// names returns the names in a store, and which of them are mailboxes.
func names(t *testing.T, s *mdbox.Store) map[string]bool {
	t.Helper()
	list, damage, err := s.Mailboxes()
	if err != nil || len(damage) > 0 {
		t.Fatalf("Mailboxes: %v, %v", damage, err)
	}
	m := map[string]bool{}
	for _, i := range list {
		if !i.NonExistent {
			m[i.Name] = !i.NoSelect
		}
	}
	return m
}

func mustChange(t *testing.T, s *mdbox.Store, changes ...change) {
	t.Helper()
	for _, c := range changes {
		if err := c.roost(s); err != nil {
			t.Fatalf("%v: %v", c, err)
		}
	}
}

func open(t *testing.T, s *mdbox.Store, name string) *mdbox.Snapshot {
	t.Helper()
	b, err := s.OpenMailbox(name)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := b.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// TestRunningSessionSeesTheTree: what roost does to the tree is seen by a session of Dovecot that has been there before, and the other way round.
func TestRunningSessionSeesTheTree(t *testing.T) {
	eachLayout(t, func(t *testing.T, d *dovecotStore) {
		s, session := d.open(t), d.session(t)
		session.run("SELECT INBOX")
		session.list()
		mustChange(t, s, change{"CREATE", "new/box", ""})
		if got := session.list(); got["new/box"] == "" || !strings.Contains(got["new"], `\Noselect`) {
			t.Errorf("LIST after CREATE by roost: %v", got)
		}
		session.appendMail("new/box", "one")
		session.run("SELECT new/box")
		if n := len(open(t, s, "new/box").Messages.UIDs); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
		session.run("CREATE theirs")
		session.run("RENAME theirs new/theirs")
		if got := names(t, s); !got["new/theirs"] || got["theirs"] {
			t.Errorf("after RENAME by Dovecot: %v", got)
		}
		session.run("SELECT INBOX") // a session in a mailbox that is renamed would be thrown out
		mustChange(t, s, change{"RENAME", "new", "old"})
		if got := session.list(); got["old/box"] == "" || got["old/theirs"] == "" || got["new/box"] != "" {
			t.Errorf("LIST after RENAME by roost: %v", got)
		}
		session.appendMail("old/box", "two")
		if n := len(open(t, s, "old/box").Messages.UIDs); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
		mustChange(t, s, change{"DELETE", "old/box", ""}, change{"DELETE", "old/theirs", ""})
		if got := session.list(); got["old/box"] != "" || got["old/theirs"] != "" {
			t.Errorf("LIST after DELETE by roost: %v", got)
		}
		if out := d.Doveadm(t, "fetch", "uid", "ALL"); out != "" {
			t.Errorf("messages after all were deleted: %s", out)
		}
		d.Doveadm(t, "purge")
		d.unchangedByResync(t)
	})
}

// unchangedByResync checks that a repair by Dovecot finds nothing to do.
func (d *dovecotStore) unchangedByResync(t *testing.T) {
	t.Helper()
	state := func() string {
		return d.Doveadm(t, "mailbox", "list") + d.Doveadm(t, "mailbox", "status", "messages uidvalidity uidnext guid", "*") +
			d.Doveadm(t, "fetch", "mailbox uid guid refcount", "ALL")
	}
	before := state()
	d.Doveadm(t, "force-resync", "*")
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Errorf("force-resync changed (-before +after):\n%s", diff)
	}
}

// TestReplacedUnderASession: a session of Dovecot that has a mailbox selected notices that there is another one
// in its place, and does that no harm. (If Dovecot does the same to itself, the session marks the new mailbox's log as corrupted.)
func TestReplacedUnderASession(t *testing.T) {
	for name, changes := range map[string][]change{
		"deleted":       {{"DELETE", "a", ""}, {"CREATE", "a", ""}},
		"renamed":       {{"RENAME", "a", "b"}, {"CREATE", "a", ""}},
		"deleted twice": {{"DELETE", "a", ""}, {"CREATE", "a", ""}, {"DELETE", "a", ""}, {"CREATE", "a", ""}},
	} {
		for _, command := range []string{"NOOP", `STORE 1 +FLAGS (\Flagged)`, "FETCH 1 BODY[]", "EXPUNGE", "CHECK", "COPY 1 INBOX"} {
			t.Run(name+" "+command, func(t *testing.T) {
				d := newDovecotStore(t, "mdbox:~/mdbox")
				s, session := d.open(t), d.session(t)
				mustChange(t, s, change{"CREATE", "INBOX", ""}, change{"CREATE", "a", ""})
				session.appendMail("a", "one")
				session.run("SELECT a")
				before := open(t, s, "a")
				mustChange(t, s, changes...)
				d.session(t).appendMail("a", "two")
				session.thrownOut = true
				for range 3 {
					session.try(command)
				}
				after := open(t, s, "a")
				if after.UIDValidity == before.UIDValidity || after.GUID == before.GUID {
					t.Errorf("the new mailbox has UIDVALIDITY %d and GUID %x as before", after.UIDValidity, after.GUID)
				}
				if len(after.Messages.UIDs) != 1 || after.Messages.Flags[0] != 0 {
					t.Errorf("messages %v with flags %x, want one without flags", after.Messages.UIDs, after.Messages.Flags)
				}
				d.session(t).appendMail("a", "three")
				d.unchangedByResync(t)
			})
		}
	}
}

func TestRenameInbox(t *testing.T) {
	eachLayout(t, func(t *testing.T, d *dovecotStore) {
		s, session := d.open(t), d.session(t)
		mustChange(t, s, change{"CREATE", "INBOX/child", ""})
		session.appendMail("INBOX", "one")
		session.appendMail("INBOX/child", "two")
		if !strings.Contains(d.location, "LAYOUT=index") {
			// There the session would write the old GUID to the new INBOX's node, as it does when Dovecot renames.
			session.run("SELECT INBOX")
		}
		before := open(t, s, "INBOX")
		mustChange(t, s, change{"RENAME", "INBOX", "kept/inbox"})
		moved := open(t, s, "kept/inbox")
		if moved.GUID != before.GUID || moved.UIDValidity != before.UIDValidity || len(moved.Messages.UIDs) != 1 {
			t.Errorf("renamed: %x %d %v, was %x %d", moved.GUID, moved.UIDValidity, moved.Messages.UIDs, before.GUID, before.UIDValidity)
		}
		inbox := open(t, s, "INBOX")
		if inbox.GUID == before.GUID || inbox.UIDValidity == before.UIDValidity || len(inbox.Messages.UIDs) != 0 {
			t.Errorf("INBOX: %x %d %v, was %x %d", inbox.GUID, inbox.UIDValidity, inbox.Messages.UIDs, before.GUID, before.UIDValidity)
		}
		if got := names(t, s); !got["INBOX/child"] || !got["INBOX"] || got["kept/inbox/child"] {
			t.Errorf("names: %v", got)
		}
		session.thrownOut = true
		session.try("NOOP")
		session = d.session(t)
		if got := session.list(); got["kept/inbox"] == "" || got["INBOX/child"] == "" {
			t.Errorf("LIST: %v", got)
		}
		session.appendMail("INBOX", "three")
		session.run("SELECT INBOX")
		if n := len(open(t, s, "INBOX").Messages.UIDs); n != 1 {
			t.Errorf("%d messages in INBOX after one was saved", n)
		}
		d.unchangedByResync(t)
	})
}

// TestInboxIsMade: INBOX exists when it is opened, and a mailbox whose index is missing is completed.
func TestInboxIsMade(t *testing.T) {
	eachLayout(t, func(t *testing.T, d *dovecotStore) {
		s := d.open(t)
		if snap := open(t, s, "INBOX"); snap.UIDValidity == 0 {
			t.Error("INBOX without UIDVALIDITY")
		}
		if err := s.EnsureMailbox(context.Background(), "Sent", true); err != nil {
			t.Fatal(err)
		}
		if err := s.EnsureMailbox(context.Background(), "Sent", true); err != nil {
			t.Fatal(err)
		}
		if subs, _, err := s.Subscriptions(); err != nil || !slices.Equal(subs, []string{"Sent"}) {
			t.Errorf("subscribed: %v, %v", subs, err)
		}
		if got := d.Doveadm(t, "mailbox", "list", "-s"); got != "Sent\n" {
			t.Errorf("Dovecot lists as subscribed: %q", got)
		}
		d.unchangedByResync(t)
	})
}

// TestUIDValiditiesOfBothNeverRepeat lets roost and Dovecot make mailboxes at once.
func TestUIDValiditiesOfBothNeverRepeat(t *testing.T) {
	d := newDovecotStore(t, "mdbox:~/mdbox")
	mustChange(t, d.open(t), change{"CREATE", "first", ""})
	var g sync.WaitGroup
	for i := range 3 {
		session, s := d.session(t), d.open(t)
		g.Go(func() {
			for j := range 15 {
				// Dovecot says that it exists when another session's LIST was faster to make its index.
				name := fmt.Sprintf("theirs-%d-%d", i, j)
				if _, tagged := session.try("CREATE " + name); !strings.HasPrefix(tagged, "OK") && !strings.Contains(tagged, "ALREADYEXISTS") {
					t.Errorf("CREATE %s: %s", name, tagged)
				}
			}
		})
		g.Go(func() {
			for j := range 15 {
				if err := s.CreateMailbox(context.Background(), fmt.Sprintf("ours-%d-%d", i, j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	seen := map[uint32]string{}
	s := d.open(t)
	for name := range names(t, s) {
		v := open(t, s, name).UIDValidity
		if seen[v] != "" {
			t.Errorf("%s and %s have the same UIDVALIDITY %d", name, seen[v], v)
		}
		seen[v] = name
	}
	if len(seen) != 91 {
		t.Errorf("%d mailboxes, want 91", len(seen))
	}
}

// TestBothChangeTheTreeAtRandom lets a session of Dovecot and several stores of roost change one tree. Any
// of them may find that another one was faster, but nothing may be damaged. (Several sessions of Dovecot would panic now and then: one
// that lists mailboxes holds the lock LIST while it completes a new one, and one that makes it wants LIST. With INDEX= a mailbox is
// renamed by two renames, for Dovecot as well, and whoever opens it in between begins a new index.)
func TestBothChangeTheTreeAtRandom(t *testing.T) {
	const workers, steps = 2, 60
	eachLayout(t, func(t *testing.T, d *dovecotStore) {
		if strings.Contains(d.location, "INDEX=~") {
			return
		}
		mustChange(t, d.open(t), change{"CREATE", "INBOX", ""}, change{"CREATE", "keep", ""})
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		var g sync.WaitGroup
		var stores []*mdbox.Store
		for w := range workers {
			ours, s := rand.New(rand.NewPCG(seed, uint64(w))), d.open(t)
			stores = append(stores, s)
			g.Go(func() {
				for range steps {
					c := randomChange(ours)
					if err := c.roost(s); err != nil && !expected(err) {
						t.Errorf("%v: %v", c, err)
					}
				}
			})
		}
		theirs, session := rand.New(rand.NewPCG(seed, workers)), d.session(t)
		g.Go(func() {
			for range steps {
				c := randomChange(theirs)
				if strings.Contains(d.location, "LAYOUT=index") {
					// A Dovecot that has made a mailbox writes its GUID once more, also if it is another mailbox by then.
					c.name = "theirs/" + c.name
					if c.to != "" {
						c.to = "theirs/" + c.to
					}
				}
				commands := []string{c.dovecot()}
				if theirs.IntN(3) == 0 {
					// To a mailbox that stays: an APPEND that is overtaken by DELETE and CREATE makes Dovecot rebuild the storage.
					commands = append(commands, "APPEND keep {3+}\r\nx\r\n")
				}
				for _, command := range commands {
					session.thrownOut = true // it may have an index open that is replaced
					_, tagged := session.try(command)
					if strings.Contains(tagged, "SERVERBUG") {
						t.Errorf("Dovecot: %s: %s", command, tagged)
					}
					if tagged == "BYE" {
						session = d.session(t)
					}
				}
			}
		})
		g.Wait()
		s := d.open(t)
		ours := names(t, s)
		for _, old := range stores {
			if diff := cmp.Diff(ours, names(t, old)); diff != "" {
				t.Errorf("a new store lists (-), one that was there before lists (+):\n%s", diff)
			}
		}
		ours["INBOX"] = true // may have been renamed and not been opened since
		if diff := cmp.Diff(slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(d.session(t).list()))); diff != "" {
			t.Errorf("roost lists (-), Dovecot lists (+):\n%s", diff)
		}
		d.IMAP(t, "SELECT INBOX") // makes it again if it was renamed and not opened since, which force-resync would do as well
		d.unchangedByResync(t)
	})
}

func expected(err error) bool {
	var name *mailboxlist.NameError
	return errors.As(err, &name) || errors.Is(err, mdbox.ErrExists) || errors.Is(err, mdbox.ErrNotFound) || errors.Is(err, mdbox.ErrHasChildren)
}

func randomName(r *rand.Rand) string {
	parts := []string{"a", "b", "c", "INBOX"}
	name := parts[r.IntN(4)]
	for range r.IntN(3) {
		name += "/" + parts[r.IntN(3)]
	}
	return name
}

func randomChange(r *rand.Rand) change {
	switch r.IntN(8) {
	case 0, 1, 2:
		return change{"CREATE", randomName(r), ""}
	case 3, 4:
		return change{"DELETE", randomName(r), ""}
	case 5, 6:
		return change{"RENAME", randomName(r), randomName(r)}
	}
	return change{[]string{"SUBSCRIBE", "UNSUBSCRIBE"}[r.IntN(2)], randomName(r), ""}
}
