package mailbox_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// TestConcurrentSleepers: sessions work at a mailbox that is put to sleep at any moment, is changed by others, and loses its watch.
// Each session's sequence numbers stay what its client believes.
func TestConcurrentSleepers(t *testing.T) {
	f := newFixture(t, true, mailbox.Config{JournalBytes: 64 << 20, Warm: time.Millisecond, ViewCache: 4 << 10})
	for range 50 {
		f.inbox.Append("x", 0)
	}
	first, v := f.select_() // the mailbox has a session all the time
	stop := make(chan struct{})
	var others, sessions sync.WaitGroup
	background := func(step func(rnd *rand.Rand)) {
		seed := rand.Uint64()
		others.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 1))
			for {
				select {
				case <-stop:
					return
				default:
					step(rnd)
				}
			}
		})
	}
	background(func(*rand.Rand) { f.r.Park(first, time.Time{}) })
	background(func(rnd *rand.Rand) {
		uids := f.inbox.UIDs()
		switch n := rnd.IntN(4); {
		case n == 0 || len(uids) < 20:
			f.inbox.Append("y", uint8(rnd.IntN(32)), "work")
		case n == 1 && len(uids) > 40:
			f.inbox.Expunge(imapUID(uids[rnd.IntN(len(uids))]))
		default:
			f.inbox.SetFlags(imapUID(uids[rnd.IntN(len(uids))]), uint8(rnd.IntN(32)))
		}
		time.Sleep(50 * time.Microsecond)
	})
	background(func(*rand.Rand) {
		f.r.WatchLost()
		f.r.Stats()
		f.r.Candidates(10, 0, true)
		time.Sleep(time.Millisecond)
	})
	for g := range 6 {
		sessions.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 2))
			for range 10 {
				sleeper(t, f, rnd)
			}
		})
	}
	sessions.Wait()
	// Of six sessions one is nearly always at work, so how often the mailbox slept is the scheduler's affair. Of one it sleeps often.
	alone := rand.New(rand.NewPCG(6, 2))
	for round := 0; round < 100 && f.r.Stats().Woken < enoughWakes; round++ {
		sleeper(t, f, alone)
	}
	close(stop)
	others.Wait()
	f.r.Leave(first, v.Version, 0)
	for f.r.Get(first) != nil {
		f.r.Drop(first, time.Time{})
	}
	s := f.r.Stats()
	t.Logf("woken %d times", s.Woken)
	if s.Woken < enoughWakes {
		t.Error("the test has not tested what it should")
	}
	if s.Mailboxes != 0 || s.Watched != 0 || s.ViewBytes != 0 || f.r.Users().Len() != 0 {
		t.Errorf("left: %+v, %d users", s, f.r.Users().Len())
	}
}

// enoughWakes is how many times the mailbox has to be woken for the test to be one.
const enoughWakes = 100

// sleeper is a session: it selects, and sleeps and wakes many times.
func sleeper(t *testing.T, f *fixture, rnd *rand.Rand) {
	ctx := context.Background()
	m, v, err := f.r.Open(ctx, inboxRef)
	if err != nil {
		t.Error(err)
		return
	}
	cl, id := newClient(v), m.ID()
	m.Release()
	for range 100 {
		if f.r.UpToDate(id, cl.version) {
			if st, ok := f.r.StatusOf(id, backend.StatusMessages); ok && f.r.UpToDate(id, cl.version) && st.Messages != uint32(len(cl.uids)) {
				t.Errorf("STATUS says %d messages, the client knows %d", st.Messages, len(cl.uids))
			}
		}
		f.r.News(id, cl.version)
		f.r.ModSeqAt(id, cl.version)
		if m, err = f.r.Wake(ctx, id); backend.KindOf(err) == backend.KindInUse {
			continue // somebody changes it all the time
		} else if err != nil {
			t.Error(err)
			return
		}
		err = step(cl, m, rnd)
		m.Release()
		if rnd.IntN(2) == 0 {
			f.r.Park(id, time.Time{}) // unless another one works there
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
	f.r.Leave(id, cl.version, 0)
}

// step brings a client up to date.
func step(cl *client, m *mailbox.Mailbox, rnd *rand.Rand) error {
	v, err := m.At(cl.version)
	if err == nil {
		err = cl.check(v)
	}
	if err != nil || rnd.IntN(3) == 0 {
		return err
	}
	if err := m.Refresh(context.Background()); err != nil {
		return err
	}
	u, err := m.Catchup(cl.version, rnd.IntN(2) == 0)
	if err != nil {
		return err
	}
	m.Advance(cl.version, u.To.Version)
	cl.apply(u)
	return cl.check(u.To)
}
