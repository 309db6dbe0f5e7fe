package ldap

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk"
	"github.com/roostmail/roost/plugins/sdk/authdb"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return New(sdk.NewLogger()) })
}

// options returns those of a test, with changes.
func searching(s slapd, more map[string]any) map[string]any {
	o := map[string]any{
		"uris": []string{s.plain}, "dn": "cn=admin,dc=example,dc=org", "dnpass": "admin-secret", "base": "ou=people,dc=example,dc=org", "scheme": "PLAIN",
		"pass_attrs": "uid=user,userPassword=password,homeDirectory=userdb_home,title=nologin,street=allow_nets",
	}
	maps.Copy(o, more)
	return o
}

func binding(s slapd, more map[string]any) map[string]any {
	o := searching(s, map[string]any{
		"auth_bind": true, "dn": "cn=reader,dc=example,dc=org", "dnpass": "reader-secret",
		"pass_attrs": "uid=user,homeDirectory=userdb_home,title=nologin,street=allow_nets",
	})
	maps.Copy(o, more)
	return o
}

// TestConformance runs the suite against a directory that is searched, and one that checks passwords itself, over TLS.
func TestConformance(t *testing.T) {
	s := startSlapd(t)
	for name, options := range map[string]map[string]any{
		"search":                       searching(s, nil),
		"bind":                         binding(s, nil),
		"ldaps":                        binding(s, map[string]any{"uris": []string{s.tls}, "tls_ca_file": s.ca}),
		"starttls and a second server": binding(s, map[string]any{"uris": []string{"ldap://127.0.0.1:" + freePort(t), s.plain}, "starttls": true, "tls_ca_file": s.ca}),
	} {
		t.Run(name, func(t *testing.T) {
			plugintest.Auth(t, plugintest.AuthFixture{
				New:    func() backend.Plugin { return New(slog.New(slog.DiscardHandler)) },
				Config: backend.Config{Options: options},
				Good:   []plugintest.Login{{User: "alice", Password: "secret"}, {User: "Bob@Example.org", Password: "secret", Name: "bob@example.org"}},
				Denied: []plugintest.Login{{User: "dave", Password: "secret"}, {User: "erin", Password: "secret"}},
			})
		})
	}
}

// open makes a plugin.
func open(t *testing.T, options map[string]any) (*Plugin, *bytes.Buffer) {
	t.Helper()
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

func TestDirectory(t *testing.T) {
	s := startSlapd(t)
	t.Run("UserFilter", func(t *testing.T) {
		for _, options := range []map[string]any{
			searching(s, map[string]any{"user_filter": "(uid=%u)", "user_attrs": "homeDirectory=home,uidNumber=uid,=mail=/mail/%{ldap:gidNumber}/%n"}),
			binding(s, map[string]any{"user_filter": "(uid=%u)", "user_attrs": "homeDirectory=home,uidNumber=uid,=mail=/mail/%{ldap:gidNumber}/%n", "auth_bind_userdn": "uid=%u,ou=people,dc=example,dc=org"}),
		} {
			p, _ := open(t, options)
			id, err := login(p, "alice", "secret")
			if want := map[string]string{"home": "/home/alice", "uid": "5000", "mail": "/mail/5001/alice"}; err != nil || !maps.Equal(id.User.Fields, want) {
				t.Errorf("%+v, %v, want %v", id, err, want)
			}
			if _, err := p.LookupUser(context.Background(), "nobody"); backend.KindOf(err) != backend.KindNotFound {
				t.Errorf("lookup of nobody: %v", err)
			}
		}
	})
	t.Run("AnotherName", func(t *testing.T) { // found by one name, the user is asked for by the own one
		for _, options := range []map[string]any{searching(s, nil), binding(s, nil)} {
			maps.Copy(options, map[string]any{"pass_filter": "(|(uid=%u)(uid=%u@example.org))", "user_filter": "(uid=%u)", "user_attrs": "homeDirectory=home,=was=%u"})
			p, _ := open(t, options)
			id, err := login(p, "bob", "secret")
			if err != nil || id.User.Name != "bob@example.org" || id.User.Fields["home"] != "/home/bob@example.org" || id.User.Fields["was"] != "bob@example.org" {
				t.Errorf("%+v, %v", id, err)
			}
		}
	})
	t.Run("Injection", func(t *testing.T) {
		for _, options := range []map[string]any{
			searching(s, map[string]any{"auth_username_chars": ""}), binding(s, map[string]any{"auth_username_chars": ""}),
			binding(s, map[string]any{"auth_username_chars": "", "auth_bind_userdn": "uid=%u,ou=people,dc=example,dc=org"}),
		} {
			p, _ := open(t, options)
			for _, name := range []string{"*", "alic*", "alice)(uid=*", "x)(|(uid=*))", "alice,ou=people", "alice\x00", "a\\6cice"} {
				if id, err := login(p, name, "secret"); err == nil || backend.KindOf(err) != backend.KindAuthFailed {
					t.Errorf("%q: %+v, %v", name, id, err)
				}
			}
		}
	})
	t.Run("Masters", func(t *testing.T) {
		for name, options := range map[string]map[string]any{"search": searching(s, nil), "bind": binding(s, nil)} {
			maps.Copy(options, map[string]any{"master_filter": "(uid=%u)", "master_base": "ou=masters,dc=example,dc=org", "auth_master_user_separator": "*", "auth_username_chars": ""})
			t.Run(name, func(t *testing.T) { testMasters(t, options) })
		}
	})
	t.Run("AppPasswords", func(t *testing.T) {
		for name, options := range map[string]map[string]any{"search": searching(s, nil), "bind": binding(s, map[string]any{"dn": "cn=admin,dc=example,dc=org", "dnpass": "admin-secret"})} {
			maps.Copy(options, map[string]any{"app_password_filter": "(sn=x)", "app_password_base": "uid=%u,ou=people,dc=example,dc=org",
				"app_password_attrs": "userPassword=password,cn=label,description=scopes,employeeType=expires"})
			t.Run(name, func(t *testing.T) { testAppPasswords(t, options) })
		}
	})
	t.Run("EmptyPassword", func(t *testing.T) {
		p, _ := open(t, binding(s, nil))
		if id, err := login(p, "alice", ""); backend.KindOf(err) != backend.KindAuthFailed {
			t.Errorf("%+v, %v", id, err)
		}
	})
	t.Run("TwoEntries", func(t *testing.T) {
		p, log := open(t, searching(s, nil))
		if id, err := login(p, "twin", "secret"); backend.KindOf(err) != backend.KindUnavailable || !strings.Contains(log.String(), "more than one entry") {
			t.Errorf("%+v, %v, log %s", id, err, log)
		}
	})
	t.Run("Untrusted", func(t *testing.T) {
		p, _ := open(t, binding(s, map[string]any{"uris": []string{s.tls}}))
		if id, err := login(p, "alice", "secret"); backend.KindOf(err) != backend.KindUnavailable || !strings.Contains(err.(*backend.Error).Detail, "certificate") {
			t.Errorf("%+v, %v", id, err)
		}
	})
	t.Run("LostConnections", func(t *testing.T) {
		proxy := newProxy(t, strings.TrimPrefix(s.plain, "ldap://"))
		p, _ := open(t, binding(s, map[string]any{"uris": []string{"ldap://" + proxy.addr()}}))
		for range 3 {
			if _, err := login(p, "alice", "secret"); err != nil {
				t.Fatal(err)
			}
			proxy.cut()
		}
	})
}

// testMasters: root is a master user, and away one who may not log in; both are no users.
func testMasters(t *testing.T, options map[string]any) {
	p, _ := open(t, options)
	for _, as := range []string{"alice*root", "Alice*ROOT"} {
		id, err := login(p, as, "root-secret")
		if err != nil || id.User.Name != "alice" || id.User.Fields[backend.FieldMaster] != "root" || id.User.Fields["home"] != "/home/alice" {
			t.Fatalf("%s: %+v, %v", as, id, err)
		}
	}
	id, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "root", AuthzID: "dave", Password: "root-secret", Service: "imap"})
	if err != nil || id.User.Name != "dave" || id.User.Fields[backend.FieldMaster] != "root" { // whose nologin does not matter
		t.Errorf("%+v, %v", id, err)
	}
	for name, c := range map[string]struct {
		user, password string
		kind           backend.ErrorKind
	}{
		"the user's password":     {"alice*root", "secret", backend.KindAuthFailed},
		"no master":               {"alice*bob@example.org", "secret", backend.KindAuthFailed},
		"himself as master":       {"bob@example.org*alice", "secret", backend.KindAuthFailed},
		"unknown user":            {"nobody*root", "root-secret", backend.KindAuthFailed},
		"a master has no mail":    {"root", "root-secret", backend.KindAuthFailed},
		"a master who is away":    {"alice*away", "away-secret", backend.KindAuthDenied},
		"a filter":                {"alice*r*", "root-secret", backend.KindAuthFailed},
		"an empty password":       {"alice*root", "", backend.KindAuthFailed},
		"everybody is not master": {"alice**", "root-secret", backend.KindAuthFailed},
	} {
		if id, err := login(p, c.user, c.password); err == nil || backend.KindOf(err) != c.kind {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

// testAppPasswords: alice has some, in entries below hers.
func testAppPasswords(t *testing.T, options map[string]any) {
	p, log := open(t, options)
	for password, want := range map[string]struct {
		label    string
		readOnly bool
		expires  bool
	}{"app-phone": {"phone", false, false}, "app-backup": {"backup", true, true}, "secret": {}} {
		id, err := login(p, "alice", password)
		if err != nil || id.User.Name != "alice" || id.Label != want.label || id.ReadOnly != want.readOnly || id.Expires.IsZero() == want.expires {
			t.Errorf("%s: %+v, %v", password, id, err)
		}
	}
	for password, kind := range map[string]backend.ErrorKind{"app-old": backend.KindAuthExpired, "app-smtp": backend.KindAuthDenied, "app-odd": backend.KindAuthFailed, "app-x": backend.KindAuthFailed} {
		if id, err := login(p, "alice", password); err == nil || backend.KindOf(err) != kind {
			t.Errorf("%s: %+v, %v", password, id, err)
		}
	}
	if id, err := login(p, "bob@example.org", "app-phone"); backend.KindOf(err) != backend.KindAuthFailed {
		t.Errorf("somebody else's: %+v, %v", id, err)
	}
	if !strings.Contains(log.String(), "app password is not used") || strings.Contains(log.String(), "app-odd") {
		t.Errorf("log %s", log)
	}
}

// proxy passes connections on, and can cut them.
type proxy struct {
	l     net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l}
	t.Cleanup(func() { l.Close(); p.cut() })
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, a, b)
			p.mu.Unlock()
			for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
				go func() {
					f, ok := pair[0].(*net.TCPConn)
					if ok {
						f.WriteTo(pair[1])
					}
					pair[1].Close()
				}()
			}
		}
	}()
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// TestDown: nobody is refused because the directory does not answer, and no password is shown.
func TestDown(t *testing.T) {
	p, log := open(t, map[string]any{"uris": []string{"ldap://127.0.0.1:" + freePort(t)}, "base": "dc=x", "dn": "cn=x", "dnpass": "hunter2"})
	_, err := login(p, "alice", "hunter2")
	if backend.KindOf(err) != backend.KindUnavailable || strings.Contains(fmt.Sprint(err, err.(*backend.Error).Detail, log), "hunter2") {
		t.Errorf("%v, log %s", err, log)
	}
	if err := p.Health(context.Background()); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("health %v", err)
	}
}

// TestSilent: a directory that takes connections and says nothing keeps nobody who does not want to wait, and is asked once by all who do.
func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	came := make(chan net.Conn, 10)
	go func() { // ends when l is closed
		for {
			c, err := l.Accept()
			if err != nil {
				close(came)
				return
			}
			came <- c
		}
	}()
	p, _ := open(t, searching(slapd{plain: "ldap://" + l.Addr().String()}, map[string]any{"timeout": "5s"}))
	first := make(chan error, 1)
	go func() { // ends when the directory has hung up
		_, err := login(p, "alice", "secret")
		first <- err
	}()
	conn := <-came
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.VerifyPassword(ctx, backend.PasswordRequest{User: "alice", Password: "secret"}); backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("a login that was given up: %v", err)
	}
	conn.Close()
	if err := <-first; backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("the first login: %v", err)
	}
	l.Close()
	for range came {
		t.Error("the directory was asked once more")
	}
}

func TestConfigureErrors(t *testing.T) {
	for _, c := range []struct {
		option string
		value  any
	}{
		{"uris", []string{}},
		{"uris", []string{"http://x"}},
		{"scope", "all"},
		{"base", "%q"},
		{"pass_filter", "(uid=%u"},
		{"pass_filter", "(uid=%q)"},
		{"pass_attrs", "uid"},
		{"user_attrs", "=home=%q"},
		{"user_attrs", "=home=%{ldap:x"},
		{"auth_bind_userdn", "uid=%u"},
		{"master_filter", "(uid=%u"},
		{"master_base", "%q"},
		{"master_attrs", "uid"},
		{"app_password_filter", "uid"},
		{"app_password_attrs", "cn"},
		{"tls_ca_file", "/nonexistent"},
		{"timeout", "0s"},
	} {
		options := map[string]any{"uris": []string{"ldap://127.0.0.1"}, "base": "dc=x", "master_filter": "(uid=%u)", "app_password_filter": "(cn=x)"}
		options[c.option] = c.value
		err := New(slog.New(slog.DiscardHandler)).Configure(context.Background(), backend.Config{Options: options})
		if backend.KindOf(err) != backend.KindInvalidArgument || !strings.Contains(err.Error(), "option "+c.option) {
			t.Errorf("%s = %v: %v", c.option, c.value, err)
		}
	}
	err := New(slog.New(slog.DiscardHandler)).Configure(context.Background(), backend.Config{Options: map[string]any{"uris": []string{"ldap://127.0.0.1"}, "base": "dc=x", "auth_master_user_separator": "*"}})
	if backend.KindOf(err) != backend.KindInvalidArgument || !strings.Contains(err.Error(), "needs master_filter") {
		t.Errorf("a separator without master users: %v", err)
	}
}

func TestAttrs(t *testing.T) {
	attrs, err := parseAttrs("uid=user, homeDirectory=userdb_home,=nologin,=mail=/m/%n/%{ldap:uid}-%{ldap:nope}")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(attrs), []string{"uid", "homeDirectory", "uid", "nope"}; !reflect.DeepEqual(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	e := ldap.NewEntry("uid=x", map[string][]string{"UID": {"%u", "second"}})
	got, err := fields(attrs, e, authdb.Vars{User: "bob@example.org"})
	if want := []authdb.Field{{Key: "user", Value: "%u"}, {Key: "nologin"}, {Key: "mail", Value: "/m/bob/%u-"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("fields %q, %v, want %q", got, err, want)
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
