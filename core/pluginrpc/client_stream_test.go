package pluginrpc

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// oneMessage answers every Fetch with a message of 3 bytes.
func oneMessage(_ context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	if err := sink.Message(&backend.FetchedMessage{UID: r.UIDs[0], BodySize: 3}); err != nil {
		return err
	}
	return sink.Body([]byte("abc"))
}

func idleOf(s *Storage) int {
	s.fetches.mu.Lock()
	defer s.fetches.mu.Unlock()
	return len(s.fetches.idle)
}

func wantFetched(t *testing.T, s *Storage) {
	t.Helper()
	var c collector
	if err := s.Fetch(t.Context(), &backend.FetchRequest{Mailbox: testRef, UIDs: []uint32{7}, Items: backend.FetchBody}, &c); err != nil {
		t.Error(err)
	} else if len(c.got) != 1 || string(c.got[0].Body) != "abc" {
		t.Errorf("got %+v", c.got)
	}
}

func TestFetchKeepsItsStream(t *testing.T) {
	s := connectStorage(t, &fakeStorage{fetch: oneMessage}, ClientOptions{})
	for range 20 {
		wantFetched(t, s)
		if n := idleOf(s); n != 1 {
			t.Fatalf("%d idle streams after one call at a time, want 1", n)
		}
	}
	var wg sync.WaitGroup
	for range 3 * idleStreams {
		wg.Go(func() { wantFetched(t, s) })
	}
	wg.Wait()
	if n := idleOf(s); n < 1 || n > idleStreams {
		t.Errorf("%d idle streams, want at most %d", n, idleStreams)
	}
}

func TestFetchDropsTheStreamOfAFailure(t *testing.T) {
	var fail func(context.Context, *backend.FetchRequest, backend.FetchSink) error
	s := connectStorage(t, &fakeStorage{fetch: func(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
		if f := fail; f != nil {
			return f(ctx, r, sink)
		}
		return oneMessage(ctx, r, sink)
	}}, ClientOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	errSink := errors.New("the client is gone")
	for _, c := range []struct {
		name string
		fail func(context.Context, *backend.FetchRequest, backend.FetchSink) error
		sink backend.FetchSink
		ok   func(error) bool
	}{
		{"error of the plugin", func(context.Context, *backend.FetchRequest, backend.FetchSink) error {
			return backend.Errorf(backend.KindNotFound, "no")
		}, &collector{}, func(err error) bool { return backend.KindOf(err) == backend.KindNotFound }},
		{"error of the sink", nil, failingSink{errSink}, func(err error) bool { return errors.Is(err, errSink) }},
		{"cancelled", func(ctx context.Context, _ *backend.FetchRequest, _ backend.FetchSink) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}, &collector{}, func(err error) bool { return backend.KindOf(err) == backend.KindCancelled }},
	} {
		fail = nil
		wantFetched(t, s)
		fail = c.fail
		err := s.Fetch(ctx, &backend.FetchRequest{Mailbox: testRef, UIDs: []uint32{7}, Items: backend.FetchBody}, c.sink)
		if !c.ok(err) {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := idleOf(s); n != 0 {
			t.Errorf("%s: %d idle streams, want 0", c.name, n)
		}
	}
	fail = nil
	wantFetched(t, s)
}

type failingSink struct{ err error }

func (s failingSink) Message(*backend.FetchedMessage) error { return s.err }
func (s failingSink) Body([]byte) error                     { return s.err }

func (l *liar) FetchMany(s storagev1.Storage_FetchManyServer) error {
	if l.many == nil {
		return l.UnimplementedStorageServer.FetchMany(s)
	}
	return l.many(s)
}

// answers returns a FetchMany that ends each stream, as a plugin may, after some answers.
func answers(n int) func(storagev1.Storage_FetchManyServer) error {
	return func(stream storagev1.Storage_FetchManyServer) error {
		for range n {
			r, err := stream.Recv()
			if err != nil {
				return err
			}
			err = stream.Send(&storagev1.FetchResponse{Uids: r.Uids, Lengths: []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0},
				BodySizes: []byte{3, 0, 0, 0, 0, 0, 0, 0}, Data: []byte("abc"), Last: true})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func TestFetchGoesOnAfterTheEndOfAnIdleStream(t *testing.T) {
	s := (&liar{many: answers(2)}).storage(t)
	for range 7 {
		wantFetched(t, s)
	}
}

func TestFetchReportsAStreamThatEndsWithoutAnAnswer(t *testing.T) {
	s := (&liar{many: answers(0)}).storage(t)
	err := s.Fetch(t.Context(), &backend.FetchRequest{Mailbox: testRef, UIDs: []uint32{7}}, &collector{})
	checkLie(t, err, "the stream ends before the answer")
}
