package hibernate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// pass lets time pass, and all that is to happen in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantIDs(t *testing.T, what string, got []uint32, want ...uint32) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestPolicyDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &policy{answer: func(_ context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
			return &backend.HibernationAnswer{
				IDs:     []uint32{1, 2, 4},
				Actions: []backend.HibernationAction{backend.ActionPark, backend.ActionKeep, backend.ActionDrop},
				Again:   []uint32{0, 3000, 0}, Warm: 2 * time.Second,
			}, nil
		}}
		f := start(t, Config{}, p)
		if !f.cache.governed {
			t.Error("the registry's timer was left on")
		}
		f.cache.use(1, 1, 2, 3)
		f.cache.use(0, 4)
		pass(4 * time.Second)
		if q := p.questions(); len(q) != 0 {
			t.Errorf("asked about %v, which have not rested yet", q)
		}
		pass(2 * time.Second)
		if q := p.questions(); len(q) != 1 || !slices.Equal(q[0], []uint32{1, 2, 3, 4}) {
			t.Fatalf("asked about %v", q)
		}
		if b := p.last; b.Keys[1] != 2<<8 || b.UserKeys[1] != 9 || b.Idle[1] != 5500 || b.Bytes[1] != 100 || b.Sessions[1] != 1 || b.States[1] != backend.StateWarm ||
			b.States[3] != backend.StateLeft || b.Now != 6*time.Second || b.Load.Warm != 4 || b.Load.WarmBytes != 400 {
			t.Errorf("batch %+v", b)
		}
		wantIDs(t, "parked", f.cache.took(), 1, 3) // 3 by default
		wantIDs(t, "dropped", f.cache.dropped, 4)
		if s := f.Stats(); s.Calls != 1 || s.Failures != 0 || s.Parked != 2 || s.Kept != 1 || s.Dropped != 1 || s.ByDefault || s.Warm != 2*time.Second {
			t.Errorf("stats %+v", s)
		}
		p.becomes(all(backend.ActionPark, 0))
		f.cache.use(1, 5)
		pass(2 * time.Second)
		if q := p.questions(); len(q) != 0 {
			t.Errorf("asked about %v", q)
		}
		pass(time.Second) // 2 was kept for so long, and 5 has rested for the policy's time
		if q := p.questions(); len(q) != 1 || !slices.Equal(q[0], []uint32{2, 5}) {
			t.Errorf("asked about %v", q)
		}
		if f.Stats().Warm != 5*time.Second {
			t.Error("an answer without a time does not put the configured one in force")
		}
		pass(time.Hour)
		if n := f.Stats().Calls; n != 2 {
			t.Errorf("%d calls without anything to decide", n-2)
		}
	})
}

// TestBrokenPolicies: whatever a policy does, mailboxes fall asleep after the default's time, and it is back in force when it is well again.
func TestBrokenPolicies(t *testing.T) {
	answer := func(a *backend.HibernationAnswer) func(context.Context, *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
		return func(context.Context, *backend.HibernationBatch) (*backend.HibernationAnswer, error) { return a, nil }
	}
	const keep, drop = backend.ActionKeep, backend.ActionDrop
	for name, c := range map[string]struct {
		answer func(context.Context, *backend.HibernationBatch) (*backend.HibernationAnswer, error)
		log    string
	}{
		"error": {func(context.Context, *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
			return nil, backend.Errorf(backend.KindUnavailable, "gone")
		}, "gone"},
		"stalled": {func(ctx context.Context, _ *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, "no answer within [hibernation] timeout of 300ms"},
		"nothing":     {answer(nil), "neither an answer nor an error"},
		"unknown id":  {answer(&backend.HibernationAnswer{IDs: []uint32{3, 9}, Actions: []backend.HibernationAction{keep, keep}, Again: []uint32{9, 9}}), "id 9 was not asked for"},
		"twice":       {answer(&backend.HibernationAnswer{IDs: []uint32{3, 3}, Actions: []backend.HibernationAction{keep, keep}, Again: []uint32{9, 9}}), "not in the order"},
		"length":      {answer(&backend.HibernationAnswer{IDs: []uint32{1, 2}, Actions: []backend.HibernationAction{keep}, Again: []uint32{9, 9}}), "column actions has 1 elements for 2 ids"},
		"times":       {answer(&backend.HibernationAnswer{IDs: []uint32{3}, Actions: []backend.HibernationAction{keep}}), "column again has 0 elements for 1 ids"},
		"action":      {answer(&backend.HibernationAnswer{IDs: []uint32{3}, Actions: []backend.HibernationAction{77}, Again: []uint32{9}}), "unknown action 77"},
		"drop in use": {answer(&backend.HibernationAnswer{IDs: []uint32{3}, Actions: []backend.HibernationAction{drop}, Again: []uint32{0}}), "1 sessions have it selected"},
		"warm":        {answer(&backend.HibernationAnswer{Warm: -1}), "is not between"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &policy{answer: all(backend.ActionKeep, 3_600_000)}
				f := start(t, Config{}, p)
				f.cache.use(1, 1, 2)
				pass(10 * time.Second)
				if got := f.cache.took(); len(got) != 0 || f.Stats().ByDefault {
					t.Fatalf("parked %v, although the policy keeps", got)
				}
				p.becomes(c.answer)
				f.cache.use(1, 3) // 1 and 2 are kept for an hour
				pass(2 * time.Second)
				f.cache.use(1, 1)
				pass(8 * time.Second)
				wantIDs(t, "parked", f.cache.took(), 2, 3, 1)
				s := f.Stats()
				if s.Failures == 0 || !s.ByDefault || s.Warm != 5*time.Second {
					t.Errorf("stats %+v", s)
				}
				if log := f.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "plugin=hibernation/fake") || !strings.Contains(log, c.log) {
					t.Errorf("log: %s", log)
				}
				p.becomes(all(backend.ActionKeep, 3_600_000))
				f.cache.use(1, 4)
				pass(40 * time.Second)
				if got := f.cache.took(); len(got) != 0 && f.Stats().ByDefault {
					t.Error("the policy is not asked again")
				}
				f.cache.use(1, 5)
				pass(time.Minute)
				if got := f.cache.took(); len(got) != 0 || f.Stats().ByDefault {
					t.Errorf("parked %v, although the policy keeps", got)
				}
				if log := f.log.String(); !strings.Contains(log, "in force again") {
					t.Errorf("log: %s", log)
				}
			})
		})
	}
}

// TestFailingPolicyIsLeftAlone: the pauses double up to half a minute, and the log is not flooded.
func TestFailingPolicyIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &policy{answer: func(context.Context, *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
			return nil, errors.New("broken")
		}}
		f := start(t, Config{}, p)
		for i := range uint32(600) {
			f.cache.use(1, i)
			pass(time.Second)
		}
		if n := f.Stats().Failures; n < 18 || n > 26 { // 1+2+4+8+16 s, then every 30
			t.Errorf("asked %d times in ten minutes", n)
		}
		if n := len(f.cache.took()); n < 590 {
			t.Errorf("only %d of 600 fell asleep", n)
		}
		if n := strings.Count(f.log.String(), "the default is in force"); n < 15 || n > 25 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestManyCandidatesAreAskedAboutInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &policy{answer: all(backend.ActionKeep, 60_000)}
		f := start(t, Config{Batch: 10}, p)
		for i := range uint32(25) {
			f.cache.use(1, i)
		}
		pass(6 * time.Second)
		q := p.questions()
		if len(q) != 3 || len(q[0]) != 10 || len(q[1]) != 10 || len(q[2]) != 5 || q[0][0] != 0 || q[2][4] != 24 {
			t.Errorf("asked %v", q)
		}
	})
}

// TestKeepingForNoTime: a policy can not make core ask all the time.
func TestKeepingForNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &policy{answer: all(backend.ActionKeep, 0)}
		f := start(t, Config{Batch: 1}, p)
		f.cache.use(1, 1)
		pass(15 * time.Second)
		if n := len(p.questions()); n != 10 {
			t.Errorf("asked %d times in 10 s", n)
		}
	})
}

func TestPressure(t *testing.T) {
	for _, withPolicy := range []bool{false, true} {
		t.Run(fmt.Sprint(withPolicy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *policy
				if withPolicy { // one that decides nothing
					p = &policy{answer: func(context.Context, *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
						return &backend.HibernationAnswer{}, nil
					}}
				}
				f := start(t, Config{Memory: 1000, Queue: 8}, p)
				f.cache.use(1, 1, 2, 3, 4, 5, 6, 7, 8)
				f.setLoad(Sample{Memory: 1250})
				pass(time.Second)
				wantIDs(t, "parked for the memory", f.cache.took(), 1, 2, 3)
				if s := f.Stats(); !s.Pressed || s.MemoryUsed != 1250 || s.MemoryMark != 1000 {
					t.Errorf("stats %+v", s)
				}
				pass(time.Second)
				wantIDs(t, "parked again for what is not collected yet", f.cache.took())
				f.setLoad(Sample{Memory: 1250, GCs: 2}) // it is, and more has come
				pass(time.Second)
				wantIDs(t, "parked for more memory", f.cache.took(), 4, 5, 6)
				f.setLoad(Sample{Memory: 900, GCs: 4, Queued: 9})
				pass(time.Second)
				wantIDs(t, "parked for the queue", f.cache.took(), 7) // a quarter of two
				f.setLoad(Sample{Memory: 900, GCs: 6, Queued: 8})
				pass(time.Second)
				wantIDs(t, "parked without pressure", f.cache.took())
				if f.Stats().Pressed {
					t.Error("under pressure at its mark")
				}
			})
		})
	}
}

// TestPressureReachesThePolicy: it is asked about those that it has kept, and about those that were used a moment ago.
func TestPressureReachesThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &policy{answer: all(backend.ActionKeep, 3_600_000)}
		f := start(t, Config{Memory: 1000}, p)
		f.cache.use(1, 1)
		pass(10 * time.Second)
		p.questions()
		f.cache.use(1, 2)
		f.setLoad(Sample{Memory: 1250, Queued: 3, Running: 2, Workers: 4, Sessions: 77, Logins: 10})
		p.becomes(all(backend.ActionPark, 0))
		pass(time.Second)
		if q := p.questions(); len(q) != 1 || !slices.Equal(q[0], []uint32{1, 2}) {
			t.Errorf("asked about %v", q)
		}
		l := p.last.Load
		if !l.Pressed() || l.MemoryUsed != 1250 || l.MemoryMark != 1000 || l.Queued != 3 || l.Running != 2 || l.Workers != 4 || l.Sessions != 77 || l.LoginsPerSecond != 10 {
			t.Errorf("load %+v", l)
		}
		wantIDs(t, "parked", f.cache.took(), 1, 2)
	})
}

// TestSoftBytes: core keeps the policy's bound between its answers.
func TestSoftBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &policy{}
		p.answer = func(ctx context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
			a, err := all(backend.ActionKeep, 3_600_000)(ctx, b)
			a.SoftBytes = 250
			return a, err
		}
		f := start(t, Config{}, p)
		f.cache.use(1, 1, 2)
		pass(6 * time.Second)
		wantIDs(t, "parked below the bound", f.cache.took())
		calls := f.Stats().Calls
		f.cache.use(1, 3, 4)
		pass(time.Second)
		wantIDs(t, "parked beyond the bound", f.cache.took(), 1, 2)
		if f.Stats().Calls != calls {
			t.Error("the policy was asked")
		}
		pass(20 * time.Second)
		f.cache.took()
		calls = f.Stats().Calls
		pass(20 * time.Second)
		f.cache.use(1, 5, 6)
		pass(time.Second)
		if got := f.cache.took(); len(got) != 0 || f.Stats().Calls != calls {
			t.Errorf("parked %v beyond a bound of long ago", got)
		}
	})
}

// TestUsedMeanwhile: a decision about a mailbox that was used while the policy thought is void.
func TestUsedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &policy{}
		f := start(t, Config{}, p)
		p.becomes(func(ctx context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
			time.Sleep(100 * time.Millisecond)
			f.cache.use(1, 2)
			return all(backend.ActionPark, 0)(ctx, b)
		})
		f.cache.use(1, 1, 2)
		pass(6 * time.Second)
		wantIDs(t, "parked", f.cache.took(), 1)
		if n := f.Stats().Parked; n != 1 {
			t.Errorf("%d are counted as parked", n)
		}
	})
}

// TestCloseEndsACall: Close does not wait for a policy that stalls, and its end is no failure.
func TestCloseEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := make(chan struct{})
		p := &policy{answer: func(ctx context.Context, _ *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
			close(began)
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		f := start(t, Config{}, p)
		f.cache.use(1, 1)
		<-began
		before := time.Now()
		f.Close()
		if waited := time.Since(before); waited != 0 {
			t.Errorf("Close took %v", waited)
		}
		if s := f.Stats(); s.Failures != 0 || f.log.String() != "" {
			t.Errorf("stats %+v, log %s", s, f.log)
		}
	})
}
