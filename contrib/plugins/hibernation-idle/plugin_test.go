package main

import (
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return &plugin{} })
}

func TestConformance(t *testing.T) {
	plugintest.Hibernation(t, plugintest.HibernationFixture{New: func() backend.Plugin { return &plugin{} }})
}

// TestNoMark: without a mark there is no pressure.
func TestNoMark(t *testing.T) {
	p := &plugin{}
	if err := p.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	one := []uint32{1}
	b := &backend.HibernationBatch{IDs: one, Keys: []uint64{1}, UserKeys: []uint64{1}, Idle: one, Gaps: one, Wakes: one, Sessions: one, Bytes: []uint64{1},
		States: []backend.HibernationState{backend.StateWarm}, Load: backend.HibernationLoad{MemoryUsed: 100}}
	for mark, kept := range map[uint64]int{0: 1, 99: 0, 100: 1} {
		b.Load.MemoryMark = mark
		if a, err := p.Decide(t.Context(), b); err != nil || len(a.IDs) != kept {
			t.Errorf("mark %d: %+v, %v, want %d kept", mark, a, err, kept)
		}
	}
}
