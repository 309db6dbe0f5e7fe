package imap_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// steps is a storage that sends each message of a Fetch when it may.
type steps struct {
	*mailboxtest.Store
	at   chan struct{} // a message is about to be sent
	next chan struct{} // lets it go
}

type stepSink struct {
	backend.FetchSink
	s   *steps
	ctx context.Context
}

func (s *steps) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	return s.Store.Fetch(ctx, r, stepSink{sink, s, ctx})
}

func (k stepSink) Message(m *backend.FetchedMessage) error {
	for _, turn := range []func() error{k.announce, k.wait} {
		if err := turn(); err != nil {
			return err
		}
	}
	return k.FetchSink.Message(m)
}

func (k stepSink) announce() error {
	select {
	case k.s.at <- struct{}{}:
		return nil
	case <-k.ctx.Done():
		return k.ctx.Err()
	}
}

func (k stepSink) wait() error {
	select {
	case <-k.s.next:
		return nil
	case <-k.ctx.Done():
		return k.ctx.Err()
	}
}

// TestOthersAreAnsweredDuringALongCommand: with one worker, a command that needs it is answered between two messages of another one's.
func TestOthersAreAnsweredDuringALongCommand(t *testing.T) {
	for _, long := range []string{"SEARCH TEXT needle", "FETCH 1:* (ENVELOPE)", "UID FETCH 1:* (BODY.PEEK[])", "SORT (SUBJECT) UTF-8 ALL", "THREAD REFS UTF-8 ALL"} {
		t.Run(long, func(t *testing.T) {
			st := &steps{at: make(chan struct{}), next: make(chan struct{})}
			srv := startServerOn(t, testConfig(), false, func(s *mailboxtest.Store) backend.Storage { st.Store = s; return st },
				func(_ *mailboxtest.Store, c *session.Config) { c.Workers, c.TimeSlice = 1, time.Nanosecond })
			inbox := srv.store.Create("demo", "", "INBOX")
			const messages = 5
			for i := range messages {
				inbox.Append(fmt.Sprintf("Subject: %d\r\nDate: 1 Jan 2024 00:00:00 +0000\r\n\r\nneedle", i), 0)
			}
			sc := &script{t: t, file: t.Name()}
			a, b := srv.dial(sc), srv.dial(sc)
			for _, c := range []*conn{a, b} {
				c.want("* OK …")
				c.send([]byte("1 LOGIN demo secret\r\n"))
				c.want("1 OK …")
				c.send([]byte("2 SELECT INBOX\r\n"))
				for line := ""; !matches("2 OK …", line); {
					line = c.read()
				}
			}
			b.send([]byte("3 " + long + "\r\n"))
			for i := range messages {
				<-st.at // the worker is in the middle of the long command
				a.send([]byte("4 NOOP\r\n"))
				wait(t, "the short command waits", func() bool { return srv.engine.Stats().Queued == 1 })
				st.next <- struct{}{}
				a.want("4 OK …")
				if n := srv.engine.Stats(); i < messages-1 && n.Running+n.Paused == 0 {
					t.Errorf("the long command has ended: %+v", n)
				}
			}
			for line := ""; !matches("3 OK …", line); {
				line = b.read()
			}
		})
	}
}

// wait waits for a condition that other goroutines bring about.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}
