package mailbox_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// TestGovernedMailboxesAreAwakeUntilTheyAreParked also looks at what Candidates tells of them.
func TestGovernedMailboxesAreAwakeUntilTheyAreParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: 5 * time.Second})
		defer f.r.Close()
		f.r.Govern(true)
		id, _ := f.select_()
		time.Sleep(7 * time.Second)
		f.wake(id).Release()
		f.wake(id).Release() // of the same burst
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if len(f.r.Candidates(10, 21*time.Second, true)) != 0 {
			t.Error("a candidate that has rested for less than was asked for")
		}
		cs := f.r.Candidates(10, 20*time.Second, false)
		if len(cs) != 1 || cs[0].ID != id || cs[0].Idle != 20*time.Second || cs[0].Gap != 7*time.Second || cs[0].Sessions != 1 || cs[0].Wakes != 0 {
			t.Fatalf("candidates %+v", cs)
		}
		c := cs[0]

		if !f.r.Keep(id, c.Used, time.Now().Add(3*time.Second)) {
			t.Error("can not be kept")
		}
		if len(f.r.Candidates(10, 0, false)) != 0 || len(f.r.Candidates(10, 0, true)) != 1 {
			t.Error("a mailbox that is kept is offered, or is not when all are asked for")
		}
		time.Sleep(3 * time.Second)
		if len(f.r.Candidates(10, 0, false)) != 1 {
			t.Error("it is kept longer than was said")
		}

		f.r.Keep(id, c.Used, time.Now().Add(time.Hour))
		f.wake(id).Release() // ends that
		if f.r.Keep(id, c.Used, time.Now()) || f.r.Park(id, c.Used) || f.r.Drop(id, c.Used) {
			t.Error("a decision about a mailbox that was used since is taken")
		}
		cs = f.r.Candidates(10, 0, false)
		if len(cs) != 1 || cs[0].Gap != 23*time.Second || cs[0].Key != c.Key || cs[0].User != c.User || c.Key == c.User {
			t.Errorf("candidates %+v", cs)
		}
		if !f.r.Park(id, cs[0].Used) || f.r.Get(id) != nil {
			t.Error("is not parked")
		}
		time.Sleep(30 * time.Second)
		f.wake(id).Release()
		if cs = f.r.Candidates(10, 0, false); len(cs) != 1 || cs[0].Gap != 30*time.Second || cs[0].Wakes != 1 {
			t.Errorf("candidates after waking %+v", cs)
		}

		f.r.Govern(false)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if f.r.Get(id) != nil {
			t.Error("awake 6 s after its last use, and nobody governs")
		}
		if u := f.r.Usage(); u.Open != 0 || u.Bytes != 0 || u.EntryBytes <= 0 || u.Woken != 1 {
			t.Errorf("usage %+v", u)
		}
	})
}

// TestCandidatesAreTheLeastRecentlyUsed looks at more than one step of the scan.
func TestCandidatesAreTheLeastRecentlyUsed(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Hour})
	defer f.r.Close()
	f.r.Govern(true)
	user := &backend.User{Name: "demo"}
	var ids []uint32
	for i := range 1200 {
		name := fmt.Sprint("box", i)
		f.store.Create("demo", "", name)
		m, _, err := f.r.Open(context.Background(), backend.MailboxRef{User: user, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		m.Release()
		ids = append(ids, m.ID())
	}
	for _, c := range f.r.Candidates(100, 0, false) {
		if !f.r.Keep(c.ID, c.Used, time.Now().Add(time.Hour)) {
			t.Fatal("can not be kept")
		}
	}
	held := f.wake(ids[1150])
	defer held.Release()
	keys := map[uint64]bool{}
	cs := f.r.Candidates(2000, 0, false)
	for i, c := range cs {
		if want := ids[100+i+i/1050]; c.ID != want {
			t.Fatalf("candidate %d is mailbox %d, want %d", i, c.ID, want)
		}
		keys[c.Key] = true
	}
	if len(cs) != 1099 || len(keys) < 1090 {
		t.Errorf("%d candidates, %d keys", len(cs), len(keys))
	}
	if cs = f.r.Candidates(5, 0, true); len(cs) != 5 || cs[0].ID != ids[0] {
		t.Errorf("candidates %+v", cs)
	}
}
