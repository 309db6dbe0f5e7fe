package imap_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// TestProgressOfASearch: a client that waits is told every ten seconds how far the command is (RFC 9585 §4).
func TestProgressOfASearch(t *testing.T) {
	for _, tc := range []struct {
		command  string
		messages int // that storage is asked for
		want     []string
	}{
		{"SEARCH BODY needle", 4, []string{"1 4)] Processed 25%.", "3 4)] Processed 75%."}},
		{"UID SORT (SUBJECT) UTF-8 2:4", 3, []string{"5 8)] Processed 62%."}},
		{"THREAD REFS UTF-8 ALL", 4, []string{"5 8)] Processed 62%.", "7 8)] Processed 87%."}},
	} {
		t.Run(tc.command, func(t *testing.T) {
			st := &steps{at: make(chan struct{}), next: make(chan struct{})}
			var seconds atomic.Int64
			cfg := imap.WithProgressClock(testConfig(), func() time.Time { return time.Unix(seconds.Load(), 0) }, nil)
			srv := startServerOn(t, cfg, false, func(s *mailboxtest.Store) backend.Storage { st.Store = s; return st })
			inbox := srv.store.Create("demo", "", "INBOX")
			for i := range 4 {
				inbox.Append(fmt.Sprintf("Subject: %d\r\nDate: 1 Jan 2024 00:00:0%d +0000\r\n\r\nneedle", i, i), 0)
			}
			c := selected(t, srv)
			c.send([]byte("tag " + tc.command + "\r\n"))
			for i := range tc.messages {
				<-st.at
				seconds.Add([]int64{0, 10, 5, 5}[i])
				st.next <- struct{}{}
				if i%2 == 1 { // the command goes on behind it
					c.want(`* OK [INPROGRESS ("tag" ` + tc.want[i/2])
				}
			}
			if line := c.read(); strings.HasPrefix(line, "* OK") {
				t.Error(line)
			}
			c.want("tag OK …")
		})
	}
}

type memory = mailboxtest.Store

// slowWrites is a storage whose calls that change mail wait until they may go on.
type slowWrites struct {
	*memory
	at   chan struct{}
	next chan struct{}
}

func (s *slowWrites) pause(ctx context.Context) error {
	for _, wait := range []func() <-chan struct{}{func() <-chan struct{} { return s.at }, func() <-chan struct{} { return s.next }} {
		select {
		case <-wait():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *slowWrites) Copy(ctx context.Context, r *backend.CopyRequest) (*backend.CopyResult, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	return s.memory.Copy(ctx, r)
}

func (s *slowWrites) Store(ctx context.Context, r *backend.StoreRequest) (*backend.StoreResult, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	return s.memory.Store(ctx, r)
}

func (s *slowWrites) Expunge(ctx context.Context, r *backend.ExpungeRequest) (*backend.ExpungeResult, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	return s.memory.Expunge(ctx, r)
}

func (s *slowWrites) Append(ctx context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	return s.memory.Append(ctx, r)
}

// TestProgressOfAChange: the same while storage changes mail, of which it says nothing before it has done it.
func TestProgressOfAChange(t *testing.T) {
	st := &slowWrites{at: make(chan struct{}), next: make(chan struct{})}
	ticks := make(chan time.Time)
	cfg := imap.WithProgressClock(testConfig(), time.Now, ticks)
	srv := startServerOn(t, cfg, false, func(s *mailboxtest.Store) backend.Storage { st.memory = s; return st },
		func(s *mailboxtest.Store, _ *session.Config) { s.AllowWrites() })
	inbox := srv.store.Create("demo", "", "INBOX")
	for range 5 {
		inbox.Append("Subject: x\r\n\r\nx", backend.FlagDeleted)
	}
	srv.store.Create("demo", "", "other")
	c := selected(t, srv)
	for i, cmd := range []string{"STORE 1 +FLAGS (\\Seen)", "COPY 1 other", "MOVE 1 other", "UID EXPUNGE 3", "EXPUNGE", "APPEND other {3+}\r\nx\r\n"} {
		c.send(fmt.Appendf(nil, "t%d %s\r\n", i, cmd))
		st.at <- struct{}{}
		for range 2 {
			ticks <- time.Time{}
			c.want(fmt.Sprintf(`* OK [INPROGRESS ("t%d" NIL NIL)] Still working.`, i))
		}
		st.next <- struct{}{}
		for line := ""; !strings.HasPrefix(line, fmt.Sprintf("t%d OK ", i)); {
			line = c.read()
		}
	}
}

// slowNames is a storage whose answers about mailboxes wait until they may come.
type slowNames struct{ slowWrites }

func (s *slowNames) ListMailboxes(ctx context.Context, u *backend.User, namespace string) ([]backend.MailboxInfo, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	return s.memory.ListMailboxes(ctx, u, namespace)
}

func (s *slowNames) Status(ctx context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	return s.memory.Status(ctx, u, namespace, names, items)
}

// TestProgressOfNames: the same while storage looks through mailboxes.
func TestProgressOfNames(t *testing.T) {
	st := &slowNames{slowWrites{at: make(chan struct{}), next: make(chan struct{})}}
	ticks := make(chan time.Time)
	cfg := imap.WithProgressClock(testConfig(), time.Now, ticks)
	srv := startServerOn(t, cfg, false, func(s *mailboxtest.Store) backend.Storage { st.memory = s; return st })
	srv.store.Create("demo", "", "INBOX")
	srv.store.Create("demo", "", "other")
	c := selected(t, srv)
	for i, tc := range []struct {
		cmd   string
		calls int
	}{{"LIST \"\" *", 1}, {"LSUB \"\" *", 1}, {"LIST \"\" * RETURN (STATUS (MESSAGES))", 2}, {"STATUS other (MESSAGES)", 1}} {
		c.send(fmt.Appendf(nil, "t%d %s\r\n", i, tc.cmd))
		for range tc.calls {
			st.at <- struct{}{}
			ticks <- time.Time{}
			c.want(fmt.Sprintf(`* OK [INPROGRESS ("t%d" NIL NIL)] Still working.`, i))
			st.next <- struct{}{}
		}
		for line := ""; !strings.HasPrefix(line, fmt.Sprintf("t%d OK ", i)); {
			line = c.read()
		}
	}
}

// TestProgressCanBeSwitchedOff: then it is not announced either.
func TestProgressCanBeSwitchedOff(t *testing.T) {
	cfg := imap.WithProgressClock(testConfig(), func() time.Time { t.Error("the clock is looked at"); return time.Time{} }, nil)
	cfg.ProgressInterval = 0
	st := &steps{at: make(chan struct{}), next: make(chan struct{})}
	srv := startServerOn(t, cfg, false, func(s *mailboxtest.Store) backend.Storage { st.Store = s; return st })
	srv.store.Create("demo", "", "INBOX").Append("Subject: x\r\n\r\nx", 0)
	c := selected(t, srv)
	c.send([]byte("a CAPABILITY\r\n"))
	if line := c.read(); strings.Contains(line, "INPROGRESS") {
		t.Error(line)
	}
	c.want("a OK …")
	c.send([]byte("b SEARCH BODY x\r\n"))
	<-st.at
	st.next <- struct{}{}
	c.want("* SEARCH 1")
	c.want("b OK …")
}

// TestSearchEndsWithItsClient: a command is given up when nobody waits for it any more: at once if the connection is reset, and a while
// after the client has closed its sending side.
func TestSearchEndsWithItsClient(t *testing.T) {
	for i, cmd := range []string{"SEARCH TEXT x", "SORT (SUBJECT) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "ESEARCH IN (personal) BODY x"} {
		reset := i%2 == 0
		st := &steps{at: make(chan struct{}), next: make(chan struct{})}
		srv := startServerOn(t, testConfig(), false, func(s *mailboxtest.Store) backend.Storage { st.Store = s; return st },
			func(_ *mailboxtest.Store, c *session.Config) {
				if c.HangupGrace = time.Millisecond; reset {
					c.HangupGrace = time.Hour
				}
			})
		inbox := srv.store.Create("demo", "", "INBOX")
		inbox.Append("Subject: x\r\n\r\nx", 0)
		c := selected(t, srv)
		c.send([]byte("a " + cmd + "\r\n"))
		<-st.at // in the middle of it
		if tcp := c.c.(*net.TCPConn); reset {
			tcp.SetLinger(0)
		}
		c.c.Close()
		wait(t, cmd+" has ended", func() bool { n := srv.engine.Stats(); return n.Running+n.Paused+n.Queued == 0 && n.Sessions == 0 })
	}
}

// selected logs in and selects the INBOX.
func selected(t *testing.T, srv *server) *conn {
	t.Helper()
	c := srv.dial(&script{t: t, file: t.Name()})
	c.want("* OK …")
	wantOK(t, c, "LOGIN demo secret")
	wantOK(t, c, "SELECT INBOX")
	return c
}
