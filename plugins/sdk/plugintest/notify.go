package plugintest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// NotifyFixture describes a notify plugin.
type NotifyFixture struct {
	// New makes the plugin; or Command is the program that is it, with its arguments.
	New     func() backend.Plugin
	Command []string
	Config  backend.Config
}

func (f NotifyFixture) subject() subject { return subject{backend.KindNotify, f.New, f.Command} }

// Notify runs the conformance suite of notify plugins. What the plugin does with the changes is its own business: it must take them.
func Notify[S goTest[S]](test S, f NotifyFixture) {
	t := wrap(test)
	p := f.subject()
	p.testLife(t, always(f.Config))
	p.testWire(t, f.Config)
	p.onEachConnection(t, always(f.Config), func(t T, c *connection) {
		s := &notifySuite{connection: c}
		testBase(t, backend.KindNotify, c)
		t.Run("OneChange", s.one)
		t.Run("LargestBatch", s.largest)
		t.Run("EveryKind", s.kinds)
		t.Run("NothingIsKnown", s.unknown)
		t.Run("ExtremeNumbers", s.extremes)
		t.Run("NamesInUTF8", s.names)
		t.Run("ToldTwice", s.twice)
		t.Run("WrongBatches", s.wrong)
		t.Run("Cancelled", s.cancelled)
		t.Run("NoTime", s.late)
		t.Run("OnBehalfOf", s.onBehalf)
		t.Run("Concurrent", s.concurrent)
		t.Run("Listen", s.listen)
		t.Run("ListenAgain", s.listenAgain)
		t.Run("ListenTwice", s.listenTwice)
		t.Run("ListenBegins", s.begins)
		t.Run("ListenUntil", s.until)
		t.Run("ListenUntilAtOnce", s.untilAtOnce)
		t.Run("ListenSwap", s.swap)
		t.Run("KilledWhileListening", s.killedListening)
		t.Run("Restart", s.restarted)
		t.Run("KilledInMidCall", s.killed)
		t.Run("Speed", s.speed)
	})
}

type notifySuite struct{ *connection }

func change(mailbox string, kinds backend.ChangeKinds) backend.MailboxChange {
	return backend.MailboxChange{User: "jane", Mailbox: mailbox, Kinds: kinds, Node: "plugintest", Time: time.UnixMilli(1767225600000),
		State: &backend.MailboxState{MailboxID: [16]byte{1}, UIDValidity: 1, UIDNext: 8, HighestModSeq: 9, Messages: 7}}
}

func (s *notifySuite) publish(t T, cs ...backend.MailboxChange) {
	t.Helper()
	if err := s.notify().Publish(t.Context(), &backend.ChangeBatch{Changes: cs}); err != nil {
		t.Errorf("Publish: %v", err)
	}
}

func (s *notifySuite) one(t T) { s.publish(t, change("INBOX", backend.ChangeAppended)) }

func (s *notifySuite) largest(t T) {
	var cs []backend.MailboxChange
	for i := range backend.MaxChanges {
		cs = append(cs, change(fmt.Sprint("box", i), backend.ChangeFlags))
	}
	s.publish(t, cs...)
}

func (s *notifySuite) kinds(t T) {
	var cs []backend.MailboxChange
	for k := backend.ChangeAppended; k <= backend.ChangeRights; k <<= 1 {
		c := change("INBOX", k)
		if k == backend.ChangeRenamed {
			c.OldMailbox = "old"
		}
		cs = append(cs, c)
	}
	s.publish(t, cs...)
}

func (s *notifySuite) unknown(t T) {
	s.publish(t, backend.MailboxChange{User: "jane", Mailbox: "gone", Kinds: backend.ChangeDeleted}, backend.MailboxChange{User: "jane", Mailbox: "changed"})
}

func (s *notifySuite) extremes(t T) {
	c := change("INBOX", backend.ChangeFlags)
	c.State = &backend.MailboxState{UIDValidity: 1<<32 - 1, UIDNext: 1<<32 - 1, HighestModSeq: 1<<64 - 1, Messages: 1<<32 - 1}
	c.Time = time.UnixMilli(-1 << 62)
	if err := s.notify().Publish(t.Context(), &backend.ChangeBatch{Changes: []backend.MailboxChange{c}, Dropped: 1<<64 - 1}); err != nil {
		t.Errorf("Publish: %v", err)
	}
}

func (s *notifySuite) names(t T) {
	c := change("Entwürfe/日本語 \" \\ \r\n", backend.ChangeAppended)
	c.User, c.Namespace = "jürgen@example.org", "Öffentlich"
	s.publish(t, c)
}

func (s *notifySuite) twice(t T) {
	for range 2 {
		s.publish(t, change("INBOX", backend.ChangeAppended))
	}
}

func (s *notifySuite) wrong(t T) {
	for name, b := range map[string]*backend.ChangeBatch{
		"no changes": {},
		"no mailbox": {Changes: []backend.MailboxChange{{User: "jane"}}},
		"too many":   {Changes: make([]backend.MailboxChange, backend.MaxChanges+1)},
	} {
		wantKind(t, name, s.notify().Publish(t.Context(), b), backend.KindInvalidArgument)
	}
}

func (s *notifySuite) cancelled(t T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, "Publish", s.notify().Publish(ctx, &backend.ChangeBatch{Changes: []backend.MailboxChange{change("INBOX", 0)}}), backend.KindCancelled)
	s.one(t)
}

// listen: while the plugin is listened to, it takes changes; and the end of it is the caller's to say.
func (s *notifySuite) listen(t T) {
	l := s.notify().(backend.Listener)
	hear := func(*backend.Heard) error { return nil }
	if !s.plugin.Info().Has(backend.CapListen) {
		wantKind(t, "Listen", l.Listen(t.Context(), backend.ListenRequest{Node: "plugintest"}, hear), backend.KindUnsupported)
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = l.Listen(ctx, backend.ListenRequest{Node: "plugintest"}, hear) })
	s.one(t)
	cancel()
	wg.Wait()
	wantKind(t, "Listen", err, backend.KindCancelled)
}

// late: a batch that there is no time for is taken or not, and given again.
func (s *notifySuite) late(t T) {
	for _, d := range []time.Duration{time.Nanosecond, 100 * time.Microsecond, time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		err := s.notify().Publish(ctx, &backend.ChangeBatch{Changes: []backend.MailboxChange{change("late", backend.ChangeFlags)}})
		cancel()
		if err != nil && ctx.Err() == nil {
			t.Errorf("Publish within %v: %v", d, err)
		}
		s.publish(t, change("late", backend.ChangeFlags))
	}
}

// onBehalf: for whom a call is made is for logs, and changes nothing.
func (s *notifySuite) onBehalf(t T) {
	for _, o := range []backend.Origin{{Request: 1<<64 - 1}, {User: "Jürgen \n \x00 日本"}, {Request: 1, User: strings.Repeat("u", 5000)}} {
		ctx := backend.WithOrigin(t.Context(), o)
		if err := s.notify().Publish(ctx, &backend.ChangeBatch{Changes: []backend.MailboxChange{change("INBOX", backend.ChangeAppended)}}); err != nil {
			t.Errorf("Publish for request %x of %.10q: %v", o.Request, o.User, err)
		}
	}
}

// concurrent: two servers may use one plugin that the operator runs.
func (s *notifySuite) concurrent(t T) {
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { s.publish(t, change(fmt.Sprint("box", i), backend.ChangeFlags)) })
	}
	wg.Wait()
}

// listening calls Listen, and returns what ends it and waits for its error.
func (s *notifySuite) listening(t T) (end func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { // ends with end, or the test
		ended <- s.notify().(backend.Listener).Listen(ctx, backend.ListenRequest{Node: "plugintest"}, func(*backend.Heard) error { return nil })
	}()
	return func() error { cancel(); return <-ended }
}

// needsListen skips a case without the capability.
func (s *notifySuite) needsListen(t T) {
	t.Helper()
	if !s.plugin.Info().Has(backend.CapListen) {
		t.Skip("the plugin does not announce listen")
	}
}

// listenAgain: core calls Listen again after it has ended.
func (s *notifySuite) listenAgain(t T) {
	s.needsListen(t)
	for range 5 {
		end := s.listening(t)
		s.one(t)
		wantKind(t, "Listen", end(), backend.KindCancelled)
	}
}

// listenTwice: while a plugin that the operator runs is reloaded, the old connection still listens when the new one begins.
func (s *notifySuite) listenTwice(t T) {
	s.needsListen(t)
	first, second := s.listening(t), s.listening(t)
	s.one(t)
	wantKind(t, "the first Listen", first(), backend.KindCancelled)
	s.one(t)
	wantKind(t, "the second Listen", second(), backend.KindCancelled)
}

// ear is a Listen that is under way. Of a process, roost's host makes it: what it says of begun is then what roost acts upon.
type ear struct {
	begun chan struct{} // closed when it has begun
	until chan struct{}
	end   func() error // cancels it, and returns its error
	ended chan error
}

// hearing calls Listen.
func (s *notifySuite) hearing(t T) *ear {
	e := &ear{begun: make(chan struct{}), until: make(chan struct{}), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	e.end = func() error { cancel(); return <-e.ended }
	go func() { // ends with end, or the test
		begun := false
		e.ended <- s.notify().(backend.Listener).Listen(ctx, backend.ListenRequest{Node: "plugintest", Until: e.until}, func(h *backend.Heard) error {
			if h.Begun && !begun {
				begun = true
				close(e.begun)
			}
			return nil
		})
	}()
	return e
}

// waitBegun waits until it has begun.
func (e *ear) waitBegun(t T) {
	t.Helper()
	select {
	case <-e.begun:
	case err := <-e.ended:
		e.ended <- err
		t.Fatalf("Listen ended before it said that it has begun: %v", err)
	case <-time.After(patience):
		t.Fatalf("Listen has not said that it has begun after %v: the plugin announces %s, so it must send begun when its subscription is confirmed, or end the stream with UNAVAILABLE",
			patience, backend.CapListenGapless)
	}
}

// waitEnd waits until it ends by itself.
func (e *ear) waitEnd(t T) error {
	t.Helper()
	select {
	case err := <-e.ended:
		return err
	case <-time.After(patience):
		t.Fatalf("Listen goes on %v after roost has ended its requests: send what happened before, and end the stream with OK", patience)
		return nil
	}
}

// needsGapless skips a case without the capability.
func (s *notifySuite) needsGapless(t T) {
	t.Helper()
	if !s.plugin.Info().Has(backend.CapListenGapless) {
		t.Skip("the plugin does not announce " + backend.CapListenGapless)
	}
}

// direct skips a case that roost's host stands between.
func (s *notifySuite) direct(t T) {
	t.Helper()
	s.needsGapless(t)
	if s.process {
		t.Skip("roost itself ends the requests of Listen: ListenSwap")
	}
}

// begins: it says when it misses nothing, each time, also while another listens.
func (s *notifySuite) begins(t T) {
	s.needsGapless(t)
	first, second := s.hearing(t), s.hearing(t)
	first.waitBegun(t)
	second.waitBegun(t)
	wantKind(t, "the first Listen", first.end(), backend.KindCancelled)
	third := s.hearing(t)
	third.waitBegun(t)
	wantKind(t, "the second Listen", second.end(), backend.KindCancelled)
	wantKind(t, "the third Listen", third.end(), backend.KindCancelled)
}

// until: when its requests end it tells the rest, and ends without an error; another one goes on.
func (s *notifySuite) until(t T) {
	s.direct(t)
	first, second := s.hearing(t), s.hearing(t)
	first.waitBegun(t)
	second.waitBegun(t)
	s.one(t)
	close(first.until)
	if err := first.waitEnd(t); err != nil {
		t.Errorf("Listen ended with %v, want OK: nothing is missing", err)
	}
	s.one(t)
	wantKind(t, "the second Listen", second.end(), backend.KindCancelled)
}

// untilAtOnce: one that is asked to end before it has begun ends, in whatever way.
func (s *notifySuite) untilAtOnce(t T) {
	s.direct(t)
	e := s.hearing(t)
	close(e.until)
	_ = e.waitEnd(t)
	s.one(t)
}

// swap reloads the plugin while it is listened to: the new process begins, the old one ends, and nothing is taken for lost.
func (s *notifySuite) swap(t T) {
	s.needsGapless(t)
	if s.reload == nil {
		t.Skip("only a process under roost's host is reloaded")
	}
	var lost atomic.Int32
	begun, ended := make(chan struct{}, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // ends with cancel, or the test
		ended <- s.notify().(backend.Listener).Listen(ctx, backend.ListenRequest{Node: "plugintest"}, func(h *backend.Heard) error {
			if h.Begun {
				begun <- struct{}{}
			}
			if h.Lost {
				lost.Add(1)
			}
			return nil
		})
	}()
	select {
	case <-begun:
	case err := <-ended:
		t.Fatalf("Listen ended before it said that it has begun: %v", err)
	case <-time.After(patience):
		t.Fatalf("Listen has not said that it has begun after %v", patience)
	}
	for range 3 {
		s.one(t)
		if err := s.reload(t); err != nil {
			t.Fatalf("the replaced process has not ended: %v", err)
		}
		s.one(t)
	}
	cancel()
	wantKind(t, "Listen", <-ended, backend.KindCancelled)
	if len(begun) > 0 || lost.Load() > 0 {
		t.Errorf("changes were taken for lost while a process took the place of another: lost %d times, begun anew %d times", lost.Load(), len(begun))
	}
}

// killedListening: Listen ends with the process, with an error that says so, and is called again on the next one.
func (s *notifySuite) killedListening(t T) {
	s.needsListen(t)
	end := s.listening(t)
	s.one(t)
	s.restart(t)
	if err := end(); backend.KindOf(err) != backend.KindUnavailable && backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("Listen ended with %v", err)
	}
	s.one(t) // on the next process
	end = s.listening(t)
	s.one(t)
	wantKind(t, "Listen", end(), backend.KindCancelled)
}

// killed kills the plugin while calls are under way: each is answered, on the next process if need be.
func (s *notifySuite) killed(t T) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := range 5 {
				s.publish(t, change(fmt.Sprint("box", i, "/", k), backend.ChangeFlags))
			}
		})
	}
	if s.process {
		s.restart(t)
	}
	wg.Wait()
	s.one(t)
}

func (s *notifySuite) speed(t T) {
	one := &backend.ChangeBatch{Changes: []backend.MailboxChange{change("INBOX", backend.ChangeAppended)}}
	mark(t, "publish one", 1, func(ctx context.Context) error { return s.notify().Publish(ctx, one) })
	many := &backend.ChangeBatch{}
	for i := range backend.MaxChanges {
		many.Changes = append(many.Changes, change(fmt.Sprint("box", i), backend.ChangeFlags))
	}
	mark(t, fmt.Sprint("publish ", backend.MaxChanges), 1, func(ctx context.Context) error { return s.notify().Publish(ctx, many) })
}

// restarted: Publish is repeated on the new process, since it does no harm.
func (s *notifySuite) restarted(t T) {
	s.restart(t)
	s.one(t)
}
