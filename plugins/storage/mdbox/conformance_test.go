package mdbox

import (
	"fmt"
	"log/slog"
	"strings"
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

// TestConformanceWithLargeMessages has messages that are larger than an answer,
// so that the kill of the process hits the middle of one.
func TestConformanceWithLargeMessages(t *testing.T) {
	var msgs [][]byte
	for i := range 20 {
		msg := fmt.Appendf(nil, "From: a@example.org\r\nTo: b@example.org,\r\n\tc@example.org\r\nSubject: %d\r\n\r\n", i)
		if i%4 == 3 {
			msg = append(msg, strings.Repeat("0123456789abcdef\r\n", 20_000)...)
		}
		msgs = append(msgs, msg)
	}
	w, _ := newStore(t, msgs...)
	plugintest.Storage(t, plugintest.StorageFixture{
		New:     func() backend.Plugin { return New(slog.New(slog.NewTextHandler(testLog{t}, nil))) },
		Config:  backend.Config{Options: map[string]any{"mail_location": "mdbox:" + w.Root}, ReadOnly: true},
		User:    testUser,
		Mailbox: "INBOX",
	})
}
