package host

import (
	"context"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// dieID is the id of a mailbox that testPlugin does not survive.
const dieID = 666

// Decide parks every mailbox.
func (p *testPlugin) Decide(ctx context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	if b.IDs[0] == dieID {
		return nil, p.act(ctx, "die")
	}
	a := &backend.HibernationAnswer{IDs: b.IDs, Again: make([]uint32, b.Len())}
	for range b.IDs {
		a.Actions = append(a.Actions, backend.ActionPark)
	}
	return a, nil
}

func startPolicy(t testing.TB) *Plugin {
	h, _ := newHost(t)
	c := testConfig(t)
	c.Kind, c.Env = backend.KindHibernation, []string{"TEST_PLUGIN_KIND=hibernation"}
	return mustStart(t, h, c)
}

// question makes a batch of n mailboxes.
func question(n int, first uint32) *backend.HibernationBatch {
	b := &backend.HibernationBatch{Keys: make([]uint64, n), UserKeys: make([]uint64, n), Idle: make([]uint32, n), Gaps: make([]uint32, n), Wakes: make([]uint32, n),
		Sessions: make([]uint32, n), Bytes: make([]uint64, n), States: make([]backend.HibernationState, n)}
	for i := range n {
		b.IDs = append(b.IDs, first+uint32(i))
		b.States[i] = backend.StateWarm
	}
	return b
}

// TestHibernationIsNotRepeated: a question that met the death of the plugin is answered by an error at once, and the next
// one by the new process.
func TestHibernationIsNotRepeated(t *testing.T) {
	p := startPolicy(t)
	if p.Storage() != nil || p.Auth() != nil {
		t.Error("a policy is storage, or auth")
	}
	if a, err := p.Hibernation().Decide(t.Context(), question(3, 1)); err != nil || len(a.IDs) != 3 {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := p.Hibernation().Decide(t.Context(), question(3, dieID)); err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("got %v, want KindUnavailable", err)
	}
	if n := p.Stats().Repeated; n != 0 {
		t.Errorf("%d calls were repeated", n)
	}
	if a, err := p.Hibernation().Decide(t.Context(), question(3, 1)); err != nil || len(a.IDs) != 3 {
		t.Errorf("after the restart: %+v, %v", a, err)
	}
	if n := p.Stats().Restarts; n != 1 {
		t.Errorf("%d restarts", n)
	}
	if s := mustStart(t, p.host, testConfig(t)); s.Hibernation() != nil {
		t.Error("storage is a policy")
	}
}

func BenchmarkDecide4096(b *testing.B) {
	p := startPolicy(b).Hibernation()
	q := question(4096, 1)
	for b.Loop() {
		if _, err := p.Decide(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}
