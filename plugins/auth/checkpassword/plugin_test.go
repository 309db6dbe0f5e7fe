package checkpassword

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return New(sdk.NewLogger()) })
}

// program is a checkpassword program as operators write them.
const program = `#!/usr/bin/python3
import os, sys
data = os.fdopen(3, 'rb').read().split(b'\0')
user, password = data[0].decode('latin-1'), data[1]
lookup = os.environ.get('AUTHORIZED') == '1'
if user == 'broken':
    sys.exit(111)
if user == 'hangs':
    import time; time.sleep(600)
if user == 'silent':
    sys.exit(0)
if user == 'huge':
    os.environ['X'] = 'x' * 100000
users = {'alice': b'secret', 'bob@example.org': b'secret', 'dave': b'secret', 'huge': b'secret'}
if user not in users:
    sys.exit(3 if lookup else 1)
if not lookup and users[user] != password:
    sys.exit(1)
os.environ.update(USER=user, HOME='/home/' + user, userdb_uid='5000', foo=os.environ['TCPREMOTEIP'] + os.environ['PROTO'], EXTRA='userdb_uid foo')
if user == 'dave':
    os.environ.update(EXTRA='nologin', nologin='y')
os.execv(sys.argv[1], sys.argv[1:])
`

func options(t *testing.T) map[string]any {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	return map[string]any{"program": path}
}

func TestConformance(t *testing.T) {
	plugintest.Auth(t, plugintest.AuthFixture{
		New:    func() backend.Plugin { return New(slog.New(slog.DiscardHandler)) },
		Config: backend.Config{Options: options(t)},
		Good:   []plugintest.Login{{User: "alice", Password: "secret"}, {User: "Bob@Example.org", Password: "secret", Name: "bob@example.org"}},
		Denied: []plugintest.Login{{User: "dave", Password: "secret"}},
	})
}

func TestProgram(t *testing.T) {
	log := new(bytes.Buffer)
	p := New(slog.New(slog.NewTextHandler(log, nil)))
	o := options(t)
	o["timeout"] = "10s"
	if err := p.Configure(context.Background(), backend.Config{Options: o}); err != nil {
		t.Fatal(err)
	}
	login := func(ctx context.Context, user, password string) (*backend.Identity, error) {
		return p.VerifyPassword(ctx, backend.PasswordRequest{User: user, Password: password, Service: "imap", Remote: netip.MustParseAddr("192.0.2.7")})
	}
	id, err := login(context.Background(), "Alice", "secret")
	if err != nil || id.User.Name != "alice" || id.User.Fields["home"] != "/home/alice" || id.User.Fields["uid"] != "5000" || id.Fields["foo"] != "192.0.2.7IMAP" {
		t.Errorf("%+v, %v", id, err)
	}
	for user, want := range map[string]string{"broken": "exit status 111", "silent": "did not run the program", "huge": "more than 65536 bytes"} {
		if _, err := login(context.Background(), user, "secret"); backend.KindOf(err) != backend.KindUnavailable || !strings.Contains(err.(*backend.Error).Detail, want) {
			t.Errorf("%s: %v", user, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := login(ctx, "hangs", "secret"); backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("a login that was given up: %v", err)
	}
	p.timeout = 300 * time.Millisecond
	if _, err := login(context.Background(), "hangs", "hunter2"); backend.KindOf(err) != backend.KindUnavailable || !strings.Contains(err.(*backend.Error).Detail, "option timeout") {
		t.Errorf("a program that hangs: %v", err)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("log: %s", log)
	}
}

func TestREADMEListsEveryOption(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range optionList {
		if row := fmt.Sprintf("| `%s` | %s |", o.Name, o.Type); !strings.Contains(string(text), row) {
			t.Errorf("the table of options has no row %s", row)
		}
	}
}
