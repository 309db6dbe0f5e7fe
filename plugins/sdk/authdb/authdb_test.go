package authdb

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// users is a Source of entries by name.
type users map[string]Entry

func (u users) Find(_ context.Context, name string, _ Vars) (Entry, error) {
	if name == "down" {
		return Entry{}, backend.Errorf(backend.KindUnavailable, "down")
	}
	e, ok := u[name]
	e.Found = ok && e.Decoy == ""
	return e, nil
}

// open makes a DB with options that are given as in TOML.
func open(t *testing.T, u users, options map[string]any) (*DB, *bytes.Buffer) {
	t.Helper()
	v := NewValues(backend.Config{Options: options}, OptionList)
	o := v.Options()
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	return New(slog.New(slog.NewTextHandler(log, nil)), o, u, nil), log
}

const bcrypt = "{BLF-CRYPT}$2y$05$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C" // "secret"

// TestUnknownUserIsHashed: the password of an unknown user goes through the hash of the user who was found last.
func TestUnknownUserIsHashed(t *testing.T) {
	db, _ := open(t, users{"alice": {Password: bcrypt}}, nil)
	if _, err := db.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice", Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	db.hashing = make(chan struct{}) // nobody may hash: whoever does waits until the context ends
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := db.VerifyPassword(ctx, backend.PasswordRequest{User: "nobody", Password: "secret"})
	if backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("got %v, want that it waits for its turn to hash", err)
	}
}

// TestNameInPaths: no name that a user may choose leads out of the directory that an option means.
func TestNameInPaths(t *testing.T) {
	options := map[string]any{"auth_username_chars": "", "default_fields": []string{"home=/srv/mail/%d/%n", "mail=mdbox:%h/mdbox"}, "override_fields": []string{"acl_user=%u"}}
	all := users{}
	good := map[string]string{"jane@example.org": "/srv/mail/example.org/jane", "..jane@..example": "/srv/mail/..example/..jane", "jane": "/srv/mail//jane"}
	bad := []string{"..@example.org", ".@example.org", "jane@..", "jane@.", "..", "../../etc@example.org", "jane/x@example.org", "jane@a/b", "ja\x00ne@example.org"}
	for name := range good {
		all[name] = Entry{Password: "{PLAIN}secret"}
	}
	for _, name := range bad {
		all[name] = Entry{Password: "{PLAIN}secret"}
	}
	db, _ := open(t, all, options)
	for name, home := range good {
		id, err := db.VerifyPassword(context.Background(), backend.PasswordRequest{User: name, Password: "secret"})
		if err != nil || id.User.Fields["home"] != home || id.User.Fields["mail"] != "mdbox:"+home+"/mdbox" || id.User.Fields["acl_user"] != name {
			t.Errorf("%q: %+v, %v", name, id, err)
		}
	}
	for _, name := range bad {
		if id, err := db.VerifyPassword(context.Background(), backend.PasswordRequest{User: name, Password: "secret"}); backend.KindOf(err) != backend.KindAuthFailed {
			t.Errorf("%q: %+v, %v", name, id, err)
		}
		if u, err := db.LookupUser(context.Background(), name); backend.KindOf(err) != backend.KindNotFound {
			t.Errorf("lookup of %q: %+v, %v", name, u, err)
		}
	}
}

// TestVerify: a source that checks passwords itself is asked, and its errors come through.
func TestVerify(t *testing.T) {
	verify := func(_ context.Context, password string) (bool, error) {
		if password == "down" {
			return false, backend.Errorf(backend.KindUnavailable, "down")
		}
		return password == "right", nil
	}
	db, _ := open(t, users{
		"alice": {Verify: verify, Fields: []Field{{"userdb_home", "/h"}}},
		"bob":   {Verify: verify, Fields: []Field{{"nologin", ""}, {"reason", "On holiday"}}},
	}, nil)
	for _, c := range []struct {
		user, password string
		kind           backend.ErrorKind
		message        string
	}{
		{"alice", "right", 0, ""},
		{"alice", "wrong", backend.KindAuthFailed, "Authentication failed"},
		{"alice", "down", backend.KindUnavailable, "down"},
		{"down", "right", backend.KindUnavailable, "down"},
		{"carol", "right", backend.KindAuthFailed, "Authentication failed"},
		{"bob", "right", backend.KindAuthDenied, "On holiday"},
		{"bob", "wrong", backend.KindAuthFailed, "Authentication failed"},
	} {
		id, err := db.VerifyPassword(context.Background(), backend.PasswordRequest{User: c.user, Password: c.password})
		var e *backend.Error
		switch {
		case c.message == "" && (err != nil || id.User.Fields["home"] != "/h"):
			t.Errorf("%s %s: %+v, %v", c.user, c.password, id, err)
		case c.message != "" && (!errors.As(err, &e) || e.Kind != c.kind || !strings.Contains(e.Message+e.Detail, c.message)):
			t.Errorf("%s %s: %v", c.user, c.password, err)
		}
	}
}

func TestReferral(t *testing.T) {
	for _, c := range []struct {
		user, want, message string
		fields              map[string]string
	}{
		{"alice", "imap://alice;AUTH=*@mail2.example.org/", "Try this server instead", map[string]string{"host": "mail2.example.org"}},
		{"a;b@c:d]", "imap://a%3Bb@c%3Ad%5D;AUTH=*@[2001:db8::1]:1143/", "moved", map[string]string{"host": "2001:db8::1", "port": "1143", "reason": "moved"}},
		{"alice", "", "Login is disabled", nil},
	} {
		if e := NoLogin(c.user, c.fields); e.Kind != backend.KindAuthDenied || e.Referral != c.want || e.Message != c.message {
			t.Errorf("%s %v: %+v", c.user, c.fields, e)
		}
	}
}

func FuzzExpandPath(f *testing.F) {
	f.Add("/etc/%d/users", "bob@example.org")
	f.Add("/etc/.%n", ".")
	f.Add("/etc/%{user | lower}", "../x")
	f.Fuzz(func(t *testing.T, template, user string) {
		path, ok, err := Vars{User: user}.ExpandPath(template)
		if err == nil && ok && strings.Count(path, "/") != strings.Count(template, "/") {
			t.Errorf("%q with user %q leads to %q", template, user, path)
		}
	})
}
