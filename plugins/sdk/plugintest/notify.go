package plugintest

import (
	"context"
	"fmt"
	"sync"
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
		t.Run("Listen", s.listen)
		t.Run("Restart", s.restarted)
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

// restarted: Publish is repeated on the new process, since it does no harm.
func (s *notifySuite) restarted(t T) {
	s.restart(t)
	s.one(t)
}
