package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// fakePlugin takes batches as its fields say.
type fakePlugin struct {
	listens bool

	mu      sync.Mutex
	fail    error // of the next calls
	batches []backend.ChangeBatch
	hears   chan *backend.Heard // nil: Listen fails
}

func (p *fakePlugin) Info() backend.Info {
	i := backend.Info{Kind: backend.KindNotify, Name: "fake"}
	if p.listens {
		i.Capabilities = []string{backend.CapListen}
	}
	return i
}
func (*fakePlugin) Configure(context.Context, backend.Config) error { return nil }
func (*fakePlugin) Health(context.Context) error                    { return nil }
func (*fakePlugin) Close() error                                    { return nil }

func (p *fakePlugin) Publish(_ context.Context, b *backend.ChangeBatch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	p.batches = append(p.batches, *b)
	return nil
}

func (p *fakePlugin) failWith(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// taken returns what was taken since the last call: "user/mailbox kinds uidnext" of each change.
func (p *fakePlugin) taken() (lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.batches {
		for _, c := range b.Changes {
			line := fmt.Sprintf("%s/%s %b", c.User, c.Mailbox, c.Kinds)
			if c.State != nil {
				line += fmt.Sprint(" ", c.State.UIDNext)
			}
			lines = append(lines, line)
		}
		if b.Dropped > 0 {
			lines = append(lines, fmt.Sprint("dropped ", b.Dropped))
		}
	}
	p.batches = nil
	return lines
}

func (p *fakePlugin) Listen(ctx context.Context, r backend.ListenRequest, hear func(*backend.Heard) error) error {
	if r.Node != "here" {
		return errors.New("wrong node")
	}
	for {
		select {
		case h := <-p.hears:
			if h == nil {
				return errors.New("the connection is gone")
			}
			if err := hear(h); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fakeServer is source, sink and storage of a Relay.
type fakeServer struct {
	tell func(u *backend.User, c backend.MailboxChange)

	mu     sync.Mutex
	asked  []string
	heard  []string
	losses int
}

func (s *fakeServer) OnNews(f func(*backend.User, backend.MailboxChange)) { s.tell = f }

func (s *fakeServer) Elsewhere(c backend.MailboxChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, c.User+"/"+c.Mailbox)
}

func (s *fakeServer) ElsewhereLost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.losses++
}

func (s *fakeServer) Status(_ context.Context, u *backend.User, _ string, names []string, _ backend.StatusItems) ([]backend.MailboxStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprint(u.Name, names))
	out := make([]backend.MailboxStatus, len(names))
	for i, name := range names {
		if name == "gone" {
			out[i].Err = backend.Errorf(backend.KindNotFound, "no")
			continue
		}
		out[i] = backend.MailboxStatus{UIDValidity: 1, UIDNext: 77, Messages: 5}
	}
	return out, nil
}

func (s *fakeServer) change(user, mailbox string, kinds backend.ChangeKinds, uidNext uint32, modseq uint64) {
	c := backend.MailboxChange{User: user, Mailbox: mailbox, Kinds: kinds, Time: time.Now()}
	if uidNext > 0 {
		c.State = state(uidNext, modseq)
	}
	s.tell(&backend.User{Name: user}, c)
}

func state(uidNext uint32, modseq uint64) *backend.MailboxState {
	return &backend.MailboxState{UIDValidity: 1, UIDNext: imap.UID(uidNext), HighestModSeq: modseq, Messages: 3}
}

// run runs a story with a relay in a bubble of its own, where time passes when everybody waits.
func run(t *testing.T, c Config, p *fakePlugin, story func(t *testing.T, r *Relay, s *fakeServer)) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p.hears = make(chan *backend.Heard) // of the bubble
		c.Plugin, c.Node, c.Delay, c.Timeout, c.Batch = p, "here", 50*time.Millisecond, time.Second, 3
		if c.Queue == 0 {
			c.Queue = 100
		}
		r := Start(c, s, s, s, slog.New(slog.NewTextHandler(t.Output(), nil)))
		defer r.Close()
		story(t, r, s)
	})
}

// after lets time pass, and everybody do what there is to do then.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func want(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestChangesOfAMailboxBecomeOne(t *testing.T) {
	p := &fakePlugin{}
	run(t, Config{}, p, func(t *testing.T, r *Relay, s *fakeServer) {
		s.change("jane", "INBOX", backend.ChangeAppended, 10, 5)
		s.change("joe", "INBOX", backend.ChangeFlags, 20, 6)
		s.change("jane", "INBOX", backend.ChangeExpunged, 11, 7)
		after(49 * time.Millisecond)
		want(t, "before the delay is over", p.taken(), nil)
		after(time.Millisecond)
		want(t, "after it", p.taken(), []string{"jane/INBOX 11 11", "joe/INBOX 100 20"})
		if st := r.Stats(); st.Published != 2 || st.Waiting != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestStorageIsAskedForWhatIsNotKnown(t *testing.T) {
	p := &fakePlugin{}
	run(t, Config{}, p, func(t *testing.T, r *Relay, s *fakeServer) {
		s.change("jane", "a", backend.ChangeAppended, 0, 0)
		s.change("jane", "gone", backend.ChangeDeleted|backend.ChangeCreated, 0, 0)
		s.change("jane", "deleted", backend.ChangeDeleted, 0, 0)
		after(time.Second)
		want(t, "asked", s.asked, []string{"jane[a gone]"})
		want(t, "taken", p.taken(), []string{"jane/a 1 77", "jane/gone 11000", "jane/deleted 10000"})
	})
}

func TestWhatFailedIsToldAgainWithWhatHappenedSince(t *testing.T) {
	p := &fakePlugin{fail: backend.Errorf(backend.KindUnavailable, "down")}
	run(t, Config{}, p, func(t *testing.T, r *Relay, s *fakeServer) {
		s.change("jane", "a", backend.ChangeAppended, 10, 5)
		s.change("jane", "b", backend.ChangeAppended, 10, 5)
		after(500 * time.Millisecond)
		s.change("jane", "a", backend.ChangeFlags, 12, 6)
		p.failWith(nil)
		after(2 * time.Second)
		want(t, "taken", p.taken(), []string{"jane/a 101 12", "jane/b 1 10"})
		if st := r.Stats(); st.Failures != 1 || st.Published != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestWhatIsRefusedIsDropped(t *testing.T) {
	p := &fakePlugin{fail: backend.Errorf(backend.KindInvalidArgument, "no")}
	run(t, Config{}, p, func(t *testing.T, r *Relay, s *fakeServer) {
		s.change("jane", "a", backend.ChangeAppended, 10, 5)
		after(500 * time.Millisecond)
		p.failWith(nil)
		s.change("jane", "b", backend.ChangeAppended, 10, 5)
		after(500 * time.Millisecond)
		want(t, "taken", p.taken(), []string{"jane/b 1 10"})
		if st := r.Stats(); st.Refused != 1 || st.Waiting != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	p := &fakePlugin{}
	run(t, Config{Queue: 3}, p, func(t *testing.T, r *Relay, s *fakeServer) {
		for i := range 5 {
			s.change("jane", fmt.Sprint(i), backend.ChangeAppended, 10, 5)
		}
		after(time.Second)
		want(t, "taken", p.taken(), []string{"jane/2 1 10", "jane/3 1 10", "jane/4 1 10", "dropped 2"})
		s.change("jane", "x", backend.ChangeAppended, 10, 5)
		after(time.Second)
		want(t, "taken later", p.taken(), []string{"jane/x 1 10"})
		if st := r.Stats(); st.Dropped != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestWhatWaitsIsHandedOverAtTheEnd(t *testing.T) {
	p := &fakePlugin{}
	run(t, Config{}, p, func(t *testing.T, r *Relay, s *fakeServer) {
		s.change("jane", "a", backend.ChangeAppended, 10, 5)
		r.Close()
		want(t, "taken", p.taken(), []string{"jane/a 1 10"})
	})
}

func TestOtherServersAreHeard(t *testing.T) {
	p := &fakePlugin{listens: true}
	run(t, Config{}, p, func(t *testing.T, r *Relay, s *fakeServer) {
		there := backend.MailboxChange{User: "jane", Mailbox: "INBOX", Node: "there", Kinds: backend.ChangeAppended, State: state(10, 5)}
		own := backend.MailboxChange{User: "joe", Mailbox: "INBOX", Node: "here"}
		p.hears <- &backend.Heard{Changes: []backend.MailboxChange{there, own}}
		p.hears <- &backend.Heard{Lost: true}
		synctest.Wait()
		want(t, "heard", s.heard, []string{"jane/INBOX"})
		if s.losses != 1 {
			t.Errorf("everything was taken for changed %d times, not once", s.losses)
		}

		s.change("jane", "INBOX", backend.ChangeAppended, 10, 5) // what a refresh finds because of it
		s.change("joe", "INBOX", backend.ChangeAppended, 10, 5)
		after(time.Second)
		want(t, "told on", p.taken(), []string{"joe/INBOX 1 10"})
		s.change("jane", "INBOX", backend.ChangeFlags, 10, 6)
		after(time.Second)
		want(t, "what is more", p.taken(), []string{"jane/INBOX 100 10"})
		if st := r.Stats(); st.Heard != 1 || st.Echoes != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestWhatHappenedBeforeItHasBegunIsDoubtful: changes between an interruption and the next begun were not heard.
func TestWhatHappenedBeforeItHasBegunIsDoubtful(t *testing.T) {
	p := &fakePlugin{listens: true}
	run(t, Config{}, p, func(t *testing.T, r *Relay, s *fakeServer) {
		for i, h := range []*backend.Heard{{Begun: true}, nil, {Begun: true}} {
			p.hears <- h
			after(lostPause + longestPause)
			if s.losses != i+1 {
				t.Errorf("after %+v everything was taken for changed %d times, want %d", h, s.losses, i+1)
			}
		}
	})
}

func TestAfterAnInterruptionEverythingIsDoubtful(t *testing.T) {
	p := &fakePlugin{listens: true}
	run(t, Config{}, p, func(t *testing.T, r *Relay, s *fakeServer) {
		synctest.Wait()
		if s.losses != 0 {
			t.Error("everything is taken for changed at the start")
		}
		p.hears <- nil
		synctest.Wait()
		if s.losses != 1 {
			t.Errorf("everything was taken for changed %d times, not once", s.losses)
		}
		after(shortestPause)
		p.hears <- &backend.Heard{Changes: []backend.MailboxChange{{User: "jane", Mailbox: "a", Node: "there"}}}
		synctest.Wait()
		want(t, "heard", s.heard, []string{"jane/a"})
	})
}
