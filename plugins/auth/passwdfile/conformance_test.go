package passwdfile

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return New(sdk.NewLogger()) })
}

// TestConformance runs the suite of auth plugins, in this process and over gRPC to one of its own.
func TestConformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	users := `alice:{BLF-CRYPT}$2y$05$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C:5000:5000::/home/alice::userdb_mail=mdbox:~/m
dave:{PLAIN}secret::::::nologin
erin:{PLAIN}secret::::::allow_nets=192.0.2.0/24
`
	if err := os.WriteFile(path, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	plugintest.Auth(t, plugintest.AuthFixture{
		New:    func() backend.Plugin { return New(slog.New(slog.DiscardHandler)) },
		Config: backend.Config{Options: map[string]any{"path": path}},
		Good:   []plugintest.Login{{User: "alice", Password: "secret"}, {User: "Alice", Password: "secret", Name: "alice"}},
		Denied: []plugintest.Login{{User: "dave", Password: "secret"}, {User: "erin", Password: "secret"}},
	})
}
