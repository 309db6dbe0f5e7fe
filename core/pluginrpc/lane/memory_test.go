package lane

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// partsCodec is toyCodec, but for messages that are a BufferSlice, and for *gathered.
type partsCodec struct{ encoding.CodecV2 }

// gathered is a received message as it came.
type gathered struct {
	data  []byte
	parts int
}

func (*gathered) TakesParts() {}

func (c partsCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(mem.BufferSlice); ok {
		return b, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c partsCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if g, ok := v.(*gathered); ok {
		g.data = data.Materialize()
		g.parts, _ = countParts(data)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// slotText returns the message that the toy of serveSlots sends as number i.
func slotText(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, 1<<uint(i%19)) }

// serveSlots serves a toy whose answer to Slots is as many messages as the request has bytes, each, if it can be, in a slot but for its first byte and its last ones.
func serveSlots(t testing.TB) *Conn {
	t.Helper()
	lanes, child, err := New()
	if err != nil {
		t.Fatal(err)
	}
	lanes.ShareMemory()
	o := passThrough()
	o.Codec = partsCodec{toyCodec}
	s := NewServer(o)
	s.RegisterService(&toyService, newToy())
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "toy.Slots", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		{StreamName: "Slots", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			in := new(text)
			if err := s.RecvMsg(in); err != nil {
				return err
			}
			for i := range in.Value {
				slot, ok := s.(*serverStream).Slot()
				if !ok {
					return status.Error(codes.Internal, "no slot")
				}
				if len(slot.Room) != slotSize {
					t.Errorf("a slot of %d bytes", len(slot.Room))
				}
				want := slotText(i)
				n := copy(slot.Room, want)
				at := [3]int{min(1, n), n / 2, n - n/3}
				if n < 3 {
					at = [3]int{0, n, n}
				}
				m := mem.BufferSlice{mem.SliceBuffer(want[:at[0]]), slot.Part(at[0], at[1]), slot.Part(at[1], at[2]), mem.SliceBuffer(want[at[2]:])}
				if err := s.SendMsg(m); err != nil {
					return err
				}
				if i%5 == 0 { // one between
					if err := s.SendMsg(mem.BufferSlice{mem.SliceBuffer(nil)}); err != nil {
						return err
					}
				}
			}
			return nil
		}},
	}}, nil)
	done := make(chan error, 1)
	go func() { done <- s.Serve(child) }() // ends with lanes.Close
	t.Cleanup(func() {
		lanes.Close()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
		child.Close()
	})
	return NewConn(noGRPC{t}, lanes, partsCodec{toyCodec})
}

// callSlots starts a call for n messages.
func callSlots(t testing.TB, ctx context.Context, c *Conn, n int) grpc.ClientStream {
	t.Helper()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/toy.Slots/Slots")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SendMsg(&text{Value: string(bytes.Repeat([]byte{'x'}, n))}), s.CloseSend()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMessagesInMemory(t *testing.T) {
	c := serveSlots(t)
	parts := 0
	for _, n := range []int{1, 2, 3, 19, 0, 100, 19, 17} {
		s := callSlots(t, t.Context(), c, n)
		for i := range n {
			var g gathered
			if err := s.RecvMsg(&g); err != nil || !bytes.Equal(g.data, slotText(i)) {
				t.Fatalf("message %d of %d: %d bytes, %v", i, n, len(g.data), err)
			}
			if (g.parts > 0) != (len(g.data) > copied) {
				t.Errorf("%d parts in %d bytes", g.parts, len(g.data))
			}
			parts += g.parts
			if i%5 == 0 {
				if err := s.RecvMsg(&g); err != nil || len(g.data) > 0 {
					t.Fatalf("between: %d bytes, %v", len(g.data), err)
				}
			}
		}
		if err := s.RecvMsg(new(gathered)); err != io.EOF {
			t.Fatalf("after %d messages: %v", n, err)
		}
		if out, err := echo(t.Context(), c, "next"); out != "next" || err != nil {
			t.Fatalf("the next call: %q, %v", out, err)
		}
	}
	if parts == 0 || c.lanes.Len() != 1 {
		t.Errorf("%d parts, %d lanes", parts, c.lanes.Len())
	}
}

// A message of another type gets a copy.
func TestMessageThatTakesNoParts(t *testing.T) {
	c := serveSlots(t)
	s := callSlots(t, t.Context(), c, 17)
	for range 16 + 4 {
		if err := s.RecvMsg(new(gathered)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RecvMsg(new(text)); status.Code(err) != codes.Internal { // it is no protobuf
		t.Errorf("err = %v, want Internal", err)
	}
}

// A plugin that waits for its memory ends when the call is given up, read or not.
func TestSlotsOfACallThatIsGivenUp(t *testing.T) {
	c := serveSlots(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := callSlots(t, ctx, c, 200)
	for range 18 {
		if err := s.RecvMsg(new(gathered)); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for c.lanes.Len() > 0 {
		runtime.Gosched()
	}
	if out, err := echo(t.Context(), c, "next"); out != "next" || err != nil {
		t.Fatalf("the next call: %q, %v", out, err)
	}
}

// left returns whether there is anything in a lane's memory.
func left(m *memory) bool { return len(bytes.Trim(m.b, "\x00")) > 0 }

func TestMemoryIsGivenBack(t *testing.T) {
	c := serveSlots(t)
	use := func() *memory {
		s := callSlots(t, t.Context(), c, 19)
		for {
			if err := s.RecvMsg(new(gathered)); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		return c.lanes.idle[0].memory
	}
	m := use()
	if !left(m) || c.lanes.kept != m.used || m.used < slotSize {
		t.Errorf("something is left: %v; %d kept, %d used", left(m), c.lanes.kept, m.used)
	}
	c.lanes.rest()
	if left(m) || c.lanes.kept != 0 || m.used != 0 {
		t.Errorf("after a rest something is left: %v; %d kept, %d used", left(m), c.lanes.kept, m.used)
	}
	c.lanes.kept = keptMemory // as if others had it
	if use(); left(m) || c.lanes.kept != keptMemory {
		t.Errorf("beyond what is kept something is left: %v; %d kept", left(m), c.lanes.kept)
	}
	c.lanes.kept = 0
	use()
}

func TestMemoryCanNotBeMadeSmaller(t *testing.T) {
	_, file, err := makeMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(0); !errors.Is(err, unix.EPERM) {
		t.Errorf("Truncate: %v, want EPERM", err)
	}
	for name, seal := range map[string]bool{"no seals": false, "small": true} {
		fd, err := unix.MemfdCreate("x", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		size := int64(memorySize)
		if seal {
			size = slotSize - 1
		}
		if err := unix.Ftruncate(fd, size); err != nil {
			t.Fatal(err)
		}
		if seal {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := takeMemory(fd); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// partsPayload returns the payload of a frame in parts.
func partsPayload(flags byte, rest string, parts ...[3]uint32) []byte {
	b := []byte{flags, byte(len(parts))}
	for _, p := range parts {
		for _, v := range p {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
	}
	return append(b, rest...)
}

func testMemory() *memory {
	b := make([]byte, 5<<20)
	copy(b, "0123456789")
	return &memory{b: b}
}

func TestPartsOnTheWire(t *testing.T) {
	m := testMemory()
	slot := Slot{Room: m.b[2:10], memory: m, offset: 2}
	b, flags := appendParts([]byte("x"), 7, mem.BufferSlice{mem.SliceBuffer("a"), slot.Part(0, 3), slot.Part(4, 5).Slice(0, 1), mem.SliceBuffer("bc"), slot.Part(1, 2)})
	want := append([]byte{'x', 41, 0, 0, 0, 7, 0, 0, 0, kindParts}, partsPayload(0, "abc", [3]uint32{1, 2, 3}, [3]uint32{1, 6, 1}, [3]uint32{3, 3, 1})...)
	if !bytes.Equal(b, want) || flags != 10 {
		t.Errorf("got  %v, flags at %d\nwant %v", b, flags, want)
	}
	data, ack, err := m.parts(b[10:], nil)
	if got := string(data.Materialize()); got != "a2346bc3" || ack || err != nil || m.used != 7 {
		t.Errorf("decoded %q, %v, %v; %d bytes used", got, ack, err, m.used)
	}
	b[flags] = flagAcknowledge
	if _, ack, err := m.parts(b[10:], nil); !ack || err != nil {
		t.Errorf("with the flag: %v, %v", ack, err)
	}
}

var badParts = map[string][]byte{
	"nothing":         {},
	"no count":        {0},
	"no part":         {0, 0, 'x'},
	"flags":           partsPayload(2, "", [3]uint32{0, 0, 1}),
	"too many":        partsPayload(0, "", make([][3]uint32, maxParts+1)...),
	"list cut off":    partsPayload(0, "", [3]uint32{0, 0, 1})[:partsHead+partSize-1],
	"empty part":      partsPayload(0, "", [3]uint32{0, 0, 0}),
	"beyond the rest": partsPayload(0, "ab", [3]uint32{3, 0, 1}),
	"backwards":       partsPayload(0, "ab", [3]uint32{1, 0, 1}, [3]uint32{0, 0, 1}),
	"begins outside":  partsPayload(0, "", [3]uint32{0, 5<<20 + 1, 1}),
	"ends outside":    partsPayload(0, "", [3]uint32{0, 5<<20 - 1, 2}),
	"wraps":           partsPayload(0, "", [3]uint32{0, 1<<32 - 1, 1<<32 - 1}),
	"too large":       partsPayload(0, "x", [3]uint32{0, 0, MaxMessage}),
	"too large twice": partsPayload(0, "", [3]uint32{0, 0, MaxMessage / 2}, [3]uint32{0, 0, MaxMessage/2 + 1}),
}

func TestPartsRefuses(t *testing.T) {
	for name, b := range badParts {
		if data, _, err := testMemory().parts(b, nil); !errors.Is(err, errFrame) {
			t.Errorf("%s: %d bytes, %v; want errFrame", name, data.Len(), err)
		}
	}
	var none *memory
	if _, _, err := none.parts(partsPayload(0, "", [3]uint32{0, 0, 1}), nil); !errors.Is(err, errFrame) {
		t.Errorf("without memory: %v, want errFrame", err)
	}
}

func FuzzParts(f *testing.F) {
	for _, b := range badParts {
		f.Add(b)
	}
	f.Add(partsPayload(1, "abc", [3]uint32{1, 2, 3}, [3]uint32{1, 6, 1}, [3]uint32{3, 3, 1}))
	m := testMemory()
	f.Fuzz(func(t *testing.T, b []byte) {
		data, ack, err := m.parts(b, nil)
		if err != nil {
			return
		}
		if data.Len() > MaxMessage || m.used > len(m.b) {
			t.Fatalf("%d bytes, %d used", data.Len(), m.used)
		}
		again, flags := appendParts(nil, 1, data)
		if ack {
			again[flags] = flagAcknowledge
		}
		if !bytes.Equal(again[answerHead:], b) {
			t.Errorf("decoded %v of %v, encoded %v", data, b, again[answerHead:])
		}
	})
}

// A plugin that dies before it has read an acknowledgement has read the request: nobody may take that for a call that was not executed.
func TestDeathBeforeAnAcknowledgement(t *testing.T) {
	p := newFakePlugin(t)
	p.lanes.ShareMemory()
	c := NewConn(noGRPC{t}, p.lanes, partsCodec{toyCodec})
	p.answers(1, func(_ uint64, w io.WriteCloser, call uint32) {
		payload := partsPayload(flagAcknowledge, "", [3]uint32{0, 0, 3})
		if _, err := w.Write(append(appendAnswerHead(nil, call, kindParts, len(payload)), payload...)); err != nil {
			t.Error(err)
		}
		raw, err := w.(*pipes).in.SyscallConn()
		if err != nil {
			t.Error(err)
			return
		}
		_ = raw.Read(func(fd uintptr) bool { // until it is there
			n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
			return n > 0 || err != nil
		})
	})
	s := callSlots(t, t.Context(), c, 1)
	if err := s.RecvMsg(new(gathered)); err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(new(gathered)); status.Code(err) != codes.Unavailable || errors.Is(err, ErrUnsent) {
		t.Errorf("err = %v, want Unavailable", err)
	}
}

// Of an answer in one message nothing is acknowledged; of what comes before another message all is.
func TestAcknowledgements(t *testing.T) {
	p := newFakePlugin(t)
	p.lanes.ShareMemory()
	c := NewConn(noGRPC{t}, p.lanes, partsCodec{toyCodec})
	p.answers(1, func(_ uint64, w io.WriteCloser, call uint32) {
		conn := w.(io.ReadWriter)
		frame := func(flags byte) []byte {
			payload := partsPayload(flags, "", [3]uint32{0, 0, 3})
			return append(appendAnswerHead(nil, call, kindParts, len(payload)), payload...)
		}
		copy(p.memory.b, "one")
		if _, err := conn.Write(endFrame(frame(0), call, nil)); err != nil {
			t.Error(err)
		}
		d := reader{src: conn}
		if b, err := d.request(); err != nil || len(b) == 0 {
			t.Errorf("the second request: %d bytes, %v", len(b), err)
			return
		}
		call++
		for _, v := range []string{"two", "333"} {
			copy(p.memory.b, v)
			if _, err := conn.Write(frame(flagAcknowledge)); err != nil {
				t.Error(err)
			}
			if b, err := d.request(); err != nil || len(b) != 0 {
				t.Errorf("an acknowledgement of %d bytes, %v", len(b), err)
			}
		}
		if _, err := conn.Write(endFrame(nil, call, nil)); err != nil {
			t.Error(err)
		}
	})
	for _, want := range [][]string{{"one"}, {"two", "333"}} {
		s := callSlots(t, t.Context(), c, 1)
		for _, w := range want {
			var g gathered
			if err := s.RecvMsg(&g); string(g.data) != w || err != nil {
				t.Errorf("got %q, %v; want %q", g.data, err, w)
			}
		}
		if err := s.RecvMsg(new(gathered)); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	}
}

// What is no acknowledgement, and one that nobody waits for, end the lane.
func TestCoreBreaksTheRulesOfMemory(t *testing.T) {
	lanes, child, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	defer lanes.Close()
	o := passThrough()
	o.Codec = partsCodec{toyCodec}
	s := NewServer(o)
	s.RegisterService(&toyService, newToy())
	done := make(chan error, 1)
	go func() { done <- s.Serve(child) }() // ends with lanes.Close
	l, err := lanes.make()
	if err != nil {
		t.Fatal(err)
	}
	defer l.conn.Close()
	if _, err := l.conn.Write(acknowledgement[:]); err != nil {
		t.Fatal(err)
	}
	l.conn.in.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := l.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after an acknowledgement of nothing: %v, want EOF", err)
	}
	lanes.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// fill puts what into a slot of a request.
func fill(t *testing.T, s grpc.ClientStream, what string) mem.BufferSlice {
	t.Helper()
	slot, ok := s.(*stream).Slot()
	if !ok {
		t.Fatal("no slot")
	}
	return mem.BufferSlice{slot.Part(0, copy(slot.Room, what))}
}

func marshaled(t *testing.T, v string) string {
	t.Helper()
	b, err := toyCodec.Marshal(&text{Value: v})
	if err != nil {
		t.Fatal(err)
	}
	return string(b.Materialize())
}

// Messages of a request come in order, wherever they are; and the answer to a request that is in the memory is not.
func TestRequestsInMemory(t *testing.T) {
	c := serveSlots(t)
	for range 2 {
		j, err := c.NewStream(t.Context(), &toyService.Streams[1], "/toy.Toy/Join")
		if err != nil {
			t.Fatal(err)
		}
		long := string(bytes.Repeat([]byte("ab"), 100_000))
		for i, v := range []string{long, "c", long, "d"} {
			if i%2 == 0 {
				err = j.SendMsg(fill(t, j, marshaled(t, v)))
			} else {
				err = j.SendMsg(&text{Value: v})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		var out text
		if err := errors.Join(j.CloseSend(), j.RecvMsg(&out)); err != nil || out.Value != long+"c"+long+"d" {
			t.Fatalf("%d bytes, %v", len(out.Value), err)
		}
		if _, ok := j.(*stream).Slot(); ok {
			t.Error("a slot after the request")
		}
	}
	s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/toy.Slots/Slots")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SendMsg(fill(t, s, marshaled(t, "x"))), s.RecvMsg(new(gathered))); status.Code(err) != codes.Internal { // as it says without a slot
		t.Errorf("err = %v, want Internal", err)
	}
}

// otherCall is a connection on which another call takes the lane at once.
type otherCall struct {
	*overGRPC
	lanes *Lanes
}

func (o otherCall) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	clear(o.lanes.idle[0].memory.b)
	return o.overGRPC.NewStream(ctx, desc, method, opts...)
}

// A request that grows too large goes over gRPC with what was in the memory, which is another call's then.
func TestRequestInMemoryOverGRPC(t *testing.T) {
	c := serveSlots(t)
	o := &overGRPC{noGRPC: noGRPC{t}}
	c.grpc = otherCall{o, c.lanes}
	j, err := c.NewStream(t.Context(), &toyService.Streams[1], "/toy.Toy/Join")
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(j.SendMsg(fill(t, j, "one")), j.SendMsg(&text{Value: string(make([]byte, MaxRequest-100))}), j.SendMsg(fill(t, j, "two")), j.SendMsg(&text{Value: string(make([]byte, 100))}))
	if err != nil {
		t.Fatal(err)
	}
	if len(o.got) != 4 || o.got[0] != `3 bytes, ends in "ne"` || o.got[2] != `3 bytes, ends in "wo"` {
		t.Errorf("over gRPC: %.100v", o.got)
	}
}
