package server_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/server"
)

// cable is what connects the notify plugins of two servers: what one publishes, the other hears.
type cable struct {
	plugin
	out, in chan *backend.Heard
}

func (c cable) Publish(ctx context.Context, b *backend.ChangeBatch) error {
	select {
	case c.out <- &backend.Heard{Changes: b.Changes}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c cable) Listen(ctx context.Context, _ backend.ListenRequest, hear func(*backend.Heard) error) error {
	for {
		select {
		case h := <-c.in:
			if err := hear(h); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type memoryStore = mailboxtest.Store // embedded under its own name it would hide its method Store

// sharedStore is a store that several servers have, none of which can watch it.
type sharedStore struct {
	*memoryStore
	info backend.Info
}

func (s sharedStore) Info() backend.Info { return s.info }

// TestTwoServersTellEachOther: a session in IDLE at one server is told at once of what another one does to its mailbox, although the storage can not be
// watched and is polled too seldom to matter.
func TestTwoServersTellEachOther(t *testing.T) {
	f := newFixture(t)
	store := mailboxtest.New(false)
	store.AllowWrites()
	store.Create("u", "inbox", "INBOX")
	one, two := make(chan *backend.Heard), make(chan *backend.Heard)
	start := func(node string, out, in chan *backend.Heard) *client {
		info := backend.Info{Kind: backend.KindNotify, Name: "cable", Capabilities: []string{backend.CapListen}}
		bundle := append(f.bundle(nil)[:1:1], func(*slog.Logger) backend.Plugin {
			return sharedStore{store, backend.Info{Kind: backend.KindStorage, Name: "fake", Capabilities: []string{backend.CapWrite}}}
		}, func(*slog.Logger) backend.Plugin { return cable{plugin{info: info, closed: &f.closed}, out, in} })
		c := f.loadWith(t, "[notify]\nplugin = \"cable\"\nisolation = \"inproc\"\ndelay = \"1ms\"\nnode = \""+node+"\"\n[limits]\nmailbox_poll = \"1h\"\n", bundle)
		s, err := server.Start(context.Background(), server.Options{Config: c, Bundle: bundle, Log: slog.New(slog.NewTextHandler(f.log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		imap, _, _ := s.Addrs()
		cl := dial(t, imap[0], nil)
		cl.want(`\* OK .*`)
		cl.send("a LOGIN u pw")
		cl.want("a OK .*")
		return cl
	}
	a, b := start("one", one, two), start("two", two, one)
	a.send("b SELECT INBOX")
	for line := ""; !strings.HasPrefix(line, "b "); {
		var err error
		if line, err = a.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	a.send("c IDLE")
	a.want(`\+ .*`)
	b.send("b APPEND INBOX {5+}\r\nx: y\n")
	b.want("b OK .*")
	a.want(`\* 1 EXISTS`)
}
