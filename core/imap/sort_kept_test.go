package imap_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// askedStore is a storage that counts the messages that it is asked for.
type askedStore struct {
	*memory
	asked atomic.Int64
}

func (s *askedStore) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	s.asked.Add(int64(len(r.UIDs)))
	return s.memory.Fetch(ctx, r, sink)
}

// TestOrdersAreKept: an order that was found is used again, also for some of its messages and with other flags, and never for messages that it does
// not have. The answers are those of a mailbox with the same history of which nothing is kept.
func TestOrdersAreKept(t *testing.T) {
	st := &askedStore{}
	srv := startServerOn(t, testConfig(), false, func(s *mailboxtest.Store) backend.Storage { st.memory = s; return st })
	var history []func(*mailboxtest.Mailbox)
	inbox := srv.store.Create("demo", "", "INBOX")
	happens := func(f func(*mailboxtest.Mailbox)) {
		history = append(history, f)
		f(inbox)
	}
	rnd := rand.New(rand.NewPCG(7, 1))
	arrive := func() {
		n, flags := rnd.IntN(9), uint8(rnd.IntN(2))*backend.FlagFlagged
		text := fmt.Sprintf("Subject: about %d\r\nMessage-ID: <%d@x>\r\nReferences: <%d@x>\r\nDate: 1 Jan 2024 00:00:0%d +0000\r\n\r\nx", n, rnd.IntN(40), rnd.IntN(40), n)
		happens(func(m *mailboxtest.Mailbox) { m.Append(text, flags) })
	}
	for range 40 {
		arrive()
	}
	c := selected(t, srv)
	ask := func(command string) (answer string) {
		t.Helper()
		c.send([]byte("z " + command + "\r\n"))
		for {
			line := c.read()
			if strings.HasPrefix(line, "z ") {
				if !strings.HasPrefix(line, "z OK") {
					t.Fatalf("%s: %s", command, line)
				}
				return answer
			}
			if strings.HasPrefix(line, "* SORT") || strings.HasPrefix(line, "* THREAD") {
				answer = line
			}
		}
	}
	twins := 0
	check := func(when string, kept bool) {
		t.Helper()
		twins++
		twin := fmt.Sprint("twin", twins)
		m := srv.store.Create("demo", "", twin)
		for _, f := range history {
			f(m)
		}
		for _, command := range []string{"SORT (SUBJECT) UTF-8 ALL", "UID SORT (SUBJECT) UTF-8 FLAGGED", "SORT (subject) UTF-8 NOT FLAGGED",
			"UID THREAD REFERENCES UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL"} {
			ask("SELECT INBOX")
			st.asked.Store(0)
			got := ask(command)
			if asked := st.asked.Load(); kept && asked > 0 {
				t.Errorf("%s, %s: storage is asked for %d messages", when, command, asked)
			}
			ask("SELECT " + twin)
			if want := ask(command); got != want || got == "" {
				t.Errorf("%s, %s:\n%s\nwant\n%s", when, command, got, want)
			}
		}
	}
	check("at first", false)
	check("again", true)
	happens(func(m *mailboxtest.Mailbox) { m.SetFlags(3, backend.FlagFlagged) })
	check("with other flags", true)
	happens(func(m *mailboxtest.Mailbox) { m.Expunge(5) })
	check("when one is gone", false)
	check("when one is gone, again", true)
	arrive()
	check("when one has come", false)
	check("when one has come, again", true)
}

// heldStore is a storage whose Fetch waits for the test. Nothing is counted until it may go on.
type heldStore struct {
	askedStore
	at   chan struct{} // a call has come
	goOn chan struct{} // closed: they may go on
	err  error         // how they end then; nil: they do what they are for
}

func (s *heldStore) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	s.at <- struct{}{}
	select {
	case <-s.goOn:
		if s.err != nil {
			return s.err
		}
		return s.askedStore.Fetch(ctx, r, sink)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestOrderIsFoundOnce: of sessions that ask the same at once, one asks storage, and the others wait without a worker. When that one's client goes, another
// one asks; when storage fails, all fail.
func TestOrderIsFoundOnce(t *testing.T) {
	const sessions, messages = 10, 40
	for _, command := range []string{"SORT (DATE) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL"} {
		for _, how := range []string{"found", "gone", "failed"} {
			st := &heldStore{at: make(chan struct{}, sessions), goOn: make(chan struct{})}
			answer, asked := "z OK …", int64(messages)
			if how == "failed" {
				st.err, answer, asked = backend.Errorf(backend.KindInUse, "x"), "z NO …", 0
			}
			srv := startServerOn(t, testConfig(), false, func(s *mailboxtest.Store) backend.Storage { st.memory = s; return st },
				func(_ *mailboxtest.Store, c *session.Config) {
					c.Workers, c.UserWorkers, c.HangupGrace = 4, 2, time.Millisecond
				})
			inbox := srv.store.Create("demo", "", "INBOX")
			for i := range messages {
				inbox.Append(fmt.Sprintf("Message-ID: <%d@x>\r\nDate: 1 Jan 2024 00:00:%02d +0000\r\n\r\nx", i, i*7%60), 0)
			}
			first := selected(t, srv)
			others := make([]*conn, sessions-1)
			for i := range others {
				others[i] = selected(t, srv)
			}
			first.send([]byte("z " + command + "\r\n"))
			<-st.at
			for _, c := range others {
				c.send([]byte("z " + command + "\r\n"))
			}
			wait(t, "the others wait", func() bool { return srv.engine.Stats().Waiting == len(others) })
			all := append(others, first)
			if how == "gone" {
				all = others
				first.c.Close()
				<-st.at // another one asks
			}
			close(st.goOn)
			var want string
			for i, c := range all {
				if how != "failed" {
					got := c.read()
					if want == "" {
						want = got
					}
					if got != want || strings.Count(got, " ") < 2 {
						t.Errorf("%s, %s, session %d: %s\nwant %s", command, how, i, got, want)
					}
				}
				c.want(answer)
			}
			if n := st.asked.Load(); n != asked || len(st.at) > 0 {
				t.Errorf("%s, %s: storage is asked for %d messages, and %d calls more", command, how, n, len(st.at))
			}
		}
	}
}

// TestWhoWaitsForAnOrderIsTold: a session that waits for what another one makes tells its client that it goes on, as one that makes it.
func TestWhoWaitsForAnOrderIsTold(t *testing.T) {
	st := &heldStore{at: make(chan struct{}, 2), goOn: make(chan struct{})}
	cfg := testConfig()
	cfg.ProgressInterval = time.Millisecond
	srv := startServerOn(t, cfg, false, func(s *mailboxtest.Store) backend.Storage { st.memory = s; return st })
	srv.store.Create("demo", "", "INBOX").Append("Date: 1 Jan 2024 00:00:00 +0000\r\n\r\nx", 0)
	finder, waiter := selected(t, srv), selected(t, srv)
	finder.send([]byte("z SORT (DATE) UTF-8 ALL\r\n"))
	<-st.at
	waiter.send([]byte("z SORT (DATE) UTF-8 ALL\r\n"))
	for range 2 {
		waiter.want("* OK [INPROGRESS (\"z\" …")
	}
	close(st.goOn)
	line := waiter.read()
	for strings.HasPrefix(line, "* OK [INPROGRESS") {
		line = waiter.read()
	}
	if line != "* SORT 1" {
		t.Errorf("got %q", line)
	}
	waiter.want("z OK …")
}
