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
	plugintest.State(t, plugintest.StateFixture{New: func() backend.Plugin { return &plugin{} }})
}

// TestFull: what exceeds max_bytes is refused, and what has expired makes room.
func TestFull(t *testing.T) {
	s := plugintest.Connect(t, &plugin{}, backend.Config{Options: map[string]any{"max_bytes": "2k"}}).(backend.State)
	put := func(key string) error {
		_, err := s.Put(t.Context(), backend.StatePut{Namespace: "n", Key: key, Data: make([]byte, 1000)})
		return err
	}
	if err := put("a"); err != nil {
		t.Fatal(err)
	}
	if err := put("b"); err == nil || backend.KindOf(err) != backend.KindLimit {
		t.Errorf("a second value: %v", err)
	}
	if err := put("a"); err != nil {
		t.Errorf("the first value again: %v", err)
	}
	if _, err := s.Delete(t.Context(), backend.StateDelete{Namespace: "n", Key: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := put("b"); err != nil {
		t.Errorf("after a deletion: %v", err)
	}
}
