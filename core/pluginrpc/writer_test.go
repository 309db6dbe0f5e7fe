package pluginrpc

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc/lane"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// fakeWriter answers writes with what its fields say, and keeps the last request.
type fakeWriter struct {
	fakeStorage
	append    func(ctx context.Context, r *backend.AppendRequest) (*backend.AppendResult, error)
	stored    *backend.StoreResult
	copied    *backend.CopyResult
	expunged  *backend.ExpungeResult
	claimed   *backend.ClaimResult
	requests  []any
	requestID [16]byte
}

func newFakeWriter() *fakeWriter {
	return &fakeWriter{fakeStorage: fakeStorage{info: backend.Info{Capabilities: []string{backend.CapWrite}}}}
}

// note keeps a request.
func (w *fakeWriter) note(ctx context.Context, r ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = r
	w.requestID, _ = backend.RequestID(ctx)
}

func (w *fakeWriter) Append(ctx context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
	w.note(ctx, r)
	return w.append(ctx, r)
}
func (w *fakeWriter) Store(ctx context.Context, r *backend.StoreRequest) (*backend.StoreResult, error) {
	w.note(ctx, r)
	return w.stored, w.err
}
func (w *fakeWriter) Copy(ctx context.Context, r *backend.CopyRequest) (*backend.CopyResult, error) {
	w.note(ctx, r)
	return w.copied, w.err
}
func (w *fakeWriter) Expunge(ctx context.Context, r *backend.ExpungeRequest) (*backend.ExpungeResult, error) {
	w.note(ctx, r)
	return w.expunged, w.err
}
func (w *fakeWriter) ClaimRecent(ctx context.Context, m backend.MailboxRef, id [16]byte, since []byte) (*backend.ClaimResult, error) {
	w.note(ctx, m, id, since)
	return w.claimed, w.err
}
func (w *fakeWriter) CreateMailbox(ctx context.Context, m backend.MailboxRef) error {
	w.note(ctx, "create", m)
	return w.err
}
func (w *fakeWriter) DeleteMailbox(ctx context.Context, m backend.MailboxRef) error {
	w.note(ctx, "delete", m)
	return w.err
}
func (w *fakeWriter) RenameMailbox(ctx context.Context, m backend.MailboxRef, newName string) error {
	w.note(ctx, "rename", m, newName)
	return w.err
}
func (w *fakeWriter) Subscribe(ctx context.Context, m backend.MailboxRef, subscribed bool) error {
	w.note(ctx, "subscribe", m, subscribed)
	return w.err
}

// longColumns compares those that are too long for cmp.
var longColumns = cmp.Options{
	cmp.Comparer(func(a, b []uint32) bool { return slices.Equal(a, b) }),
	cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) }),
	cmp.Comparer(func(a, b []uint64) bool { return slices.Equal(a, b) }),
	cmp.Comparer(func(a, b []uint8) bool { return slices.Equal(a, b) }),
}

// sawRequest compares what reached the plugin.
func (w *fakeWriter) sawRequest(t *testing.T, want ...any) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := cmp.Diff(want, w.requests, longColumns, asWords); d != "" {
		t.Errorf("request differs: %s", d)
	}
	if w.requestID == [16]byte{} {
		t.Error("the request has no id")
	}
}

// everyUID returns n UIDs from first on.
func everyUID(first uint32, n int) []uint32 {
	uids := make([]uint32, n)
	for i := range uids {
		uids[i] = first + uint32(i)
	}
	return uids
}

// testChanges are those that an answer to a write may have.
func testChanges() map[string]*backend.Changes {
	return map[string]*backend.Changes{
		"no changes": nil,
		"many changes": {UIDNext: 1 << 31, FirstRecentUID: 3, HighestModSeq: 1 << 40, Keywords: keywordNames(2), Position: []byte{9},
			Expunged: everyUID(1, 70_000), Updated: bigColumns(10_000, 2, true), Appended: bigColumns(15_000, 1, false)},
		"reset": {Reset: testSnapshot(bigColumns(10_000, 1, true))},
	}
}

func wantResult[R any](t *testing.T, want, got R, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	} else if d := cmp.Diff(want, got, longColumns, asWords); d != "" {
		t.Errorf("result differs: %s", d)
	}
}

// TestStoreCopyExpunge: whole requests and answers cross, of any size, in one call.
func TestStoreCopyExpunge(t *testing.T) {
	w := newFakeWriter()
	s := connectStorage(t, w, ClientOptions{})
	for name, changed := range testChanges() {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 3, 2*maxFetchUIDs + 1} {
				uids := everyUID(7, n)
				some := uids[n/3:]
				w.stored = &backend.StoreResult{Modified: some, Changed: changed}
				store := &backend.StoreRequest{Mailbox: testRef, MailboxID: [16]byte{1, 15: 2}, UIDs: uids, Mode: backend.StoreRemove,
					Flags: backend.FlagSeen | backend.FlagDraft, Keywords: []string{"$A", "b"}, UnchangedSince: 0, Since: []byte("here")}
				stored, err := s.Store(t.Context(), store)
				wantResult(t, w.stored, stored, err)
				w.sawRequest(t, store)

				w.copied = &backend.CopyResult{UIDValidity: 5, Source: some, UIDs: everyUID(1<<31, len(some)), Changed: changed}
				copyReq := &backend.CopyRequest{Mailbox: testRef, MailboxID: [16]byte{3}, UIDs: uids, Move: true, Since: []byte("here"),
					Destination: backend.MailboxRef{User: testRef.User, Namespace: "archive", Name: "Entwürfe"}}
				copied, err := s.Copy(t.Context(), copyReq)
				wantResult(t, w.copied, copied, err)
				w.sawRequest(t, copyReq)

				w.expunged = &backend.ExpungeResult{Expunged: some, Changed: changed}
				expunge := &backend.ExpungeRequest{Mailbox: testRef, MailboxID: [16]byte{4}, UIDs: uids, OnlyDeleted: true, Since: []byte("here")}
				expunged, err := s.Expunge(t.Context(), expunge)
				wantResult(t, w.expunged, expunged, err)
				w.sawRequest(t, expunge)
			}
			w.claimed = &backend.ClaimResult{First: 17, Next: 1 << 31, Changed: changed}
			claimed, err := s.ClaimRecent(t.Context(), testRef, [16]byte{5}, []byte("here"))
			wantResult(t, w.claimed, claimed, err)
			w.sawRequest(t, testRef, [16]byte{5}, []byte("here"))
		})
	}
}

func TestStoreWithoutCondition(t *testing.T) {
	w := newFakeWriter()
	w.stored = &backend.StoreResult{}
	want := &backend.StoreRequest{Mailbox: testRef, UIDs: []uint32{4}, UnchangedSince: backend.AnyModSeq}
	got, err := connectStorage(t, w, ClientOptions{}).Store(t.Context(), want)
	wantResult(t, w.stored, got, err)
	w.sawRequest(t, want)
}

func TestTreeCalls(t *testing.T) {
	w := newFakeWriter()
	s := connectStorage(t, w, ClientOptions{})
	calls := []struct {
		call func() error
		want []any
	}{
		{func() error { return s.CreateMailbox(t.Context(), testRef) }, []any{"create", testRef}},
		{func() error { return s.DeleteMailbox(t.Context(), testRef) }, []any{"delete", testRef}},
		{func() error { return s.RenameMailbox(t.Context(), testRef, "Ä/b") }, []any{"rename", testRef, "Ä/b"}},
		{func() error { return s.Subscribe(t.Context(), testRef, true) }, []any{"subscribe", testRef, true}},
		{func() error { return s.Subscribe(t.Context(), testRef, false) }, []any{"subscribe", testRef, false}},
	}
	for _, c := range calls {
		if err := c.call(); err != nil {
			t.Errorf("%v: %v", c.want, err)
		}
		w.sawRequest(t, c.want...)
	}
	w.err = backend.Errorf(backend.KindAlreadyExists, "there is one")
	for _, c := range calls {
		if err := c.call(); err == nil || backend.KindOf(err) != backend.KindAlreadyExists || err.Error() != "there is one" {
			t.Errorf("%v: %v, want the plugin's error", c.want, err)
		}
	}
}

// writes are all calls of backend.Writer, with an argument that every plugin takes.
func writes(t *testing.T, w backend.Writer) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"Append": func() error {
			_, err := w.Append(ctx, &backend.AppendRequest{Mailbox: testRef, Messages: []backend.AppendMessage{{Size: 3, Body: strings.NewReader("abc")}}})
			return err
		},
		"Store": func() error {
			_, err := w.Store(ctx, &backend.StoreRequest{Mailbox: testRef, UIDs: []uint32{1}})
			return err
		},
		"Copy": func() error {
			_, err := w.Copy(ctx, &backend.CopyRequest{Mailbox: testRef, UIDs: []uint32{1}})
			return err
		},
		"Expunge": func() error {
			_, err := w.Expunge(ctx, &backend.ExpungeRequest{Mailbox: testRef, UIDs: []uint32{1}})
			return err
		},
		"ClaimRecent":   func() error { _, err := w.ClaimRecent(ctx, testRef, [16]byte{}, nil); return err },
		"CreateMailbox": func() error { return w.CreateMailbox(ctx, testRef) },
		"DeleteMailbox": func() error { return w.DeleteMailbox(ctx, testRef) },
		"RenameMailbox": func() error { return w.RenameMailbox(ctx, testRef, "b") },
		"Subscribe":     func() error { return w.Subscribe(ctx, testRef, true) },
	}
}

func TestWritesNeedTheCapability(t *testing.T) {
	silent := newFakeWriter()
	silent.info.Capabilities = nil
	for name, call := range writes(t, connectStorage(t, silent, ClientOptions{})) {
		if err := call(); err == nil || backend.KindOf(err) != backend.KindUnsupported {
			t.Errorf("%s without the capability: %v, want KindUnsupported", name, err)
		}
	}
	writer := newFakeWriter()
	s, err := NewServer(writer, ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewStorage(t.Context(), serve(t, s.GRPCOptions(), s.Register), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure(t.Context(), backend.Config{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	if c.Info().Has(backend.CapWrite) {
		t.Error("CapWrite although it was configured with ReadOnly")
	}
	for name, call := range writes(t, c) {
		if err := call(); err == nil || backend.KindOf(err) != backend.KindReadOnly {
			t.Errorf("%s with ReadOnly: %v, want KindReadOnly", name, err)
		}
	}
	if writer.requests != nil || silent.requests != nil {
		t.Error("a refused call reached the plugin")
	}
	if _, err := NewServer(&fakeStorage{info: backend.Info{Capabilities: []string{backend.CapWrite}}}, ServerOptions{}); err == nil {
		t.Error("a plugin that announces CapWrite and is no Writer was accepted")
	}
}

// TestUnsent: an error says whether a write may have been done.
func TestUnsent(t *testing.T) {
	w := newFakeWriter()
	w.append = func(context.Context, *backend.AppendRequest) (*backend.AppendResult, error) { panic("not reached") }
	srv, conn := serveUntil(t, w)
	s, err := NewStorage(t.Context(), conn, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	conn.WaitForStateChange(t.Context(), connectivity.Ready) // the client has noticed
	for name, call := range writes(t, s) {
		err := call()
		if err == nil || backend.KindOf(err) != backend.KindUnavailable || !errors.Is(err, ErrGone) {
			t.Errorf("%s of a dead plugin: %v, want KindUnavailable with ErrGone", name, err)
		}
		if !errors.Is(err, ErrUnsent) && name != "ClaimRecent" {
			t.Errorf("%s of a plugin that was dead before: %v does not say that it was not sent", name, err)
		}
	}
	if _, err := s.Open(t.Context(), testRef); !errors.Is(err, ErrGone) || errors.Is(err, ErrUnsent) {
		t.Errorf("Open: %v, want ErrGone", err)
	}
}

// TestDeathInMidWrite: a write that was under way is not taken for one that was not sent.
func TestDeathInMidWrite(t *testing.T) {
	for name := range writes(t, nil) {
		t.Run(name, func(t *testing.T) {
			w := &dyingWriter{fakeWriter: newFakeWriter(), begun: make(chan struct{}), end: make(chan struct{})}
			defer close(w.end)
			srv, conn := serveUntil(t, w)
			s, err := NewStorage(t.Context(), conn, ClientOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Configure(t.Context(), backend.Config{}); err != nil {
				t.Fatal(err)
			}
			failed := make(chan error)
			go func() { failed <- writes(t, s)[name]() }() // ends with the connection
			<-w.begun
			go srv.Stop() // waits for the call, as the death of a process does not
			if err := <-failed; !errors.Is(err, ErrGone) || errors.Is(err, ErrUnsent) {
				t.Errorf("%v, want ErrGone and not ErrUnsent", err)
			}
		})
	}
}

// dyingWriter does not come back from a write.
type dyingWriter struct {
	*fakeWriter
	once       sync.Once
	begun, end chan struct{}
}

func (w *dyingWriter) stall() { w.once.Do(func() { close(w.begun) }); <-w.end }

func (w *dyingWriter) Append(context.Context, *backend.AppendRequest) (*backend.AppendResult, error) {
	w.stall()
	return nil, io.ErrUnexpectedEOF
}
func (w *dyingWriter) Store(context.Context, *backend.StoreRequest) (*backend.StoreResult, error) {
	w.stall()
	return nil, io.ErrUnexpectedEOF
}
func (w *dyingWriter) Copy(context.Context, *backend.CopyRequest) (*backend.CopyResult, error) {
	w.stall()
	return nil, io.ErrUnexpectedEOF
}
func (w *dyingWriter) Expunge(context.Context, *backend.ExpungeRequest) (*backend.ExpungeResult, error) {
	w.stall()
	return nil, io.ErrUnexpectedEOF
}
func (w *dyingWriter) ClaimRecent(context.Context, backend.MailboxRef, [16]byte, []byte) (*backend.ClaimResult, error) {
	w.stall()
	return nil, io.ErrUnexpectedEOF
}
func (w *dyingWriter) CreateMailbox(context.Context, backend.MailboxRef) error {
	w.stall()
	return io.ErrUnexpectedEOF
}
func (w *dyingWriter) DeleteMailbox(context.Context, backend.MailboxRef) error {
	w.stall()
	return io.ErrUnexpectedEOF
}
func (w *dyingWriter) RenameMailbox(context.Context, backend.MailboxRef, string) error {
	w.stall()
	return io.ErrUnexpectedEOF
}
func (w *dyingWriter) Subscribe(context.Context, backend.MailboxRef, bool) error {
	w.stall()
	return io.ErrUnexpectedEOF
}

func TestRequestIDCrosses(t *testing.T) {
	w := newFakeWriter()
	s := connectStorage(t, w, ClientOptions{})
	id := [16]byte{1, 2, 3, 15: 16}
	if err := s.CreateMailbox(backend.WithRequestID(t.Context(), id), testRef); err != nil || w.requestID != id {
		t.Errorf("%v, id %x reached the plugin", err, w.requestID)
	}
	if err := s.CreateMailbox(t.Context(), testRef); err != nil || w.requestID == id || w.requestID == [16]byte{} {
		t.Errorf("%v, id %x of another write reached the plugin", err, w.requestID)
	}
}

func TestCopyToAnotherUserIsRefused(t *testing.T) {
	w := newFakeWriter()
	s := connectStorage(t, w, ClientOptions{})
	_, err := s.Copy(t.Context(), &backend.CopyRequest{Mailbox: testRef, UIDs: []uint32{1}, Destination: backend.MailboxRef{User: &backend.User{Name: "joe"}, Name: "INBOX"}})
	if err == nil || backend.KindOf(err) != backend.KindInvalidArgument || w.requests != nil {
		t.Errorf("%v, want KindInvalidArgument without a call", err)
	}
}

// randomBody returns n bytes that do not repeat.
func randomBody(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

// TestUnsentOverLanes: a write to a plugin that has died is known not to have been sent. But APPEND can not be made again: its body was read.
func TestUnsentOverLanes(t *testing.T) {
	lanes, child, err := lane.New()
	if err != nil {
		t.Fatal(err)
	}
	defer lanes.Close()
	srv, err := NewServer(newFakeWriter(), ServerOptions{Lanes: child})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with child
		defer close(ended)
		_ = srv.ServeLanes()
	}()
	s, err := NewStorage(t.Context(), serve(t, srv.GRPCOptions(), srv.Register), ClientOptions{Lanes: lanes})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	calls := writes(t, s)
	// As many lanes as calls, all of which are dead then.
	ctx, cancel := context.WithCancel(t.Context())
	var streams []grpc.ClientStream
	for range calls {
		stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{}, "/roost.storage.v1.Storage/WatchFile")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(&storagev1.WatchFileRequest{}); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
	}
	for _, stream := range streams {
		if err := stream.RecvMsg(new(storagev1.WatchFileResponse)); status.Code(err) != codes.Unimplemented {
			t.Fatal(err)
		}
	}
	cancel()
	child.Close()
	<-ended
	for name, call := range calls {
		err := call()
		if !errors.Is(err, ErrGone) || errors.Is(err, ErrUnsent) != (name != "Append") {
			t.Errorf("%s: %v, unsent %v", name, err, errors.Is(err, ErrUnsent))
		}
	}
}
