package pluginrpc

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// originStorage notes for whom it is called.
type originStorage struct {
	fakeStorage
	mu  sync.Mutex
	got []backend.Origin
}

func (s *originStorage) note(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, backend.OriginOf(ctx))
}

func (s *originStorage) Status(ctx context.Context, _ *backend.User, _ string, _ []string, _ backend.StatusItems) ([]backend.MailboxStatus, error) {
	s.note(ctx)
	return nil, nil
}

func (s *originStorage) Changes(ctx context.Context, _ backend.MailboxRef, _ []byte) (*backend.Changes, error) {
	s.note(ctx)
	return nil, backend.Errorf(backend.KindNotFound, "")
}

func (s *originStorage) Fetch(ctx context.Context, _ *backend.FetchRequest, _ backend.FetchSink) error {
	s.note(ctx)
	return nil
}

// A plugin is told for whom each call over gRPC is made: a unary one, a stream, and one of the requests of a stream that is kept.
func TestOriginReachesThePlugin(t *testing.T) {
	fake := new(originStorage)
	_, conn := serveUntil(t, fake)
	s, err := NewStorage(t.Context(), conn, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	var want []backend.Origin
	for _, o := range []backend.Origin{{Request: 1<<63 + 1, User: "jäne"}, {Request: 2, User: "joe"}, {}} {
		ctx := backend.WithOrigin(t.Context(), o)
		ref := backend.MailboxRef{User: &backend.User{Name: o.User}, Name: "INBOX"}
		s.Status(ctx, ref.User, "", []string{"INBOX"}, 0)
		s.Changes(ctx, ref, []byte{1})
		if err := s.Fetch(ctx, &backend.FetchRequest{Mailbox: ref, UIDs: []uint32{1}}, nil); err != nil {
			t.Fatal(err)
		}
		want = append(want, o, o, o)
	}
	if !slices.Equal(fake.got, want) {
		t.Errorf("got  %v\nwant %v", fake.got, want)
	}
	if s.fetches.never.Load() {
		t.Error("no stream was kept")
	}
}
