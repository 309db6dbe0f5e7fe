package passwdfile

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// clock is a time that only the test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// open makes a plugin for a file "users" with the given lines. The log goes to the returned buffer.
func open(t *testing.T, users string, opts map[string]any) (*Plugin, *clock, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	if opts == nil {
		opts = map[string]any{}
	}
	if opts["path"] == nil {
		opts["path"] = "users"
	}
	log := new(bytes.Buffer)
	p, c := New(slog.New(slog.NewTextHandler(log, nil))), &clock{time.Unix(1700000000, 0)}
	p.tables, p.apps = newFiles(p.log, c.now, readTable), newFiles(p.log, c.now, appLines)
	if err := p.Configure(context.Background(), backend.Config{Options: opts, BaseDir: dir}); err != nil {
		t.Fatal(err)
	}
	return p, c, log
}

func login(p *Plugin, user, password string) (*backend.Identity, error) {
	return p.VerifyPassword(context.Background(), backend.PasswordRequest{
		User: user, Password: password, Service: "imap", Remote: netip.MustParseAddr("127.0.0.1"), Local: netip.MustParseAddr("127.0.0.2"),
	})
}

// wantKind fails unless err is a *backend.Error of that kind.
func wantKind(t *testing.T, err error, kind backend.ErrorKind) *backend.Error {
	t.Helper()
	var e *backend.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want kind %v", err, kind)
	}
	return e
}

func TestLogin(t *testing.T) {
	p, _, _ := open(t, strings.Join([]string{
		"alice:{PLAIN}pw:65534:65533:Alice:/home/alice::userdb_quota_rule=*:storage=1G userdb_mail=mdbox:~/%n foo=%{service}-%%-%r-%l",
		"bob@example.org:{PLAIN}pw",
		"carol:{PLAIN}pw::::::nologin reason=away",
		"dave:{PLAIN}:65534:65534::/home/dave::nopassword",
		"erin:{PLAIN}pw::::::nopassword",
		"frank:{PLAIN}pw::::::user=other@example.org userdb_home=/home/%u",
		"grace:{PLAIN}pw::::::allow_nets=10.0.0.0/8,127.0.0.0/8",
		"heidi:{PLAIN}pw::::::allow_nets=10.0.0.0/8,local",
		"ines:{PLAIN}pw::::::allow_nets=10.0.0.1 allow_nets=127.0.0.1",
		"inga:{PLAIN}pw::::::allow_nets=127.0.0.1 allow_nets=10.0.0.1",
		"irma:{PLAIN}pw::::::allow_nets=10.0.0.1 allow_nets:remove",
		"ivan:{PLAIN}pw::::::fail",
		"judy:{PLAIN}pw::::::noauthenticate",
		"mallory:{PLAIN}pw:0:0",
		"nopass",
		"olivia:{PLAIN}pw::::::proxy=y host=127.0.0.3",
		"peggy:{PLAIN}pw::::::domain=example.net username=p",
		"quinn:{PLAIN}pw::::::broken=%q",
		"rupert:{PLAIN}pw::::::a=1 a:default=2 b:default=3 userdb_c=4 userdb_c:remove=",
	}, "\n"), nil)
	fields := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for _, tt := range []struct {
		user, password string
		want           backend.Identity
	}{
		{"alice", "pw", backend.Identity{
			User:   backend.User{Name: "alice", Fields: fields("uid", "65534", "gid", "65533", "home", "/home/alice", "quota_rule", "*:storage=1G", "mail", "mdbox:~/alice")},
			Fields: fields("foo", "imap-%-127.0.0.1-127.0.0.2")}},
		{"ALICE", "pw", backend.Identity{
			User:   backend.User{Name: "alice", Fields: fields("uid", "65534", "gid", "65533", "home", "/home/alice", "quota_rule", "*:storage=1G", "mail", "mdbox:~/alice")},
			Fields: fields("foo", "imap-%-127.0.0.1-127.0.0.2")}},
		{"bob@example.org", "pw", backend.Identity{User: backend.User{Name: "bob@example.org", Fields: fields()}, Fields: fields()}},
		{"dave", "anything", backend.Identity{User: backend.User{Name: "dave", Fields: fields("uid", "65534", "gid", "65534", "home", "/home/dave")}, Fields: fields("nopassword", "")}},
		{"frank", "pw", backend.Identity{User: backend.User{Name: "other@example.org", Fields: fields("home", "/home/frank")}, Fields: fields("user", "other@example.org")}},
		{"grace", "pw", backend.Identity{User: backend.User{Name: "grace", Fields: fields()}, Fields: fields("allow_nets", "10.0.0.0/8,127.0.0.0/8")}},
		{"peggy", "pw", backend.Identity{User: backend.User{Name: "p@example.net", Fields: fields()}, Fields: fields("domain", "example.net", "username", "p")}},
		{"rupert", "pw", backend.Identity{User: backend.User{Name: "rupert", Fields: fields()}, Fields: fields("a", "1", "b", "3")}},
	} {
		got, err := login(p, tt.user, tt.password)
		if err != nil || !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", tt.user, got, err, tt.want)
		}
	}
	for _, tt := range []struct {
		user, password string
		kind           backend.ErrorKind
		detail         string
	}{
		{"alice", "wrong", backend.KindAuthFailed, "wrong password"},
		{"nobody", "pw", backend.KindAuthFailed, "unknown user"},
		{"", "pw", backend.KindAuthFailed, "unknown user"},
		{"al ice", "pw", backend.KindAuthFailed, "unknown user"},
		{"carol", "pw", backend.KindAuthDenied, "nologin"},
		{"carol", "wrong", backend.KindAuthFailed, "wrong password"},
		{"erin", "anything", backend.KindAuthFailed, "wrong password"},
		{"heidi", "pw", backend.KindAuthDenied, "allow_nets does not have 127.0.0.1"},
		{"heidi", "wrong", backend.KindAuthFailed, "wrong password"},
		{"ines", "pw", backend.KindAuthDenied, "allow_nets does not have 127.0.0.1"},
		{"inga", "pw", backend.KindAuthDenied, "allow_nets does not have 127.0.0.1"},
		{"irma", "pw", backend.KindAuthDenied, "allow_nets does not have 127.0.0.1"},
		{"ivan", "pw", backend.KindAuthFailed, "fail"},
		{"judy", "pw", backend.KindAuthFailed, "noauthenticate"},
		{"mallory", "pw", backend.KindAuthFailed, "unknown user"},
		{"nopass", "", backend.KindAuthFailed, "no password"},
		{"olivia", "pw", backend.KindAuthDenied, "proxy"},
		{"quinn", "pw", backend.KindAuthFailed, `%q in "%q": unknown variable`},
	} {
		_, err := login(p, tt.user, tt.password)
		if e := wantKind(t, err, tt.kind); !strings.Contains(e.Detail, tt.detail) {
			t.Errorf("%s: detail %q, want %q", tt.user, e.Detail, tt.detail)
		} else if e.Kind == backend.KindAuthFailed && e.Message != "Authentication failed" {
			t.Errorf("%s: the message tells failures apart: %q", tt.user, e.Message)
		}
	}
	if _, err := login(p, "carol", "pw"); err.(*backend.Error).Message != "away" {
		t.Errorf("the reason is not shown: %v", err)
	}
}

func TestAuthorizationIdentity(t *testing.T) {
	p, _, _ := open(t, "alice:{PLAIN}pw\nbob:{PLAIN}pw\n", nil)
	try := func(authz, password string) error {
		_, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice", AuthzID: authz, Password: password})
		return err
	}
	for _, same := range []string{"", "alice", "Alice"} {
		if err := try(same, "pw"); err != nil {
			t.Errorf("authzid %q: %v", same, err)
		}
	}
	wantKind(t, try("bob", "pw"), backend.KindAuthDenied)
	wantKind(t, try("bob", "wrong"), backend.KindAuthFailed)
}

// TestUserOfAnotherLine: who logs in under one name as the user of another line gets that user's mail, as from Dovecot's userdb.
func TestUserOfAnotherLine(t *testing.T) {
	p, _, _ := open(t, strings.Join([]string{
		"alice:{PLAIN}other:5000:5001::/home/alice::userdb_mail=mdbox:~/%n nologin",
		"sales@example.org:{PLAIN}pw:6000:6001::/home/sales::user=alice userdb_nice=1",
		"lost:{PLAIN}pw:7000:7001::/home/lost::user=nobody",
	}, "\n"), nil)
	for user, want := range map[string]backend.User{
		"sales@example.org": {Name: "alice", Fields: map[string]string{"uid": "5000", "gid": "5001", "home": "/home/alice", "mail": "mdbox:~/alice", "nice": "1"}},
		"lost":              {Name: "nobody", Fields: map[string]string{"uid": "7000", "gid": "7001", "home": "/home/lost"}},
	} {
		id, err := login(p, user, "pw")
		if err != nil || !reflect.DeepEqual(id.User, want) {
			t.Errorf("%s: %+v, %v", user, id, err)
		}
	}
	u, err := p.LookupUser(context.Background(), "sales@example.org")
	if err != nil || u.Fields["home"] != "/home/sales" {
		t.Errorf("lookup: %+v, %v", u, err)
	}
}

func TestLookupUser(t *testing.T) {
	p, _, _ := open(t, "alice:{PLAIN}pw:5000:5000::/home/alice::userdb_mail=mdbox:~/m nologin user=other\n", map[string]any{
		"default_fields":  []string{"home=/srv/%u", "nice=1"},
		"override_fields": []string{"gid=6000", "index=%h/i"},
	})
	u, err := p.LookupUser(context.Background(), "Alice")
	want := backend.User{Name: "alice", Fields: map[string]string{
		"uid": "5000", "gid": "6000", "home": "/home/alice", "mail": "mdbox:~/m", "nice": "1", "index": "/home/alice/i"}}
	if err != nil || !reflect.DeepEqual(*u, want) {
		t.Errorf("got %+v, %v", u, err)
	}
	_, err = p.LookupUser(context.Background(), "nobody")
	wantKind(t, err, backend.KindNotFound)
}

func TestDefaultHome(t *testing.T) {
	p, _, _ := open(t, "alice@example.org:{PLAIN}pw\n", map[string]any{"default_fields": []string{"home=/srv/%d/%n", "mail=mdbox:%h/mdbox"}})
	id, err := login(p, "alice@example.org", "pw")
	if err != nil {
		t.Fatal(err)
	}
	if got := id.User.Fields; got["home"] != "/srv/example.org/alice" || got["mail"] != "mdbox:/srv/example.org/alice/mdbox" {
		t.Errorf("fields %v", got)
	}
}

func TestReload(t *testing.T) {
	p, c, _ := open(t, "alice:{PLAIN}one\n", nil)
	path := p.opts.users.path
	expect := func(password string, ok bool) {
		t.Helper()
		if _, err := login(p, "alice", password); (err == nil) != ok {
			t.Errorf("password %q: %v", password, err)
		}
	}
	expect("one", true)
	if err := os.WriteFile(path, []byte("alice:{PLAIN}changed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect("one", true) // looked at once per second at the most
	c.t = c.t.Add(checkInterval)
	expect("one", false)
	expect("changed", true)

	// Replaced by rename, with the same size and modification time.
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte("alice:{PLAIN}renamed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path+".new", info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	c.t = c.t.Add(checkInterval)
	expect("renamed", true)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.t = c.t.Add(checkInterval)
	_, err = login(p, "alice", "renamed")
	wantKind(t, err, backend.KindUnavailable)
	wantKind(t, p.Health(context.Background()), backend.KindUnavailable)
}

func TestFilePerDomain(t *testing.T) {
	p, _, _ := open(t, "bob:{PLAIN}pw\n", map[string]any{"path": "%d/users", "username_format": "%n"})
	base := filepath.Dir(filepath.Dir(p.opts.users.path))
	if err := os.Mkdir(filepath.Join(base, "example.org"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "example.org", "users"), []byte("alice:{PLAIN}pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := login(p, "alice@example.org", "pw"); err != nil {
		t.Error(err)
	}
	for _, user := range []string{"alice@example.net", "bob@.", "bob@..", "alice@../example.org", "alice"} {
		_, err := login(p, user, "pw")
		wantKind(t, err, backend.KindAuthFailed)
	}
}

func TestConfigureErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		option string
		value  any
		want   string
	}{
		{"path", "", "option path: is required"},
		{"path", "missing", "no such file"},
		{"path", "%q", "option path: %q"},
		{"scheme", "nope", "option scheme"},
		{"argon2_max_memory", "lots", "option argon2_max_memory"},
		{"bcrypt_max_cost", int64(0), "option bcrypt_max_cost"},
		{"username_format", "%{user", "option username_format"},
		{"default_fields", []string{"=x"}, "option default_fields"},
		{"default_fields", []string{"home=%x"}, "option default_fields"},
	} {
		opts := map[string]any{"path": "users"}
		opts[tt.option] = tt.value
		err := New(slog.New(slog.DiscardHandler)).Configure(context.Background(), backend.Config{Options: opts, BaseDir: dir})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s = %v: %v, want %q", tt.option, tt.value, err, tt.want)
		}
	}
}

// TestNothingSecretIsLogged tries every way to fail and searches log and errors for the passwords.
func TestNothingSecretIsLogged(t *testing.T) {
	p, _, log := open(t, strings.Join([]string{
		"a:{PLAIN}hunter2", "b:{HUNTER2}hunter2", "c:{SHA1}hunter2", "d:{PLAIN.hunter2}x", "e:hunter2", "f:{PLAIN}hunter2:0",
		"g:{PLAIN}hunter2::::::nopassword", "h:{PLAIN}hunter2::::::x=%q", "i:$6$rounds=9999999999$hunter2$hunter2", "a:{PLAIN}hunter2",
		"j:{hunter2", "k:{PLAIN}hunter2::::::allow_nets=x",
	}, "\n"), nil)
	for _, user := range strings.Split("abcdefghijkz", "") {
		for _, password := range []string{"hunter2", "Hunter2"} {
			if _, err := login(p, user, password); err != nil && strings.Contains(strings.ToLower(err.Error()), "hunter2") {
				t.Errorf("user %s: %v", user, err)
			}
		}
	}
	if logged := log.String(); logged == "" || strings.Contains(strings.ToLower(logged), "hunter2") {
		t.Errorf("log: %s", logged)
	}
}

// TestUnknownUserHasADecoy: the password of an unknown user goes through the hash of another user.
func TestUnknownUserHasADecoy(t *testing.T) {
	const hash = "{BLF-CRYPT}$2y$05$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C"
	p, _, _ := open(t, "alice:"+hash+"\n", nil)
	users := source{p, p.opts.users}
	if e, err := users.Find(context.Background(), "nobody", authdb.Vars{User: "nobody"}); err != nil || e.Found || e.Decoy != hash {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestDelayUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c, _ := open(t, "alice:{PLAIN}pw::::::delay_until=1700000060\nbob:{PLAIN}pw::::::delay_until=1700001000\ncarol:{PLAIN}pw::::::delay_until=soon\n", nil)
		start := time.Now()
		if _, err := login(p, "alice", "pw"); err != nil || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		c.t = c.t.Add(time.Hour)
		start = time.Now()
		if _, err := login(p, "alice", "pw"); err != nil || time.Since(start) != 0 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		c.t = c.t.Add(-time.Hour)
		for _, user := range []string{"bob", "carol"} {
			_, err := login(p, user, "pw")
			wantKind(t, err, backend.KindAuthFailed)
		}
	})
}
