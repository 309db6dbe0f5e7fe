package static

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk"
)

func open(t *testing.T, options map[string]any) *Plugin {
	t.Helper()
	p := New(sdk.NewLogger())
	if err := p.Configure(context.Background(), backend.Config{Options: options}); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryUser(t *testing.T) {
	p := open(t, map[string]any{"password": "{BLF-CRYPT}$2y$05$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C", "fields": []string{"userdb_home=/srv/%d/%n", "foo=bar"}})
	for _, user := range []string{"alice@example.org", "Bob@example.org"} {
		id, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: user, Password: "secret"})
		name := strings.ToLower(user)
		home := "/srv/example.org/" + strings.TrimSuffix(name, "@example.org")
		if err != nil || id.User.Name != name || id.User.Fields["home"] != home || id.Fields["foo"] != "bar" {
			t.Errorf("%s: %+v, %v", user, id, err)
		}
		if id, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: user, Password: "Secret"}); backend.KindOf(err) != backend.KindAuthFailed {
			t.Errorf("%s with a wrong password: %+v, %v", user, id, err)
		}
		if u, err := p.LookupUser(context.Background(), user); err != nil || u.Fields["home"] != home {
			t.Errorf("lookup of %s: %+v, %v", user, u, err)
		}
	}
	if id, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "../alice", Password: "secret"}); backend.KindOf(err) != backend.KindAuthFailed {
		t.Errorf("a name with a slash: %+v, %v", id, err)
	}
}

// TestPlainByDefault: a password without scheme is what users type, as in Dovecot's passdb static.
func TestPlainByDefault(t *testing.T) {
	p := open(t, map[string]any{"password": "secret"})
	for password, want := range map[string]backend.ErrorKind{"secret": 0, "Secret": backend.KindAuthFailed} {
		if _, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice", Password: password}); err != nil && backend.KindOf(err) != want || err == nil && want != 0 {
			t.Errorf("%s: %v", password, err)
		}
	}
}

// TestNameInPaths: every name is a user, but for those that would lead out of the directory of the homes.
func TestNameInPaths(t *testing.T) {
	p := New(slog.New(slog.DiscardHandler))
	if err := p.Configure(context.Background(), backend.Config{Options: map[string]any{"password": "{PLAIN}secret", "fields": []string{"userdb_home=/srv/mail/%d/%n"}}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"..@example.org", "jane@..", "jane@."} {
		id, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: name, Password: "secret"})
		if backend.KindOf(err) != backend.KindAuthFailed {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if u, err := p.LookupUser(context.Background(), name); backend.KindOf(err) != backend.KindNotFound {
			t.Errorf("lookup of %s: %+v, %v", name, u, err)
		}
	}
}

func TestConfigureErrors(t *testing.T) {
	for _, options := range []map[string]any{{}, {"password": ""}, {"password": "x", "fields": []string{"=x"}}, {"password": "x", "fields": []string{"home=%q"}}} {
		if err := New(slog.New(slog.DiscardHandler)).Configure(context.Background(), backend.Config{Options: options}); backend.KindOf(err) != backend.KindInvalidArgument {
			t.Errorf("%v: %v", options, err)
		}
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
