package memory

import (
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return New() })
}

// TestConformance runs the suite of state plugins, in this process and over gRPC to one of its own.
func TestConformance(t *testing.T) {
	plugintest.State(t, plugintest.StateFixture{
		New:    func() backend.Plugin { return New() },
		Config: backend.Config{Options: map[string]any{"max_bytes": "20M"}},
	})
}
