package plugintest

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"sync"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

// HibernationFixture describes a hibernation plugin.
type HibernationFixture struct {
	// New makes the plugin; or Command is the program that is it, with its arguments.
	New     func() backend.Plugin
	Command []string
	Config  backend.Config
	// Parks is for how long a mailbox must rest, on a server without load and as the first that the plugin
	// hears of, to be parked for certain; 0 = an hour.
	Parks time.Duration
}

func (f HibernationFixture) subject() subject {
	return subject{backend.KindHibernation, f.New, f.Command}
}

// Hibernation runs the conformance suite of hibernation plugins. Core checks every answer against the rules of the protocol, and so
// does each case.
func Hibernation[S goTest[S]](test S, f HibernationFixture) {
	t := wrap(test)
	if f.Parks == 0 {
		f.Parks = time.Hour
	}
	p := f.subject()
	p.testLife(t, always(f.Config))
	p.testWire(t, f.Config)
	p.onEachConnection(t, always(f.Config), func(t T, c *connection) {
		s := &hibernationSuite{connection: c, f: f, now: time.Hour}
		testBase(t, backend.KindHibernation, c)
		t.Run("ParksWhatRests", s.parks)
		t.Run("GivesMemoryBackUnderPressure", s.pressure)
		t.Run("OneMailbox", s.one)
		t.Run("LargestBatch", s.largest)
		t.Run("ExtremeNumbers", s.extremes)
		t.Run("UnknownState", s.unknownState)
		t.Run("WrongBatches", s.wrong)
		t.Run("SameQuestionAgain", s.again)
		t.Run("ManyMailboxesInTurn", s.turns)
		t.Run("Cancelled", s.cancelled)
		t.Run("Concurrent", s.concurrent)
		t.Run("Restart", s.restarted)
		t.Run("KilledInMidCall", s.killed)
		t.Run("Speed", s.speed)
	})
}

type hibernationSuite struct {
	*connection
	f   HibernationFixture
	now time.Duration // core's clock
}

// batch makes a question about n mailboxes that have rested for so long, under the load of an idle server. Keys begin at first.
func (s *hibernationSuite) batch(n int, first uint64, rested time.Duration) *backend.HibernationBatch {
	b := &backend.HibernationBatch{
		Now: s.now,
		Load: backend.HibernationLoad{MemoryUsed: 1 << 30, MemoryMark: 8 << 30, QueueMark: 64, Workers: 8, Sessions: uint32(n), Warm: uint32(n),
			WarmBytes: uint64(n) << 14},
	}
	for i := range n {
		b.IDs = append(b.IDs, uint32(n-i)) // in no order of their own
		b.Keys = append(b.Keys, first+uint64(i))
		b.UserKeys = append(b.UserKeys, first+uint64(i)/2)
		b.Idle = append(b.Idle, uint32(rested.Milliseconds()))
		b.Gaps = append(b.Gaps, 0)
		b.Wakes = append(b.Wakes, 0)
		b.Sessions = append(b.Sessions, uint32((i+1)%2))
		b.Bytes = append(b.Bytes, 1<<14)
		b.States = append(b.States, backend.StateWarm+backend.HibernationState(i%2))
	}
	return b
}

// decide asks, and checks the answer.
func (s *hibernationSuite) decide(t T, b *backend.HibernationBatch) *backend.HibernationAnswer {
	t.Helper()
	a, err := s.hibernation().Decide(t.Context(), b)
	if err != nil {
		t.Fatalf("Decide: %v", err)
	}
	if err := a.Check(b); err != nil {
		t.Fatalf("a wrong answer: %v", err)
	}
	return a
}

// kept returns for how many mailboxes the answer is to keep them.
func kept(a *backend.HibernationAnswer) (n int) {
	for _, action := range a.Actions {
		if action == backend.ActionKeep {
			n++
		}
	}
	return n
}

func (s *hibernationSuite) parks(t T) {
	b := s.batch(100, 1000, s.f.Parks)
	if n := kept(s.decide(t, b)); n > 0 {
		t.Errorf("%d of 100 mailboxes are kept that nobody has used for %v, and of which nothing is known", n, s.f.Parks)
	}
}

// pressure: what is left to core's default, which parks, counts as parked.
func (s *hibernationSuite) pressure(t T) {
	b := s.batch(100, 2000, time.Second)
	b.Load.MemoryUsed = b.Load.MemoryMark + 10<<14
	a := s.decide(t, b)
	if n := kept(a); n > 90 {
		t.Errorf("%d of 100 mailboxes are kept, although the memory of 10 is too much", n)
	}
	s.now += time.Hour // the next cases are on a server without load again
	s.decide(t, s.batch(1, 3000, s.f.Parks))
}

func (s *hibernationSuite) one(t T) { s.decide(t, s.batch(1, 4000, time.Second)) }

func (s *hibernationSuite) largest(t T) {
	s.decide(t, s.batch(pluginrpc.MaxCandidates, 5000, 10*time.Second))
}

func (s *hibernationSuite) extremes(t T) {
	for name, change := range map[string]func(b *backend.HibernationBatch, i int){
		"all zero": func(b *backend.HibernationBatch, i int) {
			b.Now, b.Load = 0, backend.HibernationLoad{}
			b.Keys[i], b.UserKeys[i], b.Idle[i], b.Bytes[i] = 0, 0, 0, 0
		},
		"all at their limits": func(b *backend.HibernationBatch, i int) {
			const big, large = math.MaxUint32, math.MaxUint64
			b.Load = backend.HibernationLoad{MemoryUsed: large, MemoryMark: large - 1, Queued: big, QueueMark: big - 1, Running: big, Workers: big, Sessions: big,
				Warm: big, WarmBytes: large, WakesPerSecond: math.MaxFloat64, LoginsPerSecond: math.Inf(1)}
			b.Keys[i], b.UserKeys[i], b.Idle[i], b.Gaps[i], b.Wakes[i], b.Sessions[i], b.Bytes[i] = large, large, big, big, big, big, large
			b.States[i] = backend.StateWarm
		},
		"rested for longer than the clock runs": func(b *backend.HibernationBatch, i int) { b.Now, b.Idle[i] = 0, math.MaxUint32 },
		"rates that are none": func(b *backend.HibernationBatch, _ int) {
			b.Load.WakesPerSecond, b.Load.LoginsPerSecond = math.NaN(), -1
		},
	} {
		t.Run(name, func(t T) {
			b := s.batch(20, 6000, time.Second)
			for i := range b.IDs {
				change(b, i)
			}
			s.decide(t, b)
		})
	}
	s.now += time.Hour
	s.decide(t, s.batch(1, 7000, time.Second))
}

// unknownState: a state of a later version is taken for StateWarm, so that nothing is dropped that may be in use.
func (s *hibernationSuite) unknownState(t T) {
	b := s.batch(4, 8000, s.f.Parks)
	for i := range b.States {
		b.States[i] = 200
	}
	s.decide(t, b) // Check refuses ActionDrop for these
}

func (s *hibernationSuite) wrong(t T) {
	_, err := s.hibernation().Decide(t.Context(), &backend.HibernationBatch{})
	wantKind(t, "a batch without mailboxes", err, backend.KindInvalidArgument)
	b := s.batch(3, 9000, time.Second)
	b.Gaps = b.Gaps[:2]
	_, err = s.hibernation().Decide(t.Context(), b)
	wantKind(t, "columns of unequal length", err, backend.KindInvalidArgument)
}

// again: what was asked about a moment ago may be asked about again.
func (s *hibernationSuite) again(t T) {
	for range 5 {
		s.decide(t, s.batch(10, 10_000, time.Second))
	}
}

// turns lets mailboxes be used once a minute, so that a policy that learns has something to learn.
func (s *hibernationSuite) turns(t T) {
	for range 50 {
		s.now += time.Minute
		b := s.batch(200, 11_000, 10*time.Second)
		for i := range b.Gaps {
			b.Gaps[i] = 60_000
		}
		s.decide(t, b)
	}
}

func (s *hibernationSuite) cancelled(t T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.hibernation().Decide(ctx, s.batch(3, 12_000, time.Second))
	wantKind(t, "Decide", err, backend.KindCancelled)
	s.decide(t, s.batch(3, 12_000, time.Second))
}

func (s *hibernationSuite) concurrent(t T) {
	var wg sync.WaitGroup
	for i := range 8 {
		b := s.batch(500, uint64(20_000+1000*i), time.Second)
		wg.Go(func() {
			a, err := s.hibernation().Decide(t.Context(), b)
			if err == nil {
				err = a.Check(b)
			}
			if err != nil {
				t.Errorf("Decide: %v", err)
			}
		})
	}
	wg.Wait()
}

// restarted: a new process starts with nothing, and says what the old one said at first.
func (s *hibernationSuite) restarted(t T) {
	s.restart(t)
	first := s.decideAfterDeath(t, s.batch(50, 30_000, s.f.Parks))
	s.restart(t)
	if again := s.decideAfterDeath(t, s.batch(50, 30_000, s.f.Parks)); !reflect.DeepEqual(first, again) {
		t.Errorf("two new plugins give different answers: %+v, %+v", first, again)
	}
}

// killed kills the plugin while calls are under way: each has an answer or an error that says so, and the next one is answered.
func (s *hibernationSuite) killed(t T) {
	var wg sync.WaitGroup
	for i := range 4 {
		b := s.batch(2000, uint64(40_000+10_000*i), time.Second)
		wg.Go(func() {
			for range 5 {
				a, err := s.hibernation().Decide(t.Context(), b)
				switch {
				case err == nil:
					err = a.Check(b)
				case backend.KindOf(err) == backend.KindUnavailable && s.process:
					err = nil
				}
				if err != nil {
					t.Errorf("Decide: %v", err)
				}
			}
		})
	}
	if s.process {
		s.restart(t)
	}
	wg.Wait()
	s.decideAfterDeath(t, s.batch(1, 90_000, time.Second))
}

// decideAfterDeath is decide after the process was killed: the call that meets its death is not repeated by the host.
func (s *hibernationSuite) decideAfterDeath(t T, b *backend.HibernationBatch) *backend.HibernationAnswer {
	t.Helper()
	a, err := s.hibernation().Decide(t.Context(), b)
	if err == nil && a.Check(b) == nil {
		return a
	}
	return s.decide(t, b)
}

func (s *hibernationSuite) speed(t T) {
	small, large := s.batch(100, 100_000, time.Second), s.batch(pluginrpc.MaxCandidates, 200_000, time.Second)
	mark(t, "decide about 100", 1, func(ctx context.Context) error { _, err := s.hibernation().Decide(ctx, small); return err })
	mark(t, fmt.Sprint("decide about ", pluginrpc.MaxCandidates), 1, func(ctx context.Context) error { _, err := s.hibernation().Decide(ctx, large); return err })
}
