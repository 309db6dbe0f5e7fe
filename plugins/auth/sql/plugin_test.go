package sql

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return New(sdk.NewLogger()) })
}

const passwordQuery = `SELECT password, home AS userdb_home, nologin, nets AS allow_nets FROM users WHERE name = '%u'`

// TestDatabases runs the conformance suite, and logins that need the queries to be right, against each kind of database.
func TestDatabases(t *testing.T) {
	for _, kind := range slices.Sorted(maps.Keys(databases)) {
		t.Run(kind, func(t *testing.T) {
			connect := databases[kind](t)
			options := map[string]any{"driver": kind, "connect": connect, "password_query": passwordQuery}
			plugintest.Auth(t, plugintest.AuthFixture{
				New:    func() backend.Plugin { return New(slog.New(slog.DiscardHandler)) },
				Config: backend.Config{Options: options},
				Good:   []plugintest.Login{{User: "alice", Password: "secret"}, {User: "Bob@Example.org", Password: "secret", Name: "bob@example.org"}},
				Denied: []plugintest.Login{{User: "dave", Password: "secret"}, {User: "erin", Password: "secret"}},
			})
			t.Run("UserQuery", func(t *testing.T) { testUserQuery(t, options) })
			t.Run("MasterQuery", func(t *testing.T) { testMasterQuery(t, options) })
			t.Run("AppPasswordQuery", func(t *testing.T) { testAppPasswordQuery(t, options) })
			t.Run("Injection", func(t *testing.T) { testInjection(t, options) })
			t.Run("MoreThanOneRow", func(t *testing.T) { testMoreThanOneRow(t, options) })
		})
	}
}

// open makes a plugin; more are options that replace those of base.
func open(t *testing.T, base, more map[string]any) (*Plugin, *bytes.Buffer) {
	t.Helper()
	options := maps.Clone(base)
	maps.Copy(options, more)
	log := new(bytes.Buffer)
	p := New(slog.New(slog.NewTextHandler(log, nil)))
	if err := p.Configure(context.Background(), backend.Config{Options: options}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, log
}

func login(p *Plugin, user, password string) (*backend.Identity, error) {
	return p.VerifyPassword(context.Background(), backend.PasswordRequest{User: user, Password: password, Service: "imap"})
}

// testAppPasswordQuery: a user has one in each row, with or without an end.
func testAppPasswordQuery(t *testing.T, options map[string]any) {
	p, log := open(t, options, map[string]any{"app_password_query": "SELECT '{PLAIN}app-1' AS password, 'one' AS label, 'imap' AS scopes, NULL AS expires FROM users WHERE name = '%u'" +
		" UNION SELECT '{PLAIN}app-2', 'two', 'imap:read', '2100-01-01' FROM users WHERE name = '%u' UNION SELECT '{PLAIN}app-3', 'three', 'imap', 'soon' FROM users WHERE name = '%u'"})
	for password, label := range map[string]string{"app-1": "one", "app-2": "two", "secret": "", "app-3": "refused", "app": "refused"} {
		id, err := login(p, "alice", password)
		if label == "refused" && err == nil || label != "refused" && (err != nil || id.Label != label || id.ReadOnly != (label == "two") || id.Expires.IsZero() == (label == "two")) {
			t.Errorf("%s: %+v, %v", password, id, err)
		}
	}
	if id, err := login(p, "nobody", "app-1"); err == nil {
		t.Errorf("%+v", id)
	}
	if s := log.String(); !strings.Contains(s, "label=three") || strings.Contains(s, "app-") {
		t.Errorf("log: %s", s)
	}
}

// testMasterQuery: bob is a master user, nobody else is.
func testMasterQuery(t *testing.T, options map[string]any) {
	p, _ := open(t, options, map[string]any{"master_query": "SELECT password FROM users WHERE name = '%u' AND name LIKE 'bob%%'", "auth_master_user_separator": "*", "auth_username_chars": ""})
	id, err := login(p, "alice*bob@example.org", "secret")
	if err != nil || id.User.Name != "alice" || id.User.Fields[backend.FieldMaster] != "bob@example.org" || id.User.Fields["home"] == "" {
		t.Errorf("%+v, %v", id, err)
	}
	for _, user := range []string{"bob@example.org*alice", "nobody*bob@example.org", "alice*"} {
		if id, err := login(p, user, "secret"); err == nil {
			t.Errorf("%s: %+v", user, id)
		}
	}
}

func testUserQuery(t *testing.T, options map[string]any) {
	p, _ := open(t, options, map[string]any{
		"password_query": `SELECT password FROM users WHERE name = '%n@example.org'`,
		"user_query":     `SELECT home, '/mail/%d/%n' AS mail, 5000 AS uid FROM users WHERE name = '%u'`,
	})
	id, err := login(p, "bob@example.org", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"home": "/home/bob", "mail": "/mail/example.org/bob", "uid": "5000"}; !maps.Equal(id.User.Fields, want) {
		t.Errorf("got %v, want %v", id.User.Fields, want)
	}
	u, err := p.LookupUser(context.Background(), "bob@example.org")
	if err != nil || u.Fields["home"] != "/home/bob" {
		t.Errorf("lookup: %+v, %v", u, err)
	}
	// another name for a user, who is asked for by the own one
	p, _ = open(t, options, map[string]any{
		"password_query": `SELECT password, name AS user FROM users WHERE name = '%u@example.org'`,
		"user_query":     `SELECT home, '%u' AS was FROM users WHERE name = '%u'`,
	})
	if id, err := login(p, "bob", "secret"); err != nil || id.User.Name != "bob@example.org" || id.User.Fields["home"] != "/home/bob" || id.User.Fields["was"] != "bob@example.org" {
		t.Errorf("%+v, %v", id, err)
	}
	// a user whom only the password query knows
	p, log := open(t, options, map[string]any{"user_query": `SELECT home FROM users WHERE name = '%u' AND home IS NOT NULL`})
	if _, err := login(p, "nohome", "secret"); backend.KindOf(err) != backend.KindAuthFailed || !strings.Contains(log.String(), "user_query finds no row") {
		t.Errorf("%v, log %s", err, log)
	}
	if _, err := login(p, "nopass", ""); backend.KindOf(err) != backend.KindAuthFailed {
		t.Errorf("a user without a password: %v", err)
	}
}

func testInjection(t *testing.T, options map[string]any) {
	p, _ := open(t, options, map[string]any{"auth_username_chars": ""})
	for _, name := range []string{"' OR '1'='1", `\' OR 1=1 -- `, "alice' -- ", "alice';DROP TABLE users;--", "alice\x00", "%u", "alice\\", `"`} {
		if id, err := login(p, name, "secret"); err == nil {
			t.Errorf("%q logs in as %+v", name, id)
		}
	}
	for _, name := range []string{"alice\x00", "\xff\xfe", "alice\xc3"} { // not what a database could be asked for
		if id, err := login(p, name, "secret"); backend.KindOf(err) != backend.KindAuthFailed {
			t.Errorf("%q: %+v, %v", name, id, err)
		}
	}
	if _, err := login(p, "alice", "secret"); err != nil {
		t.Errorf("the table is gone: %v", err)
	}
}

func testMoreThanOneRow(t *testing.T, options map[string]any) {
	p, log := open(t, options, map[string]any{"password_query": `SELECT password FROM users WHERE name <> '%u'`})
	if _, err := login(p, "nobody", "secret"); backend.KindOf(err) != backend.KindUnavailable || !strings.Contains(log.String(), "more than one row") {
		t.Errorf("%v, log %s", err, log)
	}
}

// TestDown: nobody is refused because the database does not answer, and no password is shown.
func TestDown(t *testing.T) {
	for kind, connect := range map[string]string{
		"pgsql":  "host=127.0.0.1 port=" + freePort(t) + " dbname=x user=x password=hunter2 sslmode=disable",
		"mysql":  "host=127.0.0.1 port=" + freePort(t) + " dbname=x user=x password=hunter2",
		"sqlite": "/nonexistent/file",
	} {
		p, log := open(t, map[string]any{"driver": kind, "connect": connect, "password_query": passwordQuery}, nil)
		_, err := login(p, "alice", "hunter2")
		if backend.KindOf(err) != backend.KindUnavailable || strings.Contains(err.Error()+log.String(), "hunter2") {
			t.Errorf("%s: %v, log %s", kind, err, log)
		}
		if err := p.Health(context.Background()); backend.KindOf(err) != backend.KindUnavailable {
			t.Errorf("%s: health %v", kind, err)
		}
	}
}

func TestConfigureErrors(t *testing.T) {
	good := map[string]any{"driver": "sqlite", "connect": "x", "password_query": passwordQuery}
	for _, c := range []struct{ option, value, want string }{
		{"driver", "oracle", "option driver"},
		{"connect", "", "option connect"},
		{"password_query", "SELECT '%u", "option password_query"},
		{"password_query", "SELECT %q", "option password_query"},
		{"password_query", "", "option password_query"},
		{"user_query", "SELECT '%q'", "option user_query"},
		{"query_timeout", "soon", "option query_timeout"},
		{"max_connections", "0", "option max_connections"},
		{"scheme", "NOPE", "option scheme"},
	} {
		options := maps.Clone(good)
		options[c.option] = c.value
		err := New(slog.New(slog.DiscardHandler)).Configure(context.Background(), backend.Config{Options: options})
		if backend.KindOf(err) != backend.KindInvalidArgument || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %q: %v", c.option, c.value, err)
		}
	}
	for _, connect := range []string{"host", "host=x password=hunter2 nope=1", "nonsense hunter2"} {
		options := maps.Clone(good)
		options["driver"], options["connect"] = "mysql", connect
		err := New(slog.New(slog.DiscardHandler)).Configure(context.Background(), backend.Config{Options: options})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", connect, err)
		}
	}
}
