package mailbox_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// owners collects what OnStale's function is called with.
type owners struct {
	mu  sync.Mutex
	ids []uint32
}

func (o *owners) add(id uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ids = append(o.ids, id)
}

func (o *owners) take() []uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := o.ids
	o.ids = nil
	slices.Sort(ids)
	return ids
}

// changes returns what FollowedChanges says, as "name:messages" or "name:error kind".
func changes(f *fixture, owner uint32) (s []string) {
	f.t.Helper()
	got, err := f.r.FollowedChanges(context.Background(), inboxRef.User, owner)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, x := range got {
		if x.Status.Err != nil {
			s = append(s, x.Status.Name+":"+fmt.Sprint(x.Status.Err.Kind == backend.KindNotFound))
		} else {
			s = append(s, fmt.Sprint(x.Status.Name, ":", x.Status.Messages))
		}
	}
	return s
}

func wantChanges(f *fixture, owner uint32, want ...string) {
	f.t.Helper()
	if got := changes(f, owner); !slices.Equal(got, want) {
		f.t.Fatalf("changes of %d: %q, want %q", owner, got, want)
	}
}

func wantOwners(t *testing.T, o *owners, want ...uint32) {
	t.Helper()
	if got := o.take(); !slices.Equal(got, want) {
		t.Fatalf("told %v, want %v", got, want)
	}
}

func TestFollow(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{})
	work := f.store.Create("demo", "", "work")
	var o owners
	f.r.OnStale(o.add)
	f.r.Follow(1, "", []string{"INBOX", "work", "missing"})
	f.r.Follow(2, "", []string{"work"})
	f.r.Follow(2, "", []string{"work"}) // is no second one
	wantOwners(t, &o)
	wantChanges(f, 1, "INBOX:0", "missing:true", "work:0")
	wantChanges(f, 2, "work:0")
	wantChanges(f, 2)
	if n := f.r.Followed(); n != 4 {
		t.Errorf("%d followed", n)
	}
	// Any number of changes is told once, and costs one call.
	for range 5 {
		work.Append("x", 0)
		f.deliver()
	}
	wantOwners(t, &o, 1, 2)
	calls := f.store.Calls("Status")
	wantChanges(f, 1, "work:5")
	if n := f.store.Calls("Status") - calls; n != 1 {
		t.Errorf("%d calls", n)
	}
	// What happens while storage answers makes it stale again.
	f.store.AfterStatus(func() {
		work.Append("x", 0)
		f.deliver()
	})
	wantChanges(f, 2, "work:5")
	f.store.AfterStatus(nil)
	wantOwners(t, &o, 1, 2)
	wantChanges(f, 2, "work:6")
	// Storage that is down leaves it stale.
	f.store.Fail(backend.Errorf(backend.KindUnavailable, ""))
	if _, err := f.r.FollowedChanges(context.Background(), inboxRef.User, 1); err == nil {
		t.Error("no error")
	}
	f.store.Fail(nil)
	wantChanges(f, 1, "work:6")
	// A watcher that is gone.
	f.r.WatchLost()
	wantOwners(t, &o, 1, 2)
	wantChanges(f, 1, "INBOX:0", "missing:true", "work:6")
	wantChanges(f, 2, "work:6")
	f.r.Unfollow(1, "", "work")
	f.r.Unfollow(1, "", "work")
	work.Append("x", 0)
	f.deliver()
	wantOwners(t, &o, 2)
	f.r.Unfollow(2, "", "work")
	f.r.Unfollow(1, "", "INBOX")
	f.r.Unfollow(1, "", "missing")
	if n := f.r.Followed(); n != 0 {
		t.Errorf("%d followed", n)
	}
}

// TestFollowConcurrently: whatever the interleaving of changes, events, calls and subscriptions, the last answer is the truth.
func TestFollowConcurrently(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{})
	work := f.store.Create("demo", "", "work")
	var o owners
	f.r.OnStale(o.add)
	f.r.Follow(1, "", []string{"work"})
	last := uint32(0)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 300 {
			work.Append("x", 0)
			f.deliver()
		}
	})
	wg.Go(func() {
		for range 300 {
			f.r.Follow(2, "", []string{"work", "INBOX"})
			f.r.FollowedChanges(context.Background(), inboxRef.User, 2)
			f.r.Unfollow(2, "", "work")
			f.r.Unfollow(2, "", "INBOX")
		}
	})
	take := func() {
		got, err := f.r.FollowedChanges(context.Background(), inboxRef.User, 1)
		if err != nil {
			t.Error(err)
		}
		for _, x := range got {
			last = x.Status.Messages
		}
	}
	wg.Go(func() {
		for range 300 {
			take()
		}
	})
	wg.Wait()
	f.deliver()
	take()
	take()
	if last != 300 || f.r.Followed() != 1 {
		t.Errorf("%d messages, %d followed", last, f.r.Followed())
	}
}

// TestFollowNamespaceThatFails: when storage fails in the midst of an answer, what it has said before is not lost: it is told with the error, or again.
func TestFollowNamespaceThatFails(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{})
	f.store.Create("demo", "", "work")
	f.store.Create("demo", "shared", "team")
	f.r.Follow(1, "", []string{"work"})
	f.r.Follow(1, "shared", []string{"team"})
	f.store.AfterStatus(func() { f.store.Fail(backend.Errorf(backend.KindUnavailable, "")) }) // for the second namespace, whichever that is
	told, err := f.r.FollowedChanges(context.Background(), inboxRef.User, 1)
	if err == nil {
		t.Fatal("no error")
	}
	f.store.AfterStatus(nil)
	f.store.Fail(nil)
	more, err := f.r.FollowedChanges(context.Background(), inboxRef.User, 1)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range append(told, more...) {
		names = append(names, x.Status.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"team", "work"}) {
		t.Errorf("told of %q", names)
	}
}
