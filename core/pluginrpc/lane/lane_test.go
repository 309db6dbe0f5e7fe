package lane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
)

func TestCallsOfEachForm(t *testing.T) {
	c := serveToy(t, newToy(), noGRPC{t})
	ctx := t.Context()
	for range 3 {
		if out, err := echo(ctx, c, "hello"); out != "hello" || err != nil {
			t.Errorf("echo: %q, %v", out, err)
		}
		for in, want := range map[string]codes.Code{"fail": codes.DataLoss, "plain": codes.Unknown} {
			if _, err := echo(ctx, c, in); status.Code(err) != want {
				t.Errorf("%s: %v, want code %v", in, err, want)
			}
		}
		s, err := c.NewStream(ctx, &toyService.Streams[0], "/toy.Toy/Repeat")
		if err != nil {
			t.Fatal(err)
		}
		const letters = "abcdefghij"
		if err := errors.Join(s.SendMsg(&text{Value: strings.Repeat(letters, 30)}), s.CloseSend()); err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			var m text
			if err := s.RecvMsg(&m); err != nil || m.Value != strings.Repeat(letters[i%10:i%10+1], 1000) {
				t.Fatalf("message %d: %.20s, %v", i, m.Value, err)
			}
		}
		for range 2 {
			if err := s.RecvMsg(new(text)); err != io.EOF {
				t.Errorf("after the last message: %v", err)
			}
		}
		j, err := c.NewStream(ctx, &toyService.Streams[1], "/toy.Toy/Join")
		if err != nil {
			t.Fatal(err)
		}
		var m text
		if err := errors.Join(j.SendMsg(&text{Value: "a"}), j.SendMsg(&text{Value: ""}), j.SendMsg(&text{Value: "b"}), j.CloseSend(), j.RecvMsg(&m)); err != nil || m.Value != "ab" {
			t.Errorf("join: %q, %v", m.Value, err)
		}
	}
	if n := len(c.lanes.all); n != 1 {
		t.Errorf("%d lanes for one call at a time", n)
	}
	if err := c.Invoke(ctx, "/toy.Toy/Other", new(text), new(text)); status.Code(err) != codes.Unimplemented {
		t.Errorf("a method that is not there: %v", err)
	}
}

// The plugin is told for whom each call is made, and not for whom the one before was.
func TestOriginReachesThePlugin(t *testing.T) {
	c := serveToy(t, newToy(), noGRPC{t})
	for _, o := range []backend.Origin{{Request: 1<<64 - 1, User: "jane"}, {}, {User: strings.Repeat("ü", 1000)}, {Request: 2}} {
		ctx := backend.WithOrigin(t.Context(), o)
		if out, err := echo(ctx, c, "origin"); out != fmt.Sprint(o.Request, " ", o.User) || err != nil {
			t.Errorf("%+v: %q, %v", o, out, err)
		}
	}
}

// Each of many callers gets the answer to its own call, whoever gives up meanwhile.
func TestAnswersAreNotMixed(t *testing.T) {
	y := newToy()
	y.waiting, y.ended = make(chan struct{}, 10_000), make(chan error, 10_000)
	c := serveToy(t, y, noGRPC{t})
	var wg sync.WaitGroup
	for who := range maxLanes / 2 {
		wg.Go(func() {
			for i := range 100 {
				if i%10 == 9 {
					ctx, cancel := context.WithCancel(t.Context())
					stop := time.AfterFunc(time.Duration(i)*time.Microsecond, cancel)
					if _, err := echo(ctx, c, "wait"); status.Code(err) != codes.Canceled {
						t.Errorf("a cancelled call: %v", err)
					}
					stop.Stop()
					cancel()
				}
				in := fmt.Sprintf("%d/%d %s", who, i, strings.Repeat("x", i*i))
				if out, err := echo(t.Context(), c, in); out != in || err != nil {
					t.Errorf("%.20q: %.20q, %v", in, out, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCancelReachesThePlugin(t *testing.T) {
	y := newToy()
	c := serveToy(t, y, noGRPC{t})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-y.waiting; cancel() }()
	if _, err := echo(ctx, c, "wait"); status.Code(err) != codes.Canceled {
		t.Errorf("err = %v, want Canceled", err)
	}
	if err := <-y.ended; err != context.Canceled {
		t.Errorf("the plugin's context ended with %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := echo(ctx, c, "wait"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("err = %v, want DeadlineExceeded", err)
	}
	if err := <-y.ended; err == nil {
		t.Error("the plugin's context did not end")
	}
	<-ctx.Done() // the plugin counts from when the call came, and may have said so first
	if _, err := echo(ctx, c, "late"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a call after its deadline: %v", err)
	}
	if out, err := echo(t.Context(), c, "on"); out != "on" || err != nil {
		t.Errorf("the next call: %q, %v", out, err)
	}
}

// A request that was given up before all of it was there is not executed.
func TestCancelBeforeTheRequestIsSent(t *testing.T) {
	y := newToy()
	c := serveToy(t, y, noGRPC{t})
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := c.NewStream(ctx, &grpc.StreamDesc{}, "/toy.Toy/Echo")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SendMsg(&text{Value: "wait"}); err != nil {
			t.Fatal(err)
		}
		cancel()
		s.CloseSend()
		if err := s.RecvMsg(new(text)); status.Code(err) != codes.Canceled {
			t.Errorf("err = %v, want Canceled", err)
		}
	}
	if _, err := echo(t.Context(), c, "on"); err != nil {
		t.Error(err)
	}
	if n := len(y.waiting); n > 0 {
		t.Errorf("%d of 100 calls were executed", n)
	}
}

// endsAfterFirstLook is a context that ends when somebody asks for its deadline.
type endsAfterFirstLook struct {
	context.Context
	cancel context.CancelFunc
}

func (e endsAfterFirstLook) Deadline() (time.Time, bool) { e.cancel(); return time.Time{}, false }

// cancelled fails calls over gRPC as those are that have been cancelled.
type cancelled struct{ noGRPC }

func (cancelled) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.Canceled, "over gRPC")
}

// A call whose context ends while the call begins is given up as any other.
func TestCancelWhileACallBegins(t *testing.T) {
	y := newToy()
	c := serveToy(t, y, cancelled{noGRPC{t}}) // to which the calls go when the plugin is slow to take the new lanes
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := echo(endsAfterFirstLook{ctx, cancel}, c, "wait"); status.Code(err) != codes.Canceled {
			t.Fatalf("err = %v, want Canceled", err)
		}
	}
	if n := len(y.waiting); n > 0 {
		t.Errorf("%d of 1000 calls were executed", n)
	}
}

// A caller that stops reading an answer leaves nothing behind for the next one.
func TestAnswerThatIsNotRead(t *testing.T) {
	c := serveToy(t, newToy(), noGRPC{t})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := c.NewStream(ctx, &toyService.Streams[0], "/toy.Toy/Repeat")
	if err != nil {
		t.Fatal(err)
	}
	// More than the socket takes: the plugin is in the midst of it.
	if err := errors.Join(s.SendMsg(&text{Value: strings.Repeat("x", 10_000)}), s.CloseSend(), s.RecvMsg(new(text))); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err == nil {
		err = s.RecvMsg(new(text))
	}
	if status.Code(err) != codes.Canceled {
		t.Errorf("err = %v, want Canceled", err)
	}
	if out, err := echo(t.Context(), c, "next"); out != "next" || err != nil {
		t.Errorf("the next call: %q, %v", out, err)
	}
}

// Nor does one that does not even look again: the plugin is told, and the lane is gone.
func TestAnswerThatIsAbandoned(t *testing.T) {
	y := newToy()
	c := serveToy(t, y, noGRPC{t})
	for _, in := range []string{"x", strings.Repeat("x", 10_000)} {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := c.NewStream(ctx, &toyService.Streams[0], "/toy.Toy/Repeat")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.SendMsg(&text{Value: in}), s.CloseSend(), s.RecvMsg(new(text))); err != nil {
			t.Fatal(err)
		}
		cancel()
		for c.lanes.Len() > 0 {
			runtime.Gosched()
		}
		if err := s.RecvMsg(new(text)); status.Code(err) != codes.Canceled {
			t.Errorf("after that: %v, want Canceled", err)
		}
		if err := s.SendMsg(new(text)); err != io.EOF {
			t.Errorf("after that: %v, want EOF", err)
		}
		<-y.repeated
	}
	if out, err := echo(t.Context(), c, "next"); out != "next" || err != nil {
		t.Errorf("the next call: %q, %v", out, err)
	}
}

func TestPluginBreaksTheRules(t *testing.T) {
	good := func(call uint32) []byte { return endFrame(appendAnswerHead(nil, call, kindMessage, 0), call, nil) }
	for _, c := range []struct {
		name   string
		answer func(call uint32) []byte
		want   codes.Code
	}{
		{"nothing", func(uint32) []byte { return nil }, codes.Unavailable},
		{"short frame", func(n uint32) []byte { return good(n)[:3] }, codes.Unavailable},
		{"dies before the end", func(n uint32) []byte { return good(n)[:answerHead] }, codes.Unavailable},
		{"oversized", func(n uint32) []byte { return appendAnswerHead(nil, n, kindMessage, MaxMessage+1) }, codes.Internal},
		{"garbage", func(uint32) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }, codes.Internal},
		{"another call's answer", func(n uint32) []byte { return good(n - 1) }, codes.Internal},
		{"no message", func(n uint32) []byte { return endFrame(nil, n, nil) }, codes.Internal},
		{"two messages", func(n uint32) []byte { return append(appendAnswerHead(nil, n, kindMessage, 0), good(n)...) }, codes.Internal},
		{"status of garbage", func(n uint32) []byte { return append(appendAnswerHead(nil, n, kindEnd, 3), "abc"...) }, codes.Internal},
		{"status without code", func(n uint32) []byte { return append(appendAnswerHead(nil, n, kindEnd, 3), 18, 1, 'x') }, codes.Internal},
		{"message of garbage", func(n uint32) []byte {
			return endFrame(append(appendAnswerHead(nil, n, kindMessage, 3), "abc"...), n, nil)
		}, codes.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newFakePlugin(t)
			p.answers(1, func(_ uint64, w io.WriteCloser, call uint32) { w.Write(c.answer(call)) })
			conn := NewConn(noGRPC{t}, p.lanes, toyCodec)
			if out, err := echo(t.Context(), conn, "x"); status.Code(err) != c.want || errors.Is(err, ErrUnsent) {
				t.Errorf("%q, %v; want code %v", out, err, c.want)
			}
			if n := len(p.lanes.idle); n != 0 && c.name != "no message" {
				t.Errorf("%d lanes are kept for the next call", n)
			}
		})
	}
}

// What a plugin sends behind the end of an answer is nobody's answer.
func TestNothingComesAfterTheEnd(t *testing.T) {
	p := newFakePlugin(t)
	p.answers(2, func(number uint64, w io.WriteCloser, call uint32) {
		b := endFrame(appendAnswerHead(nil, call, kindMessage, 0), call, nil)
		if number == 1 {
			b = append(b, "more"...)
		}
		w.Write(b)
	})
	c := NewConn(noGRPC{t}, p.lanes, toyCodec)
	for i := range 2 { // the second finds another lane
		if _, err := echo(t.Context(), c, "x"); err != nil {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
}

// A call to a plugin that is gone was certainly not executed.
func TestCallToTheDead(t *testing.T) {
	p := newFakePlugin(t)
	p.answers(1, func(_ uint64, w io.WriteCloser, call uint32) {
		w.Write(endFrame(appendAnswerHead(nil, call, kindMessage, 0), call, nil))
	})
	c := NewConn(noGRPC{t}, p.lanes, toyCodec)
	if _, err := echo(t.Context(), c, "x"); err != nil {
		t.Fatal(err)
	}
	p.open.Wait() // it has closed its end
	if _, err := echo(t.Context(), c, "x"); !errors.Is(err, ErrUnsent) {
		t.Errorf("err = %v, want ErrUnsent", err)
	}
	if len(p.lanes.all) != 0 {
		t.Error("the lane is kept")
	}
}

// Nor was one that the plugin had not read when it died.
func TestCallToTheDying(t *testing.T) {
	p := newFakePlugin(t)
	c := NewConn(noGRPC{t}, p.lanes, toyCodec)
	p.open.Go(func() {
		_, conn, _, err := receiveLane(p.child)
		if err != nil {
			t.Error(err)
			return
		}
		conn.Read(make([]byte, 3))
		conn.Close()
	})
	if _, err := echo(t.Context(), c, "x"); !errors.Is(err, ErrUnsent) {
		t.Errorf("err = %v, want ErrUnsent", err)
	}
}

// overGRPC collects the messages of calls that are made over gRPC.
type overGRPC struct {
	noGRPC
	grpc.ClientStream
	got []string
	bad error
}

func (o *overGRPC) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return o, o.bad
}

func (o *overGRPC) SendMsg(m any) error {
	b, ok := m.(Raw)
	if !ok {
		b, _ = proto.Marshal(m.(proto.Message))
	}
	o.got = append(o.got, fmt.Sprintf("%d bytes, ends in %q", len(b), b[max(0, len(b)-2):]))
	return nil
}
func (o *overGRPC) CloseSend() error  { return nil }
func (o *overGRPC) RecvMsg(any) error { return nil }

func TestLargeRequestGoesOverGRPC(t *testing.T) {
	o := &overGRPC{noGRPC: noGRPC{t}}
	c := serveToy(t, newToy(), o)
	if _, err := echo(t.Context(), c, strings.Repeat("x", MaxRequest-100)); err != nil || len(o.got) != 0 {
		t.Errorf("a large request that fits: %v, over gRPC %v", err, o.got)
	}
	s, err := c.NewStream(t.Context(), &toyService.Streams[1], "/toy.Toy/Join")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"ab", strings.Repeat("c", MaxRequest), "de"} {
		if err := s.SendMsg(&text{Value: m}); err != nil {
			t.Fatal(err)
		}
		if _, err := echo(t.Context(), c, "xx"); err != nil { // the lane has other calls meanwhile
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.CloseSend(), s.RecvMsg(new(text))); err != nil {
		t.Error(err)
	}
	want := []string{`4 bytes, ends in "ab"`, fmt.Sprintf(`%d bytes, ends in "cc"`, proto.Size(&text{Value: strings.Repeat("c", MaxRequest)})), `4 bytes, ends in "de"`}
	if fmt.Sprint(o.got) != fmt.Sprint(want) {
		t.Errorf("over gRPC: %v, want %v", o.got, want)
	}
	o.bad = status.Error(codes.Unavailable, "gone")
	if _, err := echo(t.Context(), c, strings.Repeat("x", MaxRequest)); !errors.Is(err, ErrUnsent) {
		t.Errorf("gRPC fails: %v, want ErrUnsent", err)
	}
}

// A lane that the plugin has not taken, and a plugin that takes no more, cost no call.
func TestLaneThatIsNotTaken(t *testing.T) {
	p := newFakePlugin(t)
	l := p.lanes.get()
	if _, conn, _, err := receiveLane(p.child); err != nil {
		t.Fatal(err)
	} else {
		conn.Close()
	}
	p.lanes.put(l)
	o := &overGRPC{noGRPC: noGRPC{t}}
	c := NewConn(o, p.lanes, toyCodec)
	if _, err := echo(t.Context(), c, "ab"); err != nil || fmt.Sprint(o.got) != `[4 bytes, ends in "ab"]` || p.lanes.Len() != 0 {
		t.Errorf("%v; over gRPC %v; %d lanes", err, o.got, p.lanes.Len())
	}
	p.child.Close()
	if s, err := c.NewStream(t.Context(), &toyService.Streams[0], "/toy.Toy/Repeat"); err != nil || s != grpc.ClientStream(o) {
		t.Errorf("without a server of lanes: %v, %v; want a call over gRPC", s, err)
	}
}

// With all lanes in use calls go over gRPC.
func TestMoreCallsThanLanes(t *testing.T) {
	y := newToy()
	o := &overGRPC{noGRPC: noGRPC{t}}
	c := serveToy(t, y, o)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range maxLanes {
		wg.Go(func() { echo(ctx, c, "wait") })
	}
	for range maxLanes {
		<-y.waiting
	}
	if s, err := c.NewStream(t.Context(), &toyService.Streams[0], "/toy.Toy/Repeat"); err != nil || s != grpc.ClientStream(o) {
		t.Errorf("a call beyond: %v, %v; want that of gRPC", s, err)
	}
	cancel()
	wg.Wait()
	if _, err := echo(t.Context(), c, "on"); err != nil {
		t.Error(err)
	}
}

// Core that sends something else than a request loses the lane, and only that.
func TestCoreBreaksTheRules(t *testing.T) {
	c := serveToy(t, newToy(), noGRPC{t})
	for _, b := range []string{"GET / HTTP/1.1\r\n\r\n", "\x01\x00\x00\x00x", "\x12\x00\x00\x00abcdefghijkl\x00\x00\x00\x00xy"} {
		l := c.lanes.get()
		l.conn.Write([]byte(b))
		if n, err := l.conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%q: %d bytes, %v; want that the lane is closed", b, n, err)
		}
		c.lanes.drop(l)
	}
	if out, err := echo(t.Context(), c, "x"); out != "x" || err != nil {
		t.Errorf("another lane: %q, %v", out, err)
	}
}

// The server ends with its socket, and with it all calls.
func TestServerEnds(t *testing.T) {
	y := newToy()
	lanes, child, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	s := NewServer(passThrough())
	s.RegisterService(&toyService, y)
	done := make(chan error, 1)
	go func() { done <- s.Serve(child) }()
	failed := make(chan error, 1)
	go func() {
		_, err := echo(context.Background(), NewConn(noGRPC{t}, lanes, toyCodec), "wait")
		failed <- err
	}()
	<-y.waiting
	lanes.Close()
	if err := <-failed; status.Code(err) != codes.Unavailable {
		t.Errorf("the call under way: %v, want Unavailable", err)
	}
	if err := <-y.ended; err != context.Canceled {
		t.Errorf("its context: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func BenchmarkCall(b *testing.B) {
	c := serveToy(b, newToy(), noGRPC{b})
	b.ReportAllocs()
	ctx := backend.WithOrigin(context.Background(), backend.Origin{Request: 1, User: "jane@example.org"})
	for b.Loop() {
		if _, err := echo(ctx, c, "hello"); err != nil {
			b.Fatal(err)
		}
	}
}

// A burst of calls leaves a few lanes, whose buffers are all that stays of it, and calls go on.
func TestRestClosesLanes(t *testing.T) {
	c := serveToy(t, newToy(), noGRPC{t})
	for range 3 {
		var used []*lane
		for range 2 * keptLanes {
			l := c.lanes.get()
			if l == nil {
				t.Fatal("no lane")
			}
			used = append(used, l)
		}
		for _, l := range used {
			c.lanes.put(l)
		}
		c.lanes.rest()
		if n := c.lanes.Len(); n != keptLanes || len(c.lanes.idle) != n {
			t.Errorf("%d lanes after a rest, %d idle, want %d", n, len(c.lanes.idle), keptLanes)
		}
		for _, l := range used[:keptLanes] {
			if _, err := l.conn.Write([]byte{0}); err == nil {
				t.Error("a lane that was used before the others is open")
			}
		}
		if out, err := echo(t.Context(), c, "next"); out != "next" || err != nil {
			t.Errorf("the next call: %q, %v", out, err)
		}
	}
}
