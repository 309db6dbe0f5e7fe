package authdb

import (
	"context"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// programs is a source of users who all have the same app passwords.
type programs struct {
	users
	list []AppPassword
}

func (p programs) AppPasswords(context.Context, string, Vars) ([]AppPassword, error) {
	return p.list, nil
}

func TestAppPasswords(t *testing.T) {
	now := time.Unix(1700000000, 0)
	list := []AppPassword{
		{Label: "all", Stored: "{PLAIN}p-all", Scopes: []string{"imap"}},
		{Label: "reads", Stored: "{PLAIN}p-reads", Scopes: []string{"imap:read"}, Expires: now.Add(time.Second)},
		{Label: "old", Stored: "{PLAIN}p-old", Scopes: []string{"imap"}, Expires: now},
		{Label: "pop", Stored: "{PLAIN}p-pop", Scopes: []string{"pop3", "imap:write"}},
		{Label: "empty", Stored: "{PLAIN}", Scopes: []string{"imap"}},
		{Label: "odd", Stored: "{NOSUCH}x", Scopes: []string{"imap"}},
	}
	for i := range MaxAppPasswords {
		list = append(list, AppPassword{Label: "more", Stored: "{PLAIN}p-" + string(rune('A'+i)), Scopes: []string{"imap"}})
	}
	db, log := open(t, saslUsers, nil)
	db.source = programs{saslUsers, list}
	db.now = func() time.Time { return now }
	db.SetMasters(users{"plain": {Password: "{PLAIN}master"}})
	for _, c := range []struct {
		user, authz, password string
		kind                  backend.ErrorKind // 0: it is let in
		label                 string
		readOnly              bool
	}{
		{"plain", "", "secret", 0, "", false},
		{"plain", "", "p-all", 0, "all", false},
		{"plain", "", "p-reads", 0, "reads", true},
		{"plain", "", "p-A", 0, "more", false},
		{"plain", "", "p-old", backend.KindAuthExpired, "", false},
		{"plain", "", "p-pop", backend.KindAuthDenied, "", false},
		{"plain", "", "", backend.KindAuthFailed, "", false},
		{"plain", "", "x", backend.KindAuthFailed, "", false},
		{"plain", "", "p-" + string(rune('A'+MaxAppPasswords-1)), backend.KindAuthFailed, "", false}, // one too many
		{"away", "", "p-all", backend.KindAuthDenied, "", false},
		{"fail", "", "p-all", backend.KindAuthFailed, "", false},
		{"nobody", "", "p-all", backend.KindAuthFailed, "", false},
		{"plain", "scram", "p-all", backend.KindAuthFailed, "", false}, // not as a master user
	} {
		id, err := db.VerifyPassword(context.Background(), backend.PasswordRequest{User: c.user, AuthzID: c.authz, Password: c.password, Service: "imap"})
		switch {
		case c.kind == 0 && (err != nil || id.Label != c.label || id.ReadOnly != c.readOnly):
			t.Errorf("%+v: %+v, %v", c, id, err)
		case c.kind != 0 && (err == nil || backend.KindOf(err) != c.kind):
			t.Errorf("%+v: %+v, %v", c, id, err)
		}
	}
	if s := log.String(); len(s) == 0 {
		t.Error("nothing is logged of a password in an unknown scheme")
	}
}

func TestParseAppPassword(t *testing.T) {
	for in, want := range map[string]int64{"": 0, "2030-12-31": 1924905600, "2030-12-31T01:00:00+01:00": 1924905600, "2030-12-31 00:00:00": 1924905600, "1924905600": 1924905600} {
		a, err := ParseAppPassword("l", "{PLAIN}x", "imap, pop3:read", in)
		if err != nil || len(a.Scopes) != 2 || a.Scopes[1] != "pop3:read" || want != 0 && a.Expires.Unix() != want || want == 0 && !a.Expires.IsZero() {
			t.Errorf("%q: %+v, %v", in, a, err)
		}
	}
	for _, in := range []string{"soon", "31.12.2030", "1e9", " ", "12x", "0x10"} {
		if a, err := ParseAppPassword("l", "{PLAIN}x", "imap", in); err == nil {
			t.Errorf("%q: %+v", in, a)
		}
	}
}
