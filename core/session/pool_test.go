package session

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestShortCommandRunsInTheMiddleOfALongOne(t *testing.T) {
	clock := newClock()
	s := startServer(t, Config{Workers: 1, TimeSlice: 10 * time.Millisecond}, clock.now)
	a, b := s.dial(t), s.dial(t)
	a.send("a LOGIN 1\r\na LONG\r\n")
	a.want("a ok")
	<-s.toy.started
	b.send("b LOGIN 2\r\nb RUN x\r\n")
	b.want("b ok")
	eventually(t, "the short command waits", func() bool { return s.Stats().Queued == 1 })
	clock.advance(s, 9*time.Millisecond)
	s.toy.step <- struct{}{}
	<-s.toy.stepped
	if st := s.Stats(); st.Queued != 1 || st.Paused != 0 {
		t.Fatalf("the long command gave its worker away before its time slice was used up: %+v", st)
	}
	clock.advance(s, time.Millisecond)
	s.toy.step <- struct{}{}
	b.want(`b ran "x"`)
	<-s.toy.stepped // the long command has its worker again
	close(s.toy.release)
	a.want(`a ran ""`)
}

func TestLongCommandsTakeTurns(t *testing.T) {
	clock := newClock()
	s := startServer(t, Config{Workers: 1, TimeSlice: 10 * time.Millisecond}, clock.now)
	a, b := s.dial(t), s.dial(t)
	a.send("a LONG\r\n")
	<-s.toy.started
	b.send("b LONG\r\n")
	eventually(t, "the second one waits", func() bool { return s.Stats().Queued == 1 })
	clock.advance(s, time.Second)
	s.toy.step <- struct{}{}
	<-s.toy.started // b has the worker
	for range 10 {
		if st := s.Stats(); st.Paused != 1 || st.Running != 1 {
			t.Fatalf("one should run and one wait: %+v", st)
		}
		clock.advance(s, 10*time.Millisecond)
		s.toy.step <- struct{}{} // the one that runs gives way
		<-s.toy.stepped          // the other one is back
	}
	close(s.toy.release)
	a.want(`a ran ""`)
	b.want(`b ran ""`)
}

func TestOneUserDoesNotGetAllWorkers(t *testing.T) {
	s := startServer(t, Config{Workers: 4, UserWorkers: 2}, nil)
	var greedy []*client
	for range 100 {
		c := s.dial(t)
		c.send("a LOGIN 1\r\na HOLD\r\n")
		c.want("a ok")
		greedy = append(greedy, c)
	}
	eventually(t, "the user has its share", func() bool { st := s.Stats(); return st.Running == 2 && st.Queued == 98 })
	other := s.dial(t)
	other.send("b RUN before the login\r\nb LOGIN 2\r\nb RUN x\r\n")
	other.want(`b ran "before the login"`, "b ok", `b ran "x"`)
	// An answer can be read before the worker that gave it is free.
	eventually(t, "the user's commands are left alone", func() bool { st := s.Stats(); return st.Running == 2 && st.Queued == 98 })
	close(s.toy.release)
	for _, c := range greedy {
		c.want(`a ran ""`)
	}
}

// TestLoginsDoNotGetAllWorkers: those who are logged in do not wait for an auth plugin that does not answer.
func TestLoginsDoNotGetAllWorkers(t *testing.T) {
	s := startServer(t, Config{Workers: 4, UserWorkers: 2}, nil)
	user := s.dial(t)
	user.send("a LOGIN 1\r\n")
	user.want("a ok")
	var guests []*client
	for range 100 {
		c := s.dial(t)
		c.send("a HOLD\r\n")
		guests = append(guests, c)
	}
	eventually(t, "they have their share", func() bool { st := s.Stats(); return st.Running == 2 && st.Queued == 98 })
	user.send("b RUN x\r\nb RUN y\r\n")
	user.want(`b ran "x"`, `b ran "y"`)
	eventually(t, "the logins are left alone", func() bool { st := s.Stats(); return st.Running == 2 && st.Queued == 98 })
	close(s.toy.release)
	for _, c := range guests {
		c.want(`a ran ""`)
	}
	eventually(t, "nobody waits", func() bool { st := s.Stats(); return st.Running == 0 && st.Queued == 0 })
}

// TestManyCommandsOfOneUserCountAsOne: the queue goes by users, not by commands.
func TestManyCommandsOfOneUserCountAsOne(t *testing.T) {
	s := startServer(t, Config{Workers: 1}, nil)
	blocker := s.dial(t)
	blocker.send("a LOGIN 9\r\na HOLD\r\n")
	blocker.want("a ok")
	<-s.toy.started
	for i := range 50 {
		c := s.dial(t)
		c.send("a LOGIN 1\r\na HOLD\r\n")
		c.want("a ok")
		eventually(t, "it waits", func() bool { return s.Stats().Queued == i+1 })
	}
	other := s.dial(t)
	other.send("b LOGIN 2\r\nb HOLD\r\n")
	other.want("b ok")
	eventually(t, "the other user waits behind them", func() bool { return s.Stats().Queued == 51 })
	s.toy.release <- struct{}{} // the blocker ends
	<-s.toy.started
	s.toy.release <- struct{}{} // and one command of the first user's
	<-s.toy.started
	s.toy.release <- struct{}{} // and what ran then
	other.want(`b ran ""`)
	close(s.toy.release)
}

// TestPoolKeepsItsBounds runs a pool with tasks that pause, wait and end in all orders.
func TestPoolKeepsItsBounds(t *testing.T) {
	const slots, share, users, guests, guestShare, tasks = 5, 2, 7, 6, 3, 20_000
	var ticks atomic.Int64
	var total, done atomic.Int64
	full := make(chan struct{}) // closed when all slots are taken
	var once sync.Once
	var running [users + guests]atomic.Int64
	var guestsRunning atomic.Int64
	var failed atomic.Bool
	payer := func(user uint64) uint64 { // the last of them have not logged in
		if user < users {
			return user
		}
		return 1<<32 | user
	}
	enter := func(key uint64) {
		user, n := uint32(key), total.Add(1)
		if n == slots {
			once.Do(func() { close(full) })
		}
		if n > slots || running[user].Add(1) > share || user >= users && guestsRunning.Add(1) > guestShare {
			failed.Store(true)
		}
	}
	leave := func(key uint64) {
		user := uint32(key)
		if user >= users {
			guestsRunning.Add(-1)
		}
		running[user].Add(-1)
		total.Add(-1)
	}
	var all sync.WaitGroup
	p := pool{slots: slots, free: slots, share: share, slice: time.Nanosecond, payers: payers{guestShare: guestShare}}
	p.clock = func() time.Time { return time.Unix(0, ticks.Add(1)*10) }
	p.make = func() *worker { return &worker{granted: make(chan struct{}, 1), start: make(chan task, 1)} }
	p.run = func(w *worker, tk task) {
		defer all.Done()
		enter(tk.payer)
		<-full
		for range rand.N(4) {
			leave(tk.payer)
			if rand.N(2) == 0 {
				p.breathe(w)
			} else {
				p.yield(w)
				p.regain(w)
			}
			enter(tk.payer)
		}
		leave(tk.payer)
		done.Add(1)
	}
	all.Add(tasks)
	for range 4 {
		go func() { // ends when it has submitted its tasks, which the test waits for
			for range tasks / 4 {
				p.submit(task{payer: payer(rand.N[uint64](users + guests))})
			}
		}()
	}
	all.Wait()
	p.close()
	if failed.Load() {
		t.Error("more ran at once than there are slots, or than the share of one user or of those who have not logged in")
	}
	if st := p.load(); done.Load() != tasks || st != (poolLoad{}) || p.wanted.Load() != 0 || len(p.payers.m) != 0 {
		t.Errorf("%d of %d tasks ran; left: %+v, %d wanted, %d payers", done.Load(), tasks, st, p.wanted.Load(), len(p.payers.m))
	}
}

// BenchmarkSubmit is what the pool adds to a command, from queueing to the end.
func BenchmarkSubmit(b *testing.B) {
	for _, users := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			var done sync.WaitGroup
			p := pool{slots: 8, free: 8, share: 4, slice: time.Second, clock: time.Now}
			p.make = func() *worker { return &worker{granted: make(chan struct{}, 1), start: make(chan task, 1)} }
			p.run = func(*worker, task) { done.Done() }
			done.Add(b.N)
			b.ReportAllocs()
			for i := range b.N {
				p.submit(task{payer: uint64(i % users)})
			}
			done.Wait()
			p.close()
		})
	}
}
