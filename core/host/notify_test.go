package host

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
)

func (p *testPlugin) Publish(context.Context, *backend.ChangeBatch) error { return nil }

// Listen tells of one change, on the node that is the number of the process.
func (p *testPlugin) Listen(ctx context.Context, _ backend.ListenRequest, hear func(*backend.Heard) error) error {
	change := backend.MailboxChange{User: "jane", Mailbox: "INBOX", Kinds: backend.ChangeAppended, Node: strconv.Itoa(os.Getpid()), Time: time.Now()}
	if err := hear(&backend.Heard{Changes: []backend.MailboxChange{change}}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// A process that is replaced does not wait for the end of Listen, which has none: it goes on with the new one.
func TestReloadWhileSomebodyListens(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	c.Kind, c.Env = backend.KindNotify, []string{"TEST_PLUGIN_KIND=notify"}
	c.DrainTimeout = time.Hour
	p := mustStart(t, h, c)
	heard, ended := make(chan backend.Heard, 10), make(chan error, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		ended <- p.Notify().(backend.Listener).Listen(ctx, backend.ListenRequest{}, func(h *backend.Heard) error { heard <- *h; return nil })
	}()
	from := func(pid int) {
		t.Helper()
		if got := <-heard; len(got.Changes) != 1 || got.Changes[0].Node != strconv.Itoa(pid) {
			t.Fatalf("heard %+v, want a change from %d", got, pid)
		}
	}
	for range 2 {
		old := p.Stats().PID
		from(old)
		if err := p.Reload(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; !got.Lost {
			t.Errorf("heard %+v between two processes, want lost", got)
		}
		waitUntil(t, "end of the old process", func() bool { return !alive(old) })
	}
	from(p.Stats().PID)
	if s := p.Stats(); len(s.Errors) != 0 || s.InFlight != 1 {
		t.Errorf("stats %+v", s)
	}
	if err := p.Disable(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || ctx.Err() != nil {
		t.Errorf("of a plugin that is disabled: %v", err)
	}
	if err := p.Reload(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	go func() {
		ended <- p.Notify().(backend.Listener).Listen(ctx, backend.ListenRequest{}, func(h *backend.Heard) error { heard <- *h; return nil })
	}()
	from(p.Stats().PID)
	cancel(errors.New("enough"))
	if err := <-ended; backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("after its caller's end: %v", err)
	}
}
