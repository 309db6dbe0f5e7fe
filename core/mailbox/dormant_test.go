package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// wake returns the mailbox with its views.
func (f *fixture) wake(id uint32) *mailbox.Mailbox {
	f.t.Helper()
	m, err := f.r.Wake(context.Background(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

// select_ is what a session's SELECT does: afterwards nobody holds the mailbox.
func (f *fixture) select_() (id uint32, v *mailbox.View) {
	f.t.Helper()
	m, v := f.open()
	m.Release()
	return m.ID(), v
}

func (f *fixture) park(id uint32) {
	f.t.Helper()
	if !f.r.Park(id, time.Time{}) || f.r.Get(id) != nil {
		f.t.Fatal("the mailbox does not fall asleep")
	}
}

// TestSleepingMailboxIsAnsweredFromItsEntry: what a session that does nothing asks for calls nobody, and wakes nothing.
func TestSleepingMailboxIsAnsweredFromItsEntry(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Hour})
	f.inbox.Append("x", backend.FlagSeen, "work")
	f.inbox.Append("y", 0)
	id, v := f.select_()
	f.park(id)
	const items = backend.StatusMessages | backend.StatusUIDNext | backend.StatusUIDValidity | backend.StatusHighestModSeq
	for range 3 {
		if !f.r.UpToDate(id, v.Version) || !f.r.Told(id, v.Version) || f.r.News(id, v.Version) {
			t.Error("a mailbox to which nothing happened has news")
		}
		if f.r.UpToDate(id, v.Version-1) || f.r.Told(id, v.Version-1) || !f.r.News(id, v.Version-1) {
			t.Error("a session at an older version has none")
		}
		st, ok := f.r.StatusOf(id, items)
		if !ok || st.Messages != 2 || st.UIDNext != v.UIDNext || st.UIDValidity != v.UIDValidity || st.HighestModSeq != v.HighestModSeq {
			t.Errorf("STATUS: %+v, %t", st, ok)
		}
		if _, ok := f.r.StatusOf(id, backend.StatusUnseen); ok {
			t.Error("the entry does not know UNSEEN")
		}
		if n, ok := f.r.ModSeqAt(id, v.Version); !ok || n != v.HighestModSeq {
			t.Errorf("HIGHESTMODSEQ %d, %t", n, ok)
		}
		if ns, name := f.r.NameOf(id); ns != "" || name != "INBOX" {
			t.Errorf("name %q %q", ns, name)
		}
	}
	f.wantCalls("Open", 1)
	f.wantCalls("Changes", 0)
	f.wantCalls("Status", 0)
	if f.r.Get(id) != nil {
		t.Error("the mailbox was woken")
	}
	f.inbox.Append("z", 0)
	if f.r.UpToDate(id, v.Version) || !slices.Equal(f.signalled(), []uint32{id}) || !f.r.News(id, v.Version) {
		t.Error("a change was not told to a sleeping mailbox")
	}
	if _, ok := f.r.StatusOf(id, items); ok {
		t.Error("STATUS of a mailbox that has changed")
	}
	m := f.wake(id)
	defer m.Release()
	f.wantCalls("Open", 2)
	f.wantCalls("Changes", 1)
	u, err := m.Catchup(v.Version, false)
	if err != nil || u.Appended() != 1 || len(u.Changed) != 0 || len(u.Expunged) != 0 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestWakingAnUnchangedMailboxIsOneCall(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Hour})
	f.inbox.Append("x", backend.FlagSeen, "work")
	id, v := f.select_()
	f.park(id)
	m := f.wake(id)
	defer m.Release()
	f.wantCalls("Open", 2)
	f.wantCalls("Changes", 0)
	now, err := m.At(v.Version)
	if err != nil || now != m.Current() || now.FlagSet(mustMessage(t, now, 1).Flags).Text(false) != `\Seen work` {
		t.Errorf("%+v, %v", now, err)
	}
	f.r.Close() // waits for the call that gives back the second watch of the same directory
	f.wantCalls("Unwatch", 1)
}

func mustMessage(t *testing.T, v *mailbox.View, seq mailbox.SeqNum) mailbox.Message {
	t.Helper()
	m, ok := v.Message(seq)
	if !ok {
		t.Fatalf("no message %d", seq)
	}
	return m
}

func TestMailboxFallsAsleepAfterItsWarmTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: 5 * time.Second})
		id, v := f.select_()
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if f.r.Get(id) == nil {
			t.Fatal("asleep before it has rested for a second")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if f.r.Get(id) != nil {
			t.Fatal("awake, but it is not known that it is used again soon")
		}
		time.Sleep(3 * time.Second)
		f.wake(id).Release()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if f.r.Get(id) == nil {
			t.Fatal("asleep 4 s after its last use")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if f.r.Get(id) != nil {
			t.Fatal("awake 6 s after its last use")
		}
		if s := f.r.Stats(); s.Mailboxes != 1 || s.Open != 0 || s.ViewBytes != 0 || s.Parked != 2 || s.Woken != 1 || s.Watched != 1 {
			t.Errorf("stats %+v", s)
		}
		f.r.Leave(id, v.Version, 0)
		synctest.Wait()
		if s := f.r.Stats(); s.Mailboxes != 0 || s.Watched != 0 || f.r.Users().Len() != 0 {
			t.Errorf("stats %+v, %d users", s, f.r.Users().Len())
		}
		f.wantCalls("Unwatch", 2) // one for the watch of the second Open, which is the same
		f.r.Close()
	})
}

// TestMailboxThatStaysAwakeHoldsUpNoOther: one that was used again soon does not keep those awake that were used after it, also if the
// timer was set for it.
func TestMailboxThatStaysAwakeHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: 5 * time.Second})
		f.store.Create("demo", "", "other")
		stays, _ := f.select_()
		time.Sleep(1500 * time.Millisecond)
		f.wake(stays).Release()
		time.Sleep(100 * time.Millisecond)
		m, _, err := f.r.Open(context.Background(), backend.MailboxRef{User: &backend.User{Name: "demo"}, Name: "other"})
		if err != nil {
			t.Fatal(err)
		}
		brief := m.ID()
		m.Release()
		if cs := f.r.Candidates(10, 0, false); len(cs) != 2 || cs[0].ID != stays || cs[1].ID != brief {
			t.Errorf("candidates %+v", cs)
		}
		time.Sleep(1001 * time.Millisecond)
		synctest.Wait()
		if f.r.Get(brief) != nil || f.r.Get(stays) == nil {
			t.Errorf("awake: %t, want false; the one before it: %t, want true", f.r.Get(brief) != nil, f.r.Get(stays) != nil)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if f.r.Get(stays) != nil {
			t.Error("awake 5 s after its last use")
		}
		f.r.Close()
	})
}

// TestBurstOfCommandsIsOneUse: also if a second of the clock ends in its midst.
func TestBurstOfCommandsIsOneUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: 5 * time.Second})
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1990 * time.Millisecond)))
		id, _ := f.select_()
		time.Sleep(20 * time.Millisecond)
		f.wake(id).Release()
		if cs := f.r.Candidates(10, 0, false); len(cs) != 1 || cs[0].Gap != 0 {
			t.Errorf("candidates %+v", cs)
		}
		time.Sleep(1001 * time.Millisecond)
		synctest.Wait()
		if f.r.Get(id) != nil {
			t.Error("awake, but it is not known that it is used again soon")
		}
		f.r.Close()
	})
}

func TestViewCachePutsTheLeastRecentlyUsedToSleep(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Hour, ViewCache: 5 << 10})
	user := &backend.User{Name: "demo"}
	var ids []uint32
	for i := range 8 {
		name := fmt.Sprint("box", i)
		f.store.Create("demo", "", name)
		m, _, err := f.r.Open(context.Background(), backend.MailboxRef{User: user, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		m.Release()
		ids = append(ids, m.ID())
		f.wake(ids[0]).Release() // used all the time
	}
	if f.r.Get(ids[0]) == nil || f.r.Get(ids[7]) == nil || f.r.Get(ids[1]) != nil {
		t.Error("not the least recently used ones sleep")
	}
	s := f.r.Stats()
	if s.ViewBytes > 5<<10 || s.Evicted == 0 || s.Mailboxes != 8 || s.Open >= 8 {
		t.Errorf("stats %+v", s)
	}
	cs := f.r.Candidates(100, 0, false)
	if len(cs) != s.Open || cs[len(cs)-1].ID != ids[0] || cs[0].Sessions != 1 || cs[0].Bytes <= 0 {
		t.Errorf("candidates %+v", cs)
	}
	if f.r.Drop(cs[0].ID, cs[0].Used) {
		t.Error("a mailbox with a session was dropped")
	}
	held := f.wake(cs[0].ID)
	if f.r.Park(cs[0].ID, time.Time{}) {
		t.Error("a mailbox was parked that somebody works with")
	}
	held.Release()
}

// TestSleepingMailboxThatIsGone: what has the name now, or that nothing has, is found on waking.
func TestSleepingMailboxThatIsGone(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *fixture)
		want   error
	}{
		{"recreated", func(f *fixture) { f.store.Create("demo", "", "INBOX").Append("new", 0) }, mailbox.ErrReplaced},
		{"deleted", func(f *fixture) { f.store.Delete("demo", "", "INBOX") }, mailbox.ErrDeleted},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Hour})
			id, v := f.select_()
			f.select_() // a second session
			f.park(id)
			c.change(f)
			f.r.WatchEvent(1, "", true)
			for range 2 {
				if _, err := f.r.Wake(context.Background(), id); err != c.want {
					t.Errorf("Wake: %v, want %v", err, c.want)
				}
				if f.r.UpToDate(id, v.Version) || !f.r.News(id, v.Version) {
					t.Error("nothing is to be told")
				}
			}
			if m, v, err := f.r.Open(context.Background(), inboxRef); c.want == mailbox.ErrReplaced && (err != nil || m.ID() == id || v.Len() != 1) {
				t.Errorf("the new mailbox: %v", err)
			} else if err == nil {
				m.Close(v.Version)
			}
			f.r.Leave(id, v.Version, 0)
			f.r.Leave(id, v.Version, 0)
			if f.r.Get(id) != nil {
				t.Error("still open")
			}
		})
	}
}

func TestErrorsOfStorageLeaveTheMailboxAsleep(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Hour})
	f.inbox.Append("x", 0)
	id, v := f.select_()
	f.park(id)
	f.inbox.Expunge(1)
	f.inbox.Append("y", 0)
	down := backend.Errorf(backend.KindUnavailable, "plugin is down")
	for _, method := range []string{"Open", "Changes"} {
		f.store.FailCall(method, down)
		if _, err := f.r.Wake(context.Background(), id); !errors.Is(err, down) {
			t.Errorf("Wake: %v", err)
		}
		f.store.FailCall(method, nil)
		if f.r.Get(id) != nil {
			t.Error("awake without a view")
		}
	}
	m := f.wake(id)
	defer m.Release()
	u, err := m.Catchup(v.Version, false)
	if err != nil || u.Appended() != 1 || len(u.Expunged) != 1 || u.Expunged[0] != 1 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestClaimsSurviveSleep(t *testing.T) {
	w := newWritable(t)
	w.inbox.Append("x", 0)
	if _, err := w.claim(7); err != nil {
		t.Fatal(err)
	}
	w.inbox.Append("y", 0)
	if err := w.m.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.claim(8); err != nil {
		t.Fatal(err)
	}
	id := w.m.ID()
	other, v, err := w.r.Open(context.Background(), w.ref)
	if err != nil {
		t.Fatal(err)
	}
	other.Release()
	w.m.Release()
	if w.r.Get(id) != nil {
		t.Fatal("awake without warm time")
	}
	w.r.Leave(id, v.Version, 8)
	m, err := w.r.Wake(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Claimed(7).Count(m.Current()); n != 11 {
		t.Errorf("%d messages are \\Recent, want 11", n)
	}
	if !m.Claimed(8).Empty() {
		t.Error("the claim of a session that has left is there")
	}
}

// TestHistoryThatDoesNotFitIsGone: a storage that forgets, or tells what does not lead to the saved state, costs the session, and no wrong number is told.
func TestHistoryThatDoesNotFitIsGone(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 1 << 20, Warm: time.Hour})
	for range 5 {
		f.inbox.Append("x", 0)
	}
	id, v := f.select_()
	f.park(id)
	f.inbox.ForgetHistory()
	m := f.wake(id) // nothing has changed: what counts is the state
	if _, err := m.At(v.Version); err != nil {
		t.Errorf("an unchanged mailbox without history: %v", err)
	}
	m.Release()
	f.park(id)
	f.inbox.Expunge(2)
	f.inbox.ForgetHistory()
	m = f.wake(id)
	defer m.Release()
	if _, err := m.At(v.Version); err != mailbox.ErrHistoryGone {
		t.Errorf("At: %v", err)
	}
	if _, err := m.Catchup(v.Version, false); err != mailbox.ErrHistoryGone {
		t.Errorf("Catchup: %v", err)
	}
	m.Advance(v.Version, m.Version()) // as nobody does
	m.Close(v.Version)
}

// TestRandomSleepAgainstModel is TestRandomChangesAgainstModel with a mailbox that sleeps now and then, under
// clients that stand at various versions.
func TestRandomSleepAgainstModel(t *testing.T) {
	for _, c := range []struct {
		seed              uint64
		start, steps, max int
		watches           bool
	}{{1, 0, 4000, 8, true}, {2, 30, 4000, 60, false}, {3, 30, 4000, 60, true}, {4, 2100, 600, 2200, true}} {
		t.Run(fmt.Sprintf("seed=%d,messages=%d", c.seed, c.start), func(t *testing.T) {
			runSleepModel(t, rand.New(rand.NewPCG(c.seed, 9)), c.start, c.steps, c.max, c.watches)
		})
	}
}

func runSleepModel(t *testing.T, rnd *rand.Rand, start, steps, most int, watches bool) {
	f := newFixture(t, watches, mailbox.Config{JournalBytes: 64 << 20, Warm: time.Hour})
	for range start {
		f.inbox.Append("x", uint8(rnd.IntN(32)))
	}
	id, v := f.select_()
	clients := []*client{newClient(v)}
	gone, slept, behind := 0, 0, 0
	for step := range steps {
		if rnd.IntN(2) == 0 {
			change(f, rnd, most)
		}
		if rnd.IntN(2) == 0 && f.r.Get(id) != nil {
			f.park(id)
			slept++
			if slices.ContainsFunc(clients, func(c *client) bool { return c.version != clients[0].version }) {
				behind++
			}
			continue
		}
		if f.r.Get(id) == nil && rnd.IntN(4) == 0 && len(clients) > 1 { // leaves while it sleeps
			i := rnd.IntN(len(clients))
			f.r.Leave(id, clients[i].version, 0)
			clients = slices.Delete(clients, i, i+1)
			continue
		}
		asleep := f.r.Get(id) == nil
		m := f.wake(id)
		f.refresh(m)
		checkCurrent(t, f, m.Current())
		if n := rnd.IntN(10); n < 2 && len(clients) < 8 {
			_, v := f.select_()
			clients = append(clients, newClient(v))
		}
		for i := 0; i < len(clients); i++ {
			cl := clients[i]
			v, err := m.At(cl.version)
			if err == mailbox.ErrHistoryGone {
				if !f.forgot {
					t.Fatalf("step %d: the history of version %d is gone", step, cl.version)
				}
				f.r.Leave(id, cl.version, 0)
				gone++
				if clients = slices.Delete(clients, i, i+1); len(clients) == 0 {
					_, v := f.select_()
					clients = append(clients, newClient(v))
				}
				i--
				continue
			}
			if err == nil {
				err = cl.check(v)
			}
			if err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if rnd.IntN(3) != 0 {
				continue
			}
			u, err := m.Catchup(cl.version, rnd.IntN(2) == 0)
			if err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			m.Advance(cl.version, u.To.Version)
			cl.apply(u)
			if u.To == m.Current() {
				checkFlags(t, cl, u.To)
			}
		}
		m.Release()
		if asleep {
			f.forgot = false // the position that it may fall asleep with is of a later moment
		}
	}
	for _, cl := range clients {
		f.r.Leave(id, cl.version, 0)
	}
	if f.r.Get(id) != nil {
		f.r.Drop(id, time.Time{})
	}
	if s := f.r.Stats(); s.Mailboxes != 0 || s.Watched != 0 || s.ViewBytes != 0 {
		t.Errorf("left: %+v", s)
	}
	t.Logf("slept %d times, %d of them with sessions at several versions; %d sessions lost their history", slept, behind, gone)
	if slept < steps/20 || behind == 0 || gone == 0 || gone > steps/10 {
		t.Error("the test has not tested what it should")
	}
}
