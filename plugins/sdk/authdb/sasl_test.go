package authdb

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/roostmail/roost/core/backend"
)

const scramSecret = "{SCRAM-SHA-256}4096,7iOzG9VCDw2xQm4ghje9qg==,jOQHiIk9TafJ75D4MbCFIh0OJtbYTg/PMUK19u6yE+M=,3fYKOb1cQPltW3tQ3NQ6DJgMuxC/eV48kd4eRxB7TEo=" // "secret"

var saslUsers = users{
	"plain": {Password: "{PLAIN}secret"},
	"scram": {Password: scramSecret},
	"hash":  {Password: bcrypt},
	"cram":  {Password: "{CRAM-MD5}cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56"},
	"away":  {Password: "{PLAIN}secret", Fields: []Field{{"nologin", ""}}},
	"fail":  {Password: "{PLAIN}secret", Fields: []Field{{"fail", ""}}},
}

// exchange plays a client of SCRAM. Each step is taken by next(), which may be another DB.
func exchange(t *testing.T, next func() *DB, mechanism, user, password, authzID string) (*backend.Identity, error) {
	t.Helper()
	generator := scram.SHA256
	if mechanism == "SCRAM-SHA-1" {
		generator = scram.SHA1
	}
	client, err := generator.NewClient(user, password, authzID)
	if err != nil {
		t.Fatal(err)
	}
	conv := client.NewConversation()
	var state []byte
	challenge := ""
	for {
		response, err := conv.Step(challenge)
		if err != nil && !conv.Done() {
			t.Fatal(err)
		}
		x, err := next().StepSASL(context.Background(), backend.SASLRequest{Mechanism: mechanism, Response: []byte(response), State: state})
		if err != nil || x.Identity != nil {
			if err == nil && !conv.Valid() {
				t.Error("logged in before the client knew the server")
			}
			return identity(x), err
		}
		if len(x.State) > backend.MaxSASLState {
			t.Fatalf("state of %d bytes", len(x.State))
		}
		challenge, state = string(x.Challenge), x.State
	}
}

func identity(x *backend.SASLAnswer) *backend.Identity {
	if x == nil {
		return nil
	}
	return x.Identity
}

func TestSCRAM(t *testing.T) {
	db, log := open(t, saslUsers, nil)
	for _, c := range []struct {
		mechanism, user, password, authz string
		kind                             backend.ErrorKind
		ok                               bool
	}{
		{"SCRAM-SHA-256", "plain", "secret", "", 0, true},
		{"SCRAM-SHA-1", "plain", "secret", "", 0, true},
		{"SCRAM-SHA-256", "Plain", "secret", "", 0, true},
		{"SCRAM-SHA-256", "plain", "secret", "plain", 0, true},
		{"SCRAM-SHA-256", "scram", "secret", "", 0, true},
		{"SCRAM-SHA-256", "plain", "secret", "scram", backend.KindAuthDenied, false},
		{"SCRAM-SHA-1", "scram", "secret", "", backend.KindAuthFailed, false},
		{"SCRAM-SHA-256", "scram", "Secret", "", backend.KindAuthFailed, false},
		{"SCRAM-SHA-256", "plain", "", "", backend.KindAuthFailed, false},
		{"SCRAM-SHA-256", "hash", "secret", "", backend.KindAuthFailed, false},
		{"SCRAM-SHA-256", "nobody", "secret", "", backend.KindAuthFailed, false},
		{"SCRAM-SHA-256", "fail", "secret", "", backend.KindAuthFailed, false},
		{"SCRAM-SHA-256", "away", "secret", "", backend.KindAuthDenied, false},
		{"SCRAM-SHA-256", "down", "secret", "", backend.KindUnavailable, false},
	} {
		id, err := exchange(t, func() *DB { return db }, c.mechanism, c.user, c.password, c.authz)
		switch {
		case c.ok && (err != nil || id.User.Name != strings.ToLower(c.user)):
			t.Errorf("%+v: %+v, %v", c, id, err)
		case !c.ok && (err == nil || backend.KindOf(err) != c.kind):
			t.Errorf("%+v: %+v, %v", c, id, err)
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("log: %s", log)
	}
}

// TestSCRAMOverRestarts: each step is taken by a process that knows nothing of the ones before.
func TestSCRAMOverRestarts(t *testing.T) {
	next := func() *DB { db, _ := open(t, saslUsers, nil); return db }
	for _, user := range []string{"plain", "scram"} {
		if id, err := exchange(t, next, "SCRAM-SHA-256", user, "secret", ""); err != nil || id.User.Name != user {
			t.Errorf("%s: %+v, %v", user, id, err)
		}
	}
}

// TestSCRAMTellsNobody: the first answer does not say which users there are: always the same salt, the same number of iterations, no error.
func TestSCRAMTellsNobody(t *testing.T) {
	db, _ := open(t, saslUsers, nil)
	for _, user := range []string{"plain", "scram", "hash", "nobody", "away", "fail"} {
		var salts []string
		for range 2 {
			x, err := db.StepSASL(context.Background(), backend.SASLRequest{Mechanism: "SCRAM-SHA-256", Response: []byte("n,,n=" + user + ",r=abc")})
			if err != nil {
				t.Fatalf("%s: %v", user, err)
			}
			parts := strings.Split(string(x.Challenge), ",")
			if len(parts) != 3 || parts[2] != "i=4096" || len(parts[1]) != 2+24 || !strings.HasPrefix(parts[0], "r=abc") {
				t.Errorf("%s: challenge %s", user, x.Challenge)
			}
			salts = append(salts, parts[1])
		}
		if salts[0] != salts[1] {
			t.Errorf("%s: salts %v", user, salts)
		}
	}
}

// TestSCRAMSaltsAreTheirOwn: no two names have the same salt, whether a user exists or not, and a name has one, however it is written.
func TestSCRAMSaltsAreTheirOwn(t *testing.T) {
	decoys := users{}
	for name, e := range saslUsers {
		decoys[name] = e
	}
	for _, name := range []string{"ghost", "spectre"} {
		decoys[name] = Entry{Decoy: scramSecret}
	}
	db, _ := open(t, decoys, nil)
	whose := map[string]string{}
	for _, user := range []string{"scram", "plain", "hash", "nobody", "nobody2", "ghost", "spectre", "SCRAM", "Plain", "Nobody", "Ghost"} {
		x, err := db.StepSASL(context.Background(), backend.SASLRequest{Mechanism: "SCRAM-SHA-256", Response: []byte("n,,n=" + user + ",r=abc")})
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		salt, name := strings.Split(string(x.Challenge), ",")[1], strings.ToLower(user)
		if other, taken := whose[salt]; taken != (user != name) || taken && other != name || len(salt) != 2+24 {
			t.Errorf("%s has the salt of %q: %s", user, other, salt)
		}
		whose[salt] = name
	}
}

func TestCRAM(t *testing.T) {
	db, _ := open(t, saslUsers, nil)
	for _, c := range []struct {
		user, password string
		kind           backend.ErrorKind
		ok             bool
	}{
		{"plain", "secret", 0, true},
		{"cram", "secret", 0, true},
		{"plain", "wrong", backend.KindAuthFailed, false},
		{"hash", "secret", backend.KindAuthFailed, false},
		{"nobody", "secret", backend.KindAuthFailed, false},
		{"fail", "secret", backend.KindAuthFailed, false},
		{"away", "secret", backend.KindAuthDenied, false},
	} {
		x, err := db.StepSASL(context.Background(), backend.SASLRequest{Mechanism: "CRAM-MD5"})
		if err != nil {
			t.Fatal(err)
		}
		h := hmac.New(md5.New, []byte(c.password))
		h.Write(x.Challenge)
		x, err = db.StepSASL(context.Background(), backend.SASLRequest{Mechanism: "CRAM-MD5", State: x.State, Response: []byte(c.user + " " + hex.EncodeToString(h.Sum(nil)))})
		switch {
		case c.ok && (err != nil || x.Identity == nil || x.Identity.User.Name != c.user):
			t.Errorf("%+v: %+v, %v", c, x, err)
		case !c.ok && (err == nil || backend.KindOf(err) != c.kind):
			t.Errorf("%+v: %+v, %v", c, x, err)
		}
	}
}

// FuzzStepSASL: no response and no state makes a panic, or lets somebody in.
func FuzzStepSASL(f *testing.F) {
	f.Add("SCRAM-SHA-256", []byte("n,,n=plain,r=abc"), []byte(nil))
	f.Add("SCRAM-SHA-256", []byte("c=biws,r=abcx,p=AAAA"), stateOf(tagProof, []byte("x"), []byte("n,,n=plain,r=abc"), []byte("salt")))
	f.Add("SCRAM-SHA-1", []byte("p=tls-exporter,,n=plain,r=abc"), stateOf(tagStart))
	f.Add("CRAM-MD5", []byte("plain 00112233445566778899aabbccddeeff"), stateOf(tagProof, []byte("<1.2@roost>")))
	f.Fuzz(func(t *testing.T, mechanism string, response, state []byte) {
		db, _ := open(t, saslUsers, nil)
		x, err := db.StepSASL(context.Background(), backend.SASLRequest{Mechanism: mechanism, Response: response, State: state})
		if err == nil && x.Identity != nil && (len(state) == 0 || state[0] != tagDone) {
			t.Errorf("logged in as %s", x.Identity.User.Name)
		}
	})
}

// TestSCRAMBinding: what a client says of channel binding is held against its mechanism and what the connection has (RFC 5802 §6).
func TestSCRAMBinding(t *testing.T) {
	db, _ := open(t, saslUsers, nil)
	some := []backend.ChannelBinding{{Type: "tls-exporter", Data: []byte("exported")}, {Type: "tls-server-end-point", Data: []byte("certificate")}}
	for _, c := range []struct {
		mechanism, first string
		bindings         []backend.ChannelBinding
		kind             backend.ErrorKind // KindInternal: it goes on
	}{
		{"SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=plain,r=abc", some, 0},
		{"SCRAM-SHA-1-PLUS", "p=tls-server-end-point,,n=plain,r=abc", some, 0},
		{"SCRAM-SHA-256-PLUS", "p=tls-unique,,n=plain,r=abc", some, backend.KindAuthFailed},
		{"SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=plain,r=abc", nil, backend.KindAuthFailed},
		{"SCRAM-SHA-256-PLUS", "n,,n=plain,r=abc", some, backend.KindInvalidArgument},
		{"SCRAM-SHA-256-PLUS", "y,,n=plain,r=abc", some, backend.KindInvalidArgument},
		{"SCRAM-SHA-256", "p=tls-exporter,,n=plain,r=abc", some, backend.KindInvalidArgument},
		{"SCRAM-SHA-256", "y,,n=plain,r=abc", some, backend.KindAuthFailed},
		{"SCRAM-SHA-1", "y,,n=plain,r=abc", nil, 0},
		{"SCRAM-SHA-1", "n,,n=plain,r=abc", some, 0},
	} {
		_, err := db.StepSASL(context.Background(), backend.SASLRequest{Mechanism: c.mechanism, Response: []byte(c.first), Bindings: c.bindings})
		if (err == nil) != (c.kind == 0) || err != nil && backend.KindOf(err) != c.kind {
			t.Errorf("%s, %s, %d bindings: %v", c.mechanism, c.first, len(c.bindings), err)
		}
	}
}

// TestMastersInSASL: a master user proves its identity by any mechanism; only who is in the source of master users is one.
func TestMastersInSASL(t *testing.T) {
	db, _ := open(t, saslUsers, nil)
	db.opts.MasterSeparator = "*"
	db.opts.UserChars = ""
	db.SetMasters(users{"admin": {Password: "{PLAIN}master"}, "open": {Fields: []Field{{"nopassword", ""}}}})
	next := func() *DB { return db }
	check := func(what string, id *backend.Identity, err error, ok bool) {
		t.Helper()
		if ok && (err != nil || id.User.Name != "plain" || id.User.Fields[backend.FieldMaster] != "admin") || !ok && err == nil {
			t.Errorf("%s: %+v, %v", what, id, err)
		}
	}
	for _, c := range []struct {
		user, password, authz string
		ok                    bool
	}{
		{"admin", "master", "plain", true},
		{"plain*admin", "master", "", true},
		{"plain*admin", "secret", "", false},
		{"scram", "secret", "plain", false},
		{"admin", "master", "", false},
		{"admin", "master", "nobody", false},
		{"plain*admin", "master", "scram", false},
	} {
		id, err := exchange(t, next, "SCRAM-SHA-256", c.user, c.password, c.authz)
		check("SCRAM "+c.user+" as "+c.authz, id, err, c.ok)
		id, err = db.VerifyPassword(context.Background(), backend.PasswordRequest{User: c.user, AuthzID: c.authz, Password: c.password})
		check("password "+c.user+" as "+c.authz, id, err, c.ok)
	}
	for _, user := range []string{"plain*open", "plain*", "*admin", "*"} {
		id, err := db.VerifyPassword(context.Background(), backend.PasswordRequest{User: user, Password: "x"})
		check(user, id, err, false)
	}
	for authz, ok := range map[string]bool{"plain": true, "": false, "nobody": false} {
		x, err := db.StepSASL(context.Background(), backend.SASLRequest{Mechanism: "EXTERNAL", Certificate: "admin", Response: []byte(authz)})
		check("EXTERNAL as "+authz, identity(x), err, ok)
	}
}
