package mailbox_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
)

// writable is an INBOX of ten messages in a store that can be written, opened by one session.
type writable struct {
	t     *testing.T
	store *mailboxtest.Store
	inbox *mailboxtest.Mailbox
	r     *mailbox.Registry
	ref   backend.MailboxRef
	m     *mailbox.Mailbox
	v     *mailbox.View
}

func newWritable(t *testing.T) *writable {
	w := &writable{t: t, store: mailboxtest.New(false), ref: backend.MailboxRef{User: &backend.User{Name: "u"}, Name: "INBOX"}}
	w.store.AllowWrites()
	w.inbox = w.store.Create("u", "", "INBOX")
	for range 10 {
		w.inbox.Append("x", 0)
	}
	w.r = newRegistry(mailbox.Config{JournalBytes: 1 << 20}, w.store, func(uint32) {}, discard())
	t.Cleanup(w.r.Close)
	var err error
	if w.m, w.v, err = w.r.Open(context.Background(), w.ref); err != nil {
		t.Fatal(err)
	}
	return w
}

// flag adds a flag to a message through Change. during is called when storage has done it and the answer is on its way.
func (w *writable) flag(uid uint32, flag uint8, during func()) error {
	_, err := w.m.Change(context.Background(), func(since []byte) (*backend.Changes, error) {
		got, err := w.store.Store(context.Background(), &backend.StoreRequest{Mailbox: w.ref, MailboxID: w.v.MailboxID, UIDs: []uint32{uid},
			Mode: backend.StoreAdd, Flags: flag, UnchangedSince: backend.AnyModSeq, Since: since})
		if err != nil {
			return nil, err
		}
		if during != nil {
			during()
		}
		return got.Changed, nil
	})
	return err
}

// want checks the flags of a message in the current view.
func (w *writable) want(uid goimap.UID, flags uint8) {
	w.t.Helper()
	v := w.m.Current()
	msg, ok := v.Message(v.Seq(uid))
	if got := v.FlagSet(msg.Flags).System; !ok || got != flags {
		w.t.Errorf("UID %d has flags %#x, want %#x", uid, got, flags)
	}
}

func TestChangeNeedsNoSecondCall(t *testing.T) {
	w := newWritable(t)
	if err := w.flag(3, backend.FlagSeen, nil); err != nil {
		t.Fatal(err)
	}
	w.want(3, backend.FlagSeen)
	if n := w.store.Calls("Changes"); n != 0 {
		t.Errorf("%d calls of Changes", n)
	}
	if v := w.m.Version(); v != w.v.Version+1 {
		t.Errorf("version %d after %d", v, w.v.Version)
	}
}

// An answer that is older than what is known by now must neither be applied, nor make anything forgotten.
func TestChangeDropsWhatIsKnownBetter(t *testing.T) {
	w := newWritable(t)
	err := w.flag(3, backend.FlagSeen, func() {
		w.inbox.SetFlags(3, backend.FlagDraft)
		w.inbox.Append("x", 0)
		if err := w.m.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.want(3, backend.FlagDraft)
		if uids, ok := w.m.Flagged(w.v.Version, w.m.Version()); !ok || len(uids) != 1 || uids[0] != 3 {
			t.Errorf("flagged %v, %t", uids, ok)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.want(3, backend.FlagDraft)
	if uids, ok := w.m.Flagged(w.v.Version+1, w.m.Version()); !ok || len(uids) != 0 || w.m.Current().Len() != 11 {
		t.Errorf("flagged %v again, %t, %d messages", uids, ok, w.m.Current().Len())
	}
}

func TestChangeThatMayHaveFailedIsLookedAt(t *testing.T) {
	w := newWritable(t)
	w.store.FailAnswer("Store", backend.Errorf(backend.KindUnavailable, ""))
	if err := w.flag(3, backend.FlagSeen, nil); backend.KindOf(err) != backend.KindUnavailable {
		t.Fatal(err)
	}
	if !w.m.Stale() {
		t.Error("nobody will look")
	}
	if err := w.m.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.want(3, backend.FlagSeen)
}

func TestChangeOfStorageThatTellsNothing(t *testing.T) {
	w := newWritable(t)
	w.store.WithoutChanged(true)
	if err := w.flag(3, backend.FlagSeen, nil); err != nil {
		t.Fatal(err)
	}
	w.want(3, backend.FlagSeen)
	w.store.FailCall("Changes", backend.Errorf(backend.KindUnavailable, ""))
	if err := w.flag(4, backend.FlagSeen, nil); err != nil {
		t.Fatal("the change was done:", err)
	}
	w.store.FailCall("Changes", nil)
	if !w.m.Stale() {
		t.Error("nobody will look")
	}
}

// Many sessions change many messages at once: each change is there, once.
func TestChangesAtOnce(t *testing.T) {
	w := newWritable(t)
	var wg sync.WaitGroup
	for uid := uint32(1); uid <= 10; uid++ {
		for _, flag := range []uint8{backend.FlagSeen, backend.FlagDraft} {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := w.flag(uid, flag, nil); err != nil {
					t.Error(err)
				}
				v := w.m.Current()
				msg, _ := v.Message(v.Seq(goimap.UID(uid)))
				if v.FlagSet(msg.Flags).System&flag == 0 {
					t.Errorf("UID %d lacks its flag when its change is done", uid)
				}
			}()
		}
	}
	wg.Wait()
	for uid := range goimap.UID(10) {
		w.want(uid+1, backend.FlagSeen|backend.FlagDraft)
	}
}

// claim claims for an owner, and has the mailbox keep it.
func (w *writable) claim(owner uint64) (mailbox.Run, error) {
	run, err := w.m.Claim(context.Background(), w.store, 0)
	if !run.Empty() {
		w.m.KeepRun(owner, run)
	}
	return run, err
}

// A message is \Recent in one session, and many sessions that are told of it make one call.
func TestClaim(t *testing.T) {
	w := newWritable(t)
	for round := range 3 {
		var wg sync.WaitGroup
		for owner := uint64(1); owner <= 20; owner++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if _, err := w.claim(owner); err != nil {
					t.Error(err)
				}
			}()
		}
		wg.Wait()
		owners := map[goimap.UID]int{}
		for owner := uint64(1); owner <= 20; owner++ {
			recent := w.m.Claimed(owner)
			for m := range w.m.Current().Messages(w.m.Current().All()) {
				if recent.Has(m.UID) {
					owners[m.UID]++
				}
			}
		}
		if want := 10 + round; len(owners) != want {
			t.Errorf("%d messages are \\Recent, want %d", len(owners), want)
		}
		for uid, n := range owners {
			if n != 1 {
				t.Errorf("UID %d is \\Recent in %d sessions", uid, n)
			}
		}
		if n := w.store.Calls("ClaimRecent"); n != round+1 {
			t.Errorf("%d calls in round %d", n, round)
		}
		w.inbox.Append("x", 0)
		if err := w.m.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClaimEnds(t *testing.T) {
	w := newWritable(t)
	if run, err := w.claim(7); err != nil || run.Empty() {
		t.Fatal(run, err)
	}
	if n := w.m.Claimed(7).Count(w.m.Current()); n != 10 {
		t.Errorf("%d claimed", n)
	}
	if n := w.m.Current().Unclaimed().Count(w.m.Current()); n != 0 {
		t.Errorf("%d unclaimed", n)
	}
	mailbox.Unclaim(w.m, 7)
	if !w.m.Claimed(7).Empty() {
		t.Error("claims of a session that has ended")
	}
}

// What a session has remembered by itself for a while may be older than what the mailbox keeps already.
func TestRunsThatAreKeptLate(t *testing.T) {
	w := newWritable(t)
	late, err := w.m.Claim(context.Background(), w.store, 0)
	if err != nil {
		t.Fatal(err)
	}
	for owner := uint64(7); owner < 9; owner++ {
		w.inbox.Append("x", 0)
		if err := w.m.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.claim(owner); err != nil {
			t.Fatal(err)
		}
	}
	w.m.KeepRun(8, late)
	v := w.m.Current()
	if seven, eight := w.m.Claimed(7), w.m.Claimed(8); seven.Count(v) != 1 || !seven.Has(11) || eight.Count(v) != 11 || eight.Has(11) || !eight.Has(1) || !eight.Has(12) {
		t.Errorf("%v and %v", seven, eight)
	}
	with := mailbox.Recent{}.With(mailbox.Run{First: 3, Next: 5}).With(mailbox.Run{First: 9, Next: 9})
	if with.Count(v) != 2 || !with.Has(4) || with.Has(5) || with.Has(9) {
		t.Errorf("%v", with)
	}
}

// Sessions that take turns make a claim for each message. Their number is bounded: the oldest ends.
func TestClaimsAreBounded(t *testing.T) {
	w := newWritable(t)
	for i := range uint64(1100) {
		w.inbox.Append("x", 0)
		if err := w.m.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.claim(i % 2); err != nil {
			t.Fatal(err)
		}
	}
	v := w.m.Current()
	if n := w.m.Claimed(0).Count(v) + w.m.Claimed(1).Count(v); n != 1024 {
		t.Errorf("%d messages are claimed", n)
	}
}

// A mailbox that was renamed or deleted by this server is looked at, and so is what is below it, but nothing else.
func TestRenamed(t *testing.T) {
	w := newWritable(t)
	open := func(name string) *mailbox.Mailbox {
		w.store.Create("u", "", name)
		m, _, err := w.r.Open(context.Background(), backend.MailboxRef{User: w.ref.User, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	a, below, other := open("a"), open("a/b/c"), open("ab")
	stale := func() string { return fmt.Sprint(a.Stale(), below.Stale(), other.Stale(), w.m.Stale()) }
	w.r.Renamed(backend.MailboxRef{User: w.ref.User, Name: "a"}, false)
	if got := stale(); got != "true false false false" {
		t.Error(got)
	}
	w.r.Renamed(backend.MailboxRef{User: w.ref.User, Name: "a"}, true)
	if got := stale(); got != "true true false false" {
		t.Error(got)
	}
}
