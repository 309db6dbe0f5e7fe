package pluginrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// savedMessage is a message as a plugin got it.
type savedMessage struct {
	backend.AppendMessage
	body []byte
}

// saver is a plugin's Append that keeps messages, all or none.
type saver struct{ saved []savedMessage }

func (s *saver) append(_ context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
	var got []savedMessage
	for _, m := range r.Messages {
		b := make([]byte, m.Size)
		if _, err := io.ReadFull(m.Body, b); err != nil {
			return nil, fmt.Errorf("message %d: %w", len(got)+1, err)
		}
		m.Body = nil
		got = append(got, savedMessage{m, b})
	}
	s.saved = got
	return &backend.AppendResult{UIDValidity: 9, UIDs: everyUID(100, len(got))}, nil
}

// messagesOf makes messages of the given sizes.
func messagesOf(sizes ...int) (messages []backend.AppendMessage, want []savedMessage) {
	for i, n := range sizes {
		m := backend.AppendMessage{Flags: uint8(i) & 0x1f, InternalDate: int64(i - 1), Size: uint64(n)}
		if i%3 == 0 {
			m.Keywords = []string{"$Forwarded", fmt.Sprint("k", i)}
		}
		body := randomBody(n)
		want = append(want, savedMessage{m, body})
		m.Body = bytes.NewReader(body)
		messages = append(messages, m)
	}
	return messages, want
}

func checkSaved(t *testing.T, want, got []savedMessage) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages were saved, want %d", len(got), len(want))
	}
	for i, w := range want {
		if d := cmp.Diff(w.AppendMessage, got[i].AppendMessage, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("message %d differs: %s", i+1, d)
		}
		if !bytes.Equal(w.body, got[i].body) {
			t.Fatalf("message %d: the body of %d bytes is another", i+1, len(w.body))
		}
	}
}

func TestAppend(t *testing.T) {
	many := make([]int, 5000)
	for i := range many {
		many[i] = i * 7 % 300
	}
	for _, c := range []struct {
		name  string
		sizes []int
	}{
		{"one", []int{3}},
		{"one without bytes", []int{0}},
		{"several without bytes", []int{0, 0, 0}},
		{"the size of a piece", []int{appendBytes, appendBytes}},
		{"around the size of a piece", []int{appendBytes - 1, 0, 2, appendBytes + 1, 0}},
		{"large", []int{10 << 20, 1, 3 << 20}},
		{"many", many},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, plugin := newFakeWriter(), &saver{}
			w.append = plugin.append
			messages, want := messagesOf(c.sizes...)
			got, err := connectStorage(t, w, ClientOptions{}).Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: messages})
			wantResult(t, &backend.AppendResult{UIDValidity: 9, UIDs: everyUID(100, len(messages))}, got, err)
			checkSaved(t, want, plugin.saved)
			if d := cmp.Diff(testRef, w.requests[0].(*backend.AppendRequest).Mailbox); d != "" || w.requestID == [16]byte{} {
				t.Errorf("id %x, mailbox differs: %s", w.requestID, d)
			}
		})
	}
}

// TestAppendReadsExactlyTheSize: what follows a body in its reader stays there, in core and in the plugin.
func TestAppendReadsExactlyTheSize(t *testing.T) {
	w := newFakeWriter()
	var got []string
	w.append = func(_ context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
		for _, m := range r.Messages {
			b, err := io.ReadAll(iotest.OneByteReader(m.Body))
			if err != nil {
				return nil, err
			}
			got = append(got, string(b))
		}
		return &backend.AppendResult{UIDValidity: 1, UIDs: everyUID(1, len(r.Messages))}, nil
	}
	client := strings.NewReader("first,second,the next command")
	messages := []backend.AppendMessage{{Size: 6, Body: client}, {Size: 7, Body: iotest.HalfReader(client)}}
	_, err := connectStorage(t, w, ClientOptions{}).Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: messages})
	if rest, _ := io.ReadAll(client); err != nil || string(rest) != "the next command" {
		t.Errorf("%v, %q is left", err, rest)
	}
	if d := cmp.Diff([]string{"first,", "second,"}, got); d != "" {
		t.Errorf("bodies differ: %s", d)
	}
}

// TestAppendIsGivenUp: an error of a body reaches the caller as it is, after the plugin has given up too.
func TestAppendIsGivenUp(t *testing.T) {
	broken := errors.New("the client is gone")
	short := backend.Errorf(backend.KindInvalidArgument, "message 2 ends 1 bytes before its size")
	for _, c := range []struct {
		name string
		body io.Reader // of 400,000 bytes
		want error
	}{
		{"error at once", iotest.ErrReader(broken), broken},
		{"error in the middle", io.MultiReader(bytes.NewReader(make([]byte, 300_000)), iotest.ErrReader(broken)), broken},
		{"error instead of the last byte", io.MultiReader(bytes.NewReader(make([]byte, 399_999)), iotest.ErrReader(broken)), broken},
		{"error with the last byte", &errorAtEnd{n: 400_000, err: broken}, broken},
		{"short", bytes.NewReader(make([]byte, 399_999)), short},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, plugin := newFakeWriter(), &saver{}
			var saw error
			w.append = func(ctx context.Context, r *backend.AppendRequest) (res *backend.AppendResult, err error) {
				res, saw = plugin.append(ctx, r)
				return res, saw
			}
			_, err := connectStorage(t, w, ClientOptions{}).Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: []backend.AppendMessage{
				{Size: 5, Body: strings.NewReader("first")}, {Size: 400_000, Body: c.body}}})
			if err != c.want && (err == nil || err.Error() != c.want.Error()) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if saw == nil || backend.KindOf(saw) != backend.KindInvalidArgument || plugin.saved != nil {
				t.Errorf("the plugin saw %v and kept %d messages", saw, len(plugin.saved))
			}
		})
	}
}

// errorAtEnd is a body whose last bytes come together with an error.
type errorAtEnd struct {
	n   int
	err error
}

func (e *errorAtEnd) Read(p []byte) (int, error) {
	n := min(len(p), e.n)
	if e.n -= n; e.n == 0 {
		return n, e.err
	}
	return n, nil
}

// TestAppendIsCancelled: a plugin that has got all bytes of a call that was then cancelled can not know that they are all.
func TestAppendIsCancelled(t *testing.T) {
	w, plugin := newFakeWriter(), &saver{}
	begun, saw := make(chan struct{}), make(chan error, 1)
	w.append = func(ctx context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
		close(begun)
		res, err := plugin.append(ctx, r)
		saw <- err
		return res, err
	}
	s := connectStorage(t, w, ClientOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := s.storage.Append(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*storagev1.AppendRequest{
		{Header: &storagev1.AppendHeader{MessageCount: 1}, Messages: []*storagev1.AppendMessage{{Size: 3}}}, {Body: []byte("abc")},
	} {
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	<-begun
	cancel()
	if err := <-saw; err == nil || backend.KindOf(err) != backend.KindCancelled || plugin.saved != nil {
		t.Errorf("the plugin saw %v and kept %d messages, want KindCancelled and none", err, len(plugin.saved))
	}
	_, err = s.Append(ctx, &backend.AppendRequest{Mailbox: testRef, Messages: []backend.AppendMessage{{Body: strings.NewReader("")}}})
	if err == nil || backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("Append that was cancelled before: %v, want KindCancelled", err)
	}
}

// TestAppendFailsEarly: the plugin's error ends the call before all bodies were read.
func TestAppendFailsEarly(t *testing.T) {
	w := newFakeWriter()
	w.append = func(context.Context, *backend.AppendRequest) (*backend.AppendResult, error) {
		return nil, backend.Errorf(backend.KindOverQuota, "full")
	}
	body := &endless{}
	_, err := connectStorage(t, w, ClientOptions{}).Append(t.Context(), &backend.AppendRequest{Mailbox: testRef,
		Messages: []backend.AppendMessage{{Size: 1 << 50, Body: body}}})
	if err == nil || backend.KindOf(err) != backend.KindOverQuota || err.Error() != "full" {
		t.Errorf("got %v, want the plugin's error", err)
	}
}

type endless struct{}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }

// TestAppendOfCarelessPlugins: a plugin that does not read what it claims to have saved gets no success.
func TestAppendOfCarelessPlugins(t *testing.T) {
	result := &backend.AppendResult{UIDValidity: 1, UIDs: []uint32{1, 2}}
	for _, c := range []struct {
		name   string
		append func(r *backend.AppendRequest) error
		want   string
	}{
		{"reads nothing", func(*backend.AppendRequest) error { return nil }, "has not read all bodies"},
		{"reads the first", func(r *backend.AppendRequest) error { _, err := io.ReadAll(r.Messages[0].Body); return err }, "has not read all bodies"},
		{"reads the second first", func(r *backend.AppendRequest) error { _, err := io.ReadAll(r.Messages[1].Body); return err }, "body 2 is read before the end of body 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newFakeWriter()
			w.append = func(_ context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
				return result, c.append(r)
			}
			messages, _ := messagesOf(10, 300_000)
			_, err := connectStorage(t, w, ClientOptions{}).Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: messages})
			if err == nil || backend.KindOf(err) != backend.KindInternal || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an internal error with %q", err, c.want)
			}
		})
	}
}

func TestAppendRefusesRequests(t *testing.T) {
	w := newFakeWriter()
	w.append = (&saver{}).append
	s := connectStorage(t, w, ClientOptions{})
	for _, c := range []struct {
		name     string
		messages []backend.AppendMessage
		kind     backend.ErrorKind
	}{
		{"no message", nil, backend.KindInvalidArgument},
		{"too many", make([]backend.AppendMessage, maxAppendMessages+1), backend.KindLimit},
		{"a keyword that is not UTF-8", []backend.AppendMessage{{Keywords: []string{"\xff"}}}, backend.KindInvalidArgument},
		{"unknown flags", []backend.AppendMessage{{Flags: 0x20}}, backend.KindInvalidArgument},
		{"too large", []backend.AppendMessage{{Size: 1 << 61, Body: &endless{}}, {Size: 1<<61 + 1, Body: &endless{}}}, backend.KindLimit},
	} {
		if _, err := s.Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: c.messages}); err == nil || backend.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %v", c.name, err, c.kind)
		}
	}
	if w.requests != nil {
		t.Error("a refused call reached the plugin")
	}
}

// TestAppendRequestsOutOfOrder: what only another core could send is refused, and nothing is saved.
func TestAppendRequestsOutOfOrder(t *testing.T) {
	type reqs = []*storagev1.AppendRequest
	head := func(n uint32, sizes ...uint64) *storagev1.AppendRequest {
		r := &storagev1.AppendRequest{Header: &storagev1.AppendHeader{MessageCount: n}}
		for _, size := range sizes {
			r.Messages = append(r.Messages, &storagev1.AppendMessage{Size: size})
		}
		return r
	}
	body := func(s string) *storagev1.AppendRequest { return &storagev1.AppendRequest{Body: []byte(s)} }
	for _, c := range []struct {
		name string
		reqs reqs
	}{
		{"nothing", nil},
		{"no header", reqs{body("abc")}},
		{"no message", reqs{head(0)}},
		{"too few messages", reqs{head(2, 3), body("abc")}},
		{"too many messages", reqs{head(1, 3, 3), body("abcdef")}},
		{"the end before the messages", reqs{head(2, 3)}},
		{"a body too short", reqs{head(1, 3), body("ab")}},
		{"a body too long", reqs{head(1, 3), body("abcd")}},
		{"a piece too many", reqs{head(1, 3), body("abc"), body("d")}},
		{"a piece for none", reqs{head(1, 0), body("d")}},
		{"an empty piece", reqs{head(1, 3), {}, body("abc")}},
		{"messages again", reqs{head(1, 3), head(1, 3), body("abc")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, plugin := newFakeWriter(), &saver{}
			w.append = plugin.append
			stream, err := connectStorage(t, w, ClientOptions{}).storage.Append(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range c.reqs {
				if err := stream.Send(r); err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
			_, err = stream.CloseAndRecv()
			if err = fromStatus(t.Context(), "fake", err); err == nil || backend.KindOf(err) != backend.KindInvalidArgument || plugin.saved != nil {
				t.Errorf("got %v, %d messages were saved, want KindInvalidArgument and none", err, len(plugin.saved))
			}
		})
	}
}

// FuzzInAppend: the bytes of an AppendRequest are understood as the generated code does, or refused.
func FuzzInAppend(f *testing.F) {
	for _, m := range []*storagev1.AppendRequest{
		{Header: &storagev1.AppendHeader{MessageCount: 1, RequestId: []byte("x")}, Messages: []*storagev1.AppendMessage{{Size: 3, Keywords: []string{"a"}}}},
		{Body: []byte("hello")},
		{Header: &storagev1.AppendHeader{}, Body: []byte("both")},
	} {
		wire, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire, 3)
	}
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		if n < 1 {
			return
		}
		var in inAppend
		defer in.reset()
		if in.unmarshal(splitBuffers(wire, n)) != nil {
			return
		}
		want := new(storagev1.AppendRequest)
		if err := proto.Unmarshal(wire, want); err != nil {
			t.Fatalf("generated code refuses it: %v", err)
		}
		got := proto.CloneOf(&in.rest)
		if in.body.left > 0 {
			got.Body = make([]byte, in.body.left)
			if k := in.read(got.Body); k != len(got.Body) || in.body.left != 0 {
				t.Fatalf("%d bytes of body, %d left", k, in.body.left)
			}
		}
		if len(want.Body) == 0 {
			want.Body = nil
		}
		if !proto.Equal(want, got) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			w := newFakeWriter()
			w.append = func(_ context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
				_, err := io.Copy(io.Discard, r.Messages[0].Body)
				return &backend.AppendResult{UIDValidity: 1, UIDs: []uint32{1}}, err
			}
			s := connectStorage(b, w, ClientOptions{})
			body := randomBody(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				_, err := s.Append(b.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: []backend.AppendMessage{{Size: uint64(size), Body: bytes.NewReader(body)}}})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
