package session

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// testSlab returns a table with n sessions, in slots 1 to n.
func testSlab(t testing.TB, n int) *records {
	t.Helper()
	s, err := newRecords(n, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	for i := range n {
		slot, r, err := s.take()
		if err != nil || int(slot) != i+1 {
			t.Fatalf("slot %d, %v", slot, err)
		}
		r.word.create()
	}
	return s
}

func TestWheelAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const n = 50
	s := testSlab(t, n)
	woken := 0
	w := &wheel{slab: s, wake: func() { woken++ }}
	model := map[uint32]uint32{} // slot → second
	now := uint32(1)
	w.advance(now, nil)
	for range 100_000 {
		slot := 1 + uint32(rnd.IntN(n))
		switch rnd.IntN(10) {
		case 0, 1, 2, 3:
			at := now + uint32(rnd.IntN(1<<rnd.IntN(15)))
			w.set(slot, s.at(slot), at)
			model[slot] = max(at, now+1)
		case 4, 5:
			w.remove(slot, s.at(slot))
			delete(model, slot)
		default:
			now += uint32(rnd.IntN(1 << rnd.IntN(14)))
			due := w.advance(now, nil)
			for _, h := range due {
				if at, ok := model[h.slot()]; !ok || at > now || h.gen() != 1 {
					t.Fatalf("second %d: %#x is due, its time is %d (%v)", now, h, at, ok)
				}
				delete(model, h.slot())
			}
			for slot, at := range model {
				if at <= now {
					t.Fatalf("second %d: slot %d was due at %d", now, slot, at)
				}
			}
		}
		if got := w.count.Load(); int(got) != len(model) {
			t.Fatalf("%d in the wheel, want %d", got, len(model))
		}
	}
	if woken == 0 {
		t.Error("the loop was never woken")
	}
}

func TestListsAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const n = 40
	s := testSlab(t, n)
	l := testLists(t, s)
	model := map[uint32]uint32{} // slot → mailbox
	for slot := uint32(1); slot <= n; slot++ {
		s.at(slot).word.release(0)
	}
	for range 20_000 {
		slot, mailbox := 1+uint32(rnd.IntN(n)), uint32(rnd.IntN(4))*listShards/2 // two in each of two shards, 0 = none
		l.move(slot, s.at(slot), mailbox)
		model[slot] = mailbox
		told := map[uint32]bool{}
		for _, h := range l.signal(mailbox, nil) {
			told[h.slot()] = true
			s.at(h.slot()).word.release(0)
		}
		for slot, mb := range model {
			if told[slot] != (mb == mailbox && mailbox != 0) {
				t.Fatalf("mailbox %d: slot %d of mailbox %d told: %v", mailbox, slot, mb, told[slot])
			}
		}
	}
	for slot := uint32(1); slot <= n; slot++ {
		l.move(slot, s.at(slot), 0)
	}
	for id := range uint32(4) {
		if h := l.head(id*listShards/2, false); h != nil && *h != 0 {
			t.Errorf("mailbox %d has a list of nobody: %d", id*listShards/2, *h)
		}
	}
}

func testLists(tb testing.TB, s *records) *lists {
	tb.Helper()
	l, err := newLists(s)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestRecordsOfEndedSessionsAreWiped(t *testing.T) {
	s := testSlab(t, 10)
	for slot := uint32(1); slot <= 10; slot++ {
		r := s.at(slot)
		r.state.User, r.mailbox, r.wheelNext = slot, slot, slot
	}
	gen := s.at(5).word.generation()
	s.at(5).word.end()
	s.give(5)
	if slot, r, _ := s.take(); slot != 5 || r.state != (State{}) || r.mailbox != 0 || r.wheelNext != 0 || r.word.create() == gen {
		t.Errorf("slot %d is used again with generation %d", slot, gen)
	}
}

func TestRing(t *testing.T) {
	var r ring[int]
	next, want := 0, 0
	for i := range 1000 {
		for range i % 7 {
			r.push(next)
			next++
		}
		for range min(i%5, r.len()) {
			if got := r.pop(); got != want {
				t.Fatalf("got %d, want %d", got, want)
			}
			want++
		}
	}
	if r.len() != next-want {
		t.Errorf("%d are left, want %d", r.len(), next-want)
	}
}

// TestWheelSetMeanwhile: a session whose time has come already, put into an empty wheel while that is turned, is told in the next second at the latest.
func TestWheelSetMeanwhile(t *testing.T) {
	slab, err := newRecords(10, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slab.close()
	slot, r, err := slab.take()
	if err != nil {
		t.Fatal(err)
	}
	r.word.create()
	w := &wheel{slab: slab, wake: func() {}}
	for now := uint32(3); now < 3_000_000; now += 3 {
		var due []Handle
		var wg sync.WaitGroup
		wg.Go(func() { due = w.advance(now, nil) })
		wg.Go(func() { w.set(slot, r, now-1) })
		wg.Wait()
		if due = w.advance(now+1, due); len(due) != 1 {
			t.Fatalf("second %d: due %v, set for %d", now, due, r.wheelAt.Load())
		}
	}
}
