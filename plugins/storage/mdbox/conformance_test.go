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

// TestConformanceOfWriting runs the suite on stores that it makes itself.
func TestConformanceOfWriting(t *testing.T) {
	golden := mdboxtest.Golden(t, "dovecot-2.3/small")
	plugintest.Storage(t, plugintest.StorageFixture{
		New:     func() backend.Plugin { return New(slog.New(slog.NewTextHandler(testLog{t}, nil))) },
		Config:  backend.Config{Options: map[string]any{"mail_location": "mdbox:" + golden.Root}, ReadOnly: true},
		User:    testUser,
		Mailbox: "INBOX",
		Writable: func(t *testing.T) backend.Config {
			return backend.Config{
				Options: map[string]any{"mail_location": "mdbox:" + t.TempDir() + "/mdbox", "mdbox_rotate_size": "1M"},
				Namespaces: []backend.Namespace{
					{Separator: '/', Inbox: true, List: true, Subscriptions: true},
					{Name: "second", Prefix: "second/", Separator: '/', List: true, Subscriptions: true, Location: "mdbox:" + t.TempDir() + "/mdbox"},
				},
			}
		},
		Second: "second",
	})
}
