package pluginrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc/lane"
)

// overLanes connects to p, configured, over lanes with or without memory.
func overLanes(t testing.TB, p backend.Plugin, memory bool) *Storage {
	t.Helper()
	lanes, child, err := lane.New()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := NewServer(p, ServerOptions{Lanes: child, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.ServeLanes() }() // ends with lanes.Close
	t.Cleanup(func() {
		lanes.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		child.Close()
	})
	conn := serve(t, srv.GRPCOptions(), srv.Register)
	c, err := newClient(t.Context(), conn, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !c.info.Has(backend.CapLaneMemory) {
		t.Error("no memory is announced")
	}
	if memory {
		s, err := NewStorage(t.Context(), conn, ClientOptions{Lanes: lanes})
		if err != nil {
			t.Fatal(err)
		}
		return configured(t, s)
	}
	c.lanes = true
	return configured(t, newStorage(c, lane.NewConn(conn, lanes, newCodec(nil))))
}

func configured(t testing.TB, s *Storage) *Storage {
	t.Helper()
	if err := s.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// volatileCollector is a collector that takes bodies as they are.
type volatileCollector struct {
	collector
	volatile int // bytes
}

func (c *volatileCollector) VolatileBody(p []byte) error {
	c.volatile += len(p)
	return c.Body(p)
}

// bodiesOf returns messages with bodies of many sizes, some with more text than a frame holds.
func bodiesOf(rnd *rand.Rand, n int) []collected {
	var out []collected
	for i := range n {
		size := []int{0, 1, 300, copiedAtMost, 50_000, frameBytes - 40, frameBytes, frameBytes + 1, 900_000}[rnd.IntN(9)]
		m := collected{Body: bytes.Repeat([]byte{byte(i), 'x', '\n'}, (size+2)/3)[:size]}
		m.UID, m.BodySize, m.Size = uint32(i+1), uint64(size), rnd.Uint64N(1<<30)
		m.GUID = fmt.Sprint("guid", i)
		m.HeaderFields = bytes.Repeat([]byte("A: b\r\n"), rnd.IntN(100))
		if rnd.IntN(20) == 0 {
			m.HeaderFields = bytes.Repeat([]byte("Long: "), frameBytes/5)
		}
		if rnd.IntN(3) == 0 {
			m.Preview = []byte("some text")
		}
		if rnd.IntN(10) == 0 {
			m = collected{FetchedMessage: backend.FetchedMessage{UID: m.UID, Err: backend.Errorf(backend.KindCorrupted, "damaged")}}
		}
		out = append(out, m)
	}
	return out
}

// copiedAtMost is a size near that up to which a lane copies messages.
const copiedAtMost = 16 << 10

// sendInRooms sends messages as a storage plugin does: some bodies are put into the sink's room, some not, and some room is not used.
func sendInRooms(rnd *rand.Rand, messages []collected, sink backend.FetchSink) error {
	roomy := sink.(backend.RoomySink)
	for i := range messages {
		m, body := &messages[i].FetchedMessage, messages[i].Body
		room := []byte(nil)
		if rnd.IntN(4) > 0 {
			text := *m
			text.Err = nil
			if room = roomy.Room(&text, rnd.IntN(2)*len(body)); room != nil && m.Err == nil {
				copy(room, body)
				body = room
			}
		}
		if err := sink.Message(m); err != nil {
			return err
		}
		for len(body) > 0 {
			n := len(body)
			if room == nil {
				n = min(n, 1+rnd.IntN(200_000))
			}
			p := body[:n]
			if room == nil && rnd.IntN(2) == 0 {
				if room := roomy.Room(nil, n); room != nil {
					copy(room, p)
					p = room
				}
			}
			if err := sink.Body(p); err != nil {
				return err
			}
			body = body[n:]
		}
	}
	return nil
}

func TestFetchOverLanes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var messages []collected
	var uids []uint32
	p := &fakeStorage{info: backend.Info{Name: "fake"}}
	p.fetch = func(_ context.Context, _ *backend.FetchRequest, sink backend.FetchSink) error {
		return sendInRooms(rnd, messages, sink)
	}
	for _, memory := range []bool{true, false} {
		s := overLanes(t, p, memory)
		for i := range 60 {
			messages = bodiesOf(rnd, 1+i)
			uids = uids[:0]
			for _, m := range messages {
				uids = append(uids, m.UID)
			}
			sink := &volatileCollector{}
			var to backend.FetchSink = sink
			if i%3 == 0 {
				to = &sink.collector
			}
			if err := s.Fetch(t.Context(), &backend.FetchRequest{UIDs: uids}, to); err != nil {
				t.Fatal(err)
			}
			checkFetched(t, messages, sink.got)
			if i > 20 && (sink.volatile > 0) != (memory && i%3 > 0) {
				t.Errorf("memory %v, round %d: %d bytes as they are", memory, i, sink.volatile)
			}
		}
	}
}

func TestMessageAfterAnothersRoom(t *testing.T) {
	p := &fakeStorage{info: backend.Info{Name: "fake"}}
	p.fetch = func(_ context.Context, _ *backend.FetchRequest, sink backend.FetchSink) error {
		m := &backend.FetchedMessage{UID: 1, BodySize: 3, GUID: "a"}
		copy(sink.(backend.RoomySink).Room(m, 3), "xyz")
		m.GUID = "longer"
		return sink.Message(m)
	}
	err := overLanes(t, p, true).Fetch(t.Context(), &backend.FetchRequest{UIDs: []uint32{1}}, &collector{})
	if backend.KindOf(err) != backend.KindInternal {
		t.Errorf("err = %v, want KindInternal", err)
	}
}

// measure is a sink that looks at everything, and counts what a client would be sent.
type measure struct {
	announced, got uint64
	wrong          *atomic.Int64
	looked         int
}

func (s *measure) Message(m *backend.FetchedMessage) error {
	if s.announced != s.got {
		s.wrong.Add(1)
	}
	s.announced, s.got = m.BodySize, 0
	first, guid := bytes.Clone(m.HeaderFields), m.GUID
	s.looked += bytes.Count(m.HeaderFields, []byte{'\n'}) + bytes.Count(m.BodyStructure, []byte("("))
	if !bytes.Equal(first, m.HeaderFields) || guid != m.GUID {
		s.wrong.Add(1)
	}
	return nil
}

func (s *measure) Body(p []byte) error {
	s.got += uint64(len(p))
	first := bytes.Clone(p)
	if !bytes.Equal(first, p) { // a sink of this kind gets what nobody changes
		s.wrong.Add(1)
	}
	return nil
}

// A plugin that goes on writing to the memory while core reads it makes wrong mail of its own, and nothing else: what core looks at does not change
// under its eyes, and bodies are as long as announced.
func TestPluginWritesWhileCoreReads(t *testing.T) {
	var mu sync.Mutex
	var memory [][]byte
	var stop atomic.Bool
	p := &fakeStorage{info: backend.Info{Name: "fake"}}
	p.fetch = func(_ context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
		for _, uid := range r.UIDs {
			m := &backend.FetchedMessage{UID: uid, BodySize: 100_000, GUID: "guid", HeaderFields: bytes.Repeat([]byte("A: b\r\n"), 100)}
			room := sink.(backend.RoomySink).Room(m, 100_000)
			mu.Lock()
			memory = append(memory[max(0, len(memory)-3):], room[:len(room):cap(room)])
			mu.Unlock()
			if err := sink.Message(m); err != nil {
				return err
			}
			if err := sink.Body(room); err != nil {
				return err
			}
		}
		return nil
	}
	s := overLanes(t, p, true)
	var liar sync.WaitGroup
	liar.Go(func() { // ends with stop
		rnd := rand.New(rand.NewPCG(1, 2))
		for !stop.Load() {
			mu.Lock()
			for _, b := range memory {
				for range 100 {
					b[rnd.IntN(len(b))] = byte(rnd.Uint32())
				}
			}
			mu.Unlock()
		}
	})
	uids := make([]uint32, 40)
	for i := range uids {
		uids[i] = uint32(i + 1)
	}
	var wrong atomic.Int64
	for range 30 {
		sink := &measure{wrong: &wrong}
		if err := s.Fetch(t.Context(), &backend.FetchRequest{UIDs: uids}, sink); err != nil {
			t.Fatal(err)
		}
		if sink.announced != sink.got {
			t.Errorf("%d bytes of a body of %d", sink.got, sink.announced)
		}
	}
	stop.Store(true)
	liar.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d times something changed, or was not as long as announced", n)
	}
}

// Whatever of a response lies in the memory, and changes while it is decoded: no panic, and not more bytes than came.
func TestFrameThatChanges(t *testing.T) {
	wire, err := proto.Marshal(testFrame())
	if err != nil {
		t.Fatal(err)
	}
	region, err := unix.Mmap(-1, 0, 1<<12, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON) // which the race detector does not see
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(region)
	b := region[:len(wire)]
	var stop atomic.Bool
	var liar sync.WaitGroup
	liar.Go(func() { // ends with stop
		rnd := rand.New(rand.NewPCG(3, 4))
		for !stop.Load() {
			b[rnd.IntN(len(b))] = byte(rnd.Uint32())
			copy(b, wire)
		}
	})
	whole := 0
	for range 20_000 {
		var in inFrame
		if in.unmarshal(mem.BufferSlice{lane.Part{SliceBuffer: b}}) == nil && in.check() == nil {
			var got uint64
			r := fetchReceiver{sink: countingSink{&got}, wanted: []uint32{7, 9}, left: uint64(in.body.left)}
			if r.frame(&in) == nil {
				whole++
			}
			if got > uint64(len(b)) {
				t.Errorf("%d bytes out of %d", got, len(b))
			}
		}
		in.reset()
	}
	stop.Store(true)
	liar.Wait()
	t.Logf("%d were whole", whole)
}

// A sink that fails in the midst of an answer, as that of a client that is gone, leaves no lane behind.
func TestFetchThatIsGivenUpLeavesNoLane(t *testing.T) {
	p := &fakeStorage{info: backend.Info{Name: "fake"}}
	ended := make(chan error, 1)
	p.fetch = func(_ context.Context, _ *backend.FetchRequest, sink backend.FetchSink) error {
		for uid := uint32(1); ; uid++ {
			if err := sink.Message(&backend.FetchedMessage{UID: uid, BodySize: 100_000}); err != nil {
				ended <- err
				return err
			}
			if err := sink.Body(make([]byte, 100_000)); err != nil {
				ended <- err
				return err
			}
		}
	}
	for _, memory := range []bool{true, false} {
		s := overLanes(t, p, memory)
		for range 100 { // more than there are lanes
			gone := status.Error(1, "gone")
			if err := s.Fetch(t.Context(), &backend.FetchRequest{UIDs: []uint32{1, 2, 3}}, &collector{fail: gone}); err != gone {
				t.Fatalf("err = %v, want that of the sink", err)
			}
			<-ended
		}
	}
}

// Messages that are appended reach the plugin as they are, whether they are in the memory of a lane, in its request, or too large for both; also after
// calls that left something else there.
func TestAppendOverLanes(t *testing.T) {
	w, plugin := newFakeWriter(), &saver{}
	w.append = plugin.append
	many := make([]int, 1500)
	for i := range many {
		many[i] = i * 7 % 800
	}
	for _, memory := range []bool{true, false} {
		s := overLanes(t, w, memory)
		for _, sizes := range [][]int{{3}, {0}, {100_000}, {appendBytes}, {appendBytes + 1, 0, 5}, {4 * appendBytes}, {4*appendBytes + 5000}, {700_000}, {740_000, 20_000}, {3 << 20, 7}, many, {10}} {
			messages, want := messagesOf(sizes...)
			got, err := s.Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: messages})
			wantResult(t, &backend.AppendResult{UIDValidity: 9, UIDs: everyUID(100, len(messages))}, got, err)
			checkSaved(t, want, plugin.saved)
		}
	}
}

// A body that fails leaves nothing of it to the next call.
func TestAppendOverLanesWhoseBodyFails(t *testing.T) {
	w, plugin := newFakeWriter(), &saver{}
	w.append = plugin.append
	s := overLanes(t, w, true)
	bad := io.MultiReader(bytes.NewReader(make([]byte, 60_000)), iotest.ErrReader(io.ErrNoProgress))
	for range 3 {
		if _, err := s.Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: []backend.AppendMessage{{Size: 100_000, Body: bad}}}); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("err = %v, want that of the body", err)
		}
		messages, want := messagesOf(90_000, 80_000)
		_, err := s.Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: messages})
		if err != nil {
			t.Fatal(err)
		}
		checkSaved(t, want, plugin.saved)
	}
}
