package pluginrpc

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	hibernationv1 "github.com/roostmail/roost/proto/roost/hibernation/v1"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// fakePolicy answers with what its field says.
type fakePolicy struct {
	fakeBase
	decide func(*backend.HibernationBatch) (*backend.HibernationAnswer, error)
}

func (p *fakePolicy) Decide(_ context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	return p.decide(b)
}

var policyInfo = backend.Info{Kind: backend.KindHibernation, Name: "fake"}

// threeMailboxes is a batch in which no two numbers are the same.
func threeMailboxes() *backend.HibernationBatch {
	return &backend.HibernationBatch{
		Now: 1234567 * time.Millisecond,
		Load: backend.HibernationLoad{MemoryUsed: 1, MemoryMark: 2, Queued: 3, QueueMark: 4, Running: 5, Workers: 6, Sessions: 7,
			Warm: 8, WarmBytes: 9, WakesPerSecond: 10.5, LoginsPerSecond: 11.25},
		IDs:      []uint32{7, 1<<32 - 1, 3},
		Keys:     []uint64{1<<64 - 1, 2, 0},
		UserKeys: []uint64{4, 5, 6},
		Idle:     []uint32{30, 20, 10},
		Gaps:     []uint32{0, 99, 1<<32 - 1},
		Wakes:    []uint32{1, 0, 8},
		Sessions: []uint32{0, 1, 12},
		Bytes:    []uint64{13, 1 << 40, 14},
		States:   []backend.HibernationState{backend.StateLeft, backend.StateWarm, backend.StateWarm},
	}
}

func TestHibernation(t *testing.T) {
	batch := threeMailboxes()
	answer := &backend.HibernationAnswer{
		IDs:     []uint32{7, 3},
		Actions: []backend.HibernationAction{backend.ActionDrop, backend.ActionKeep},
		Again:   []uint32{0, 5000},
		Warm:    1500 * time.Millisecond, SoftBytes: 1 << 33,
	}
	var err error
	h := connect(t, &fakePolicy{fakeBase: fakeBase{policyInfo}, decide: func(got *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
		if d := cmp.Diff(batch, got); d != "" {
			t.Errorf("batch differs: %s", d)
		}
		return answer, err
	}}, ClientOptions{}).(*Hibernation)
	got, callErr := h.Decide(t.Context(), batch)
	if d := cmp.Diff(answer, got); d != "" || callErr != nil {
		t.Errorf("answer differs: %v, %s", callErr, d)
	}
	err = backend.Errorf(backend.KindUnavailable, "not now")
	if _, callErr = h.Decide(t.Context(), batch); callErr == nil || backend.KindOf(callErr) != backend.KindUnavailable {
		t.Errorf("got %v", callErr)
	}
	answer, err = nil, nil
	if _, callErr = h.Decide(t.Context(), batch); callErr == nil || backend.KindOf(callErr) != backend.KindInternal {
		t.Errorf("neither answer nor error: got %v", callErr)
	}
}

func TestHibernationBatchesAreChecked(t *testing.T) {
	h := connect(t, &fakePolicy{fakeBase: fakeBase{policyInfo}, decide: func(*backend.HibernationBatch) (*backend.HibernationAnswer, error) {
		t.Error("a batch that is none was sent")
		return &backend.HibernationAnswer{}, nil
	}}, ClientOptions{}).(*Hibernation)
	unequal := threeMailboxes()
	unequal.Gaps = unequal.Gaps[1:]
	large := &backend.HibernationBatch{
		IDs: make([]uint32, MaxCandidates+1), Keys: make([]uint64, MaxCandidates+1), UserKeys: make([]uint64, MaxCandidates+1),
		Idle: make([]uint32, MaxCandidates+1), Gaps: make([]uint32, MaxCandidates+1), Wakes: make([]uint32, MaxCandidates+1),
		Sessions: make([]uint32, MaxCandidates+1), Bytes: make([]uint64, MaxCandidates+1), States: make([]backend.HibernationState, MaxCandidates+1),
	}
	for name, b := range map[string]*backend.HibernationBatch{"empty": {}, "unequal": unequal, "too large": large} {
		if _, err := h.Decide(t.Context(), b); err == nil || backend.KindOf(err) != backend.KindInvalidArgument {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := batchFromProto(&hibernationv1.DecideRequest{Ids: []byte{1, 2, 3}}); err == nil {
		t.Error("the plugin's side takes a third of an id")
	}
}

// TestLargestBatch holds MaxCandidates against what gRPC carries.
func TestLargestBatch(t *testing.T) {
	const n = MaxCandidates
	b := &backend.HibernationBatch{IDs: make([]uint32, n), Keys: make([]uint64, n), UserKeys: make([]uint64, n), Idle: make([]uint32, n), Gaps: make([]uint32, n),
		Wakes: make([]uint32, n), Sessions: make([]uint32, n), Bytes: make([]uint64, n), States: make([]backend.HibernationState, n)}
	for i := range b.IDs {
		b.IDs[i] = uint32(i)
	}
	if size := proto.Size(batchToProto(b)); size > MaxMessage {
		t.Fatalf("%d bytes", size)
	}
	h := connect(t, &fakePolicy{fakeBase: fakeBase{policyInfo}, decide: func(got *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
		a := &backend.HibernationAnswer{IDs: got.IDs, Actions: make([]backend.HibernationAction, n), Again: make([]uint32, n)}
		for i := range a.Actions {
			a.Actions[i] = backend.ActionPark
		}
		return a, nil
	}}, ClientOptions{}).(*Hibernation)
	a, err := h.Decide(t.Context(), b)
	if err != nil || len(a.IDs) != n {
		t.Fatalf("%v", err)
	}
}

// lyingPolicy does not use this package's server side.
type lyingPolicy struct {
	pluginv1.UnimplementedPluginServer
	hibernationv1.UnimplementedHibernationServer
	answer *hibernationv1.DecideResponse
}

func (*lyingPolicy) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	return &pluginv1.InfoResponse{Kind: "hibernation", Name: "liar"}, nil
}

func (l *lyingPolicy) Decide(context.Context, *hibernationv1.DecideRequest) (*hibernationv1.DecideResponse, error) {
	return l.answer, nil
}

func TestLiesOfPolicies(t *testing.T) {
	const keep, park, drop = byte(backend.ActionKeep), byte(backend.ActionPark), byte(backend.ActionDrop)
	ids := func(ids ...uint32) []byte { return appendUint32s(nil, ids) }
	for _, c := range []struct {
		rule   string
		answer *hibernationv1.DecideResponse
	}{
		{"column ids has 5 bytes", &hibernationv1.DecideResponse{Ids: []byte{7, 0, 0, 0, 3}}},
		{"column again has 3 bytes", &hibernationv1.DecideResponse{Again: []byte{1, 2, 3}}},
		{"column actions has 0 elements for 1 ids", &hibernationv1.DecideResponse{Ids: ids(7), Again: ids(0)}},
		{"column actions has 2 elements for 1 ids", &hibernationv1.DecideResponse{Ids: ids(7), Actions: []byte{park, park}, Again: ids(0)}},
		{"column again has 0 elements for 1 ids", &hibernationv1.DecideResponse{Ids: ids(7), Actions: []byte{park}}},
		{"id 8 was not asked for", &hibernationv1.DecideResponse{Ids: ids(8), Actions: []byte{park}, Again: ids(0)}},
		{"id 7 was not asked for, or is not in the order", &hibernationv1.DecideResponse{Ids: ids(7, 7), Actions: []byte{park, park}, Again: ids(0, 0)}},
		{"id 7 was not asked for, or is not in the order", &hibernationv1.DecideResponse{Ids: ids(3, 7), Actions: []byte{park, park}, Again: ids(0, 0)}},
		{"id 7 has the unknown action 0", &hibernationv1.DecideResponse{Ids: ids(7), Actions: []byte{0}, Again: ids(0)}},
		{"id 3 has the unknown action 4", &hibernationv1.DecideResponse{Ids: ids(7, 3), Actions: []byte{keep, 4}, Again: ids(0, 0)}},
		{"id 3 is to be dropped, but 12 sessions", &hibernationv1.DecideResponse{Ids: ids(3), Actions: []byte{drop}, Again: ids(0)}},
		{"warm 24h0m0.001s is not between", &hibernationv1.DecideResponse{Warm: 86_400_001}},
	} {
		l := &lyingPolicy{answer: c.answer}
		conn := serve(t, nil, func(r grpc.ServiceRegistrar) {
			pluginv1.RegisterPluginServer(r, l)
			hibernationv1.RegisterHibernationServer(r, l)
		})
		p, err := New(t.Context(), conn, ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.(*Hibernation).Decide(t.Context(), threeMailboxes())
		checkLie(t, err, c.rule)
	}
}

// FuzzHibernationAnswer: whatever comes, either it is refused or it keeps every rule; and what is kept is the same after a round.
func FuzzHibernationAnswer(f *testing.F) {
	f.Add(appendUint32s(nil, []uint32{7, 3}), []byte{3, 1}, appendUint32s(nil, []uint32{0, 5000}), uint32(1500), uint64(1))
	f.Add([]byte{7, 0, 0, 0}, []byte{9}, []byte{}, uint32(1<<31), uint64(0))
	f.Fuzz(func(t *testing.T, ids, actions, again []byte, warm uint32, soft uint64) {
		b := threeMailboxes()
		a, err := answerFromProto(&hibernationv1.DecideResponse{Ids: ids, Actions: actions, Again: again, Warm: warm, SoftBytes: soft}, b)
		if err != nil {
			return
		}
		if len(a.IDs) > b.Len() || len(a.Actions) != len(a.IDs) || len(a.Again) != len(a.IDs) || a.Warm > backend.MaxWarm {
			t.Fatalf("accepted: %+v", a)
		}
		second, err := answerFromProto(answerToProto(a), b)
		if d := cmp.Diff(a, second); err != nil || d != "" {
			t.Fatalf("%v, %s", err, d)
		}
	})
}

// FuzzHibernationBatch: the plugin's side takes nothing whose columns are of unequal length.
func FuzzHibernationBatch(f *testing.F) {
	seed, err := proto.Marshal(batchToProto(threeMailboxes()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := &hibernationv1.DecideRequest{}
		if proto.Unmarshal(raw, p) != nil {
			return
		}
		b, err := batchFromProto(p)
		if err != nil {
			return
		}
		if b.Now < 0 || b.Check() != nil {
			t.Fatalf("accepted: %+v", b)
		}
	})
}
