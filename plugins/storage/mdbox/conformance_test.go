package mdbox

import (
	"log/slog"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

// The test binary is also the plugin.
func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return New(slog.Default()) })
}

func TestConformance(t *testing.T) {
	for _, name := range []string{"dovecot-2.3/small", "dovecot-2.4/small"} {
		t.Run(name, func(t *testing.T) {
			store := mdboxtest.Golden(t, name)
			plugintest.Storage(t, plugintest.StorageFixture{
				New:     func() backend.Plugin { return New(slog.New(slog.NewTextHandler(testLog{t}, nil))) },
				Config:  backend.Config{Options: map[string]any{"mail_location": "mdbox:" + store.Root}, ReadOnly: true},
				User:    testUser,
				Mailbox: "INBOX",
			})
		})
	}
}
