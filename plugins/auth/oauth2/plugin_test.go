package oauth2

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return New(sdk.NewLogger()) })
}

// issuer signs tokens.
type issuer struct {
	t   *testing.T
	ec  *ecdsa.PrivateKey
	rsa *rsa.PrivateKey
	set []byte // JSON Web Key Set of both
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t}
	var err error
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	storage := jwkset.NewMemoryStorage()
	for id, key := range map[string]any{"ec": i.ec.Public(), "rsa": i.rsa.Public()} {
		k, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id}})
		if err == nil {
			err = storage.KeyWrite(context.Background(), k)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	set, err := storage.JSONPublic(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	i.set = set
	return i
}

// claims are those of a good token, changed by more; nil takes one out.
func claims(more map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": "https://issuer.example.org", "aud": "imap", "email": "alice@example.org", "scope": "mail profile",
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}
	for k, v := range more {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func (i *issuer) sign(method jwt.SigningMethod, kid string, key any, c jwt.MapClaims) string {
	i.t.Helper()
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = kid
	s, err := token.SignedString(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return s
}

func (i *issuer) token(more map[string]any) string {
	return i.sign(jwt.SigningMethodES256, "ec", i.ec, claims(more))
}

// options are those of a plugin with the issuer's keys in a file.
func (i *issuer) options() map[string]any {
	path := filepath.Join(i.t.TempDir(), "keys.json")
	if err := os.WriteFile(path, i.set, 0o600); err != nil {
		i.t.Fatal(err)
	}
	return map[string]any{"keys_file": path, "issuers": []string{"https://other.example.org", "https://issuer.example.org"}, "audiences": []string{"imap", "mail"}, "scopes": []string{"mail"}}
}

func open(t *testing.T, options map[string]any) (*Plugin, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	p := New(slog.New(slog.NewTextHandler(log, nil)))
	if err := p.Configure(context.Background(), backend.Config{Options: options}); err != nil {
		t.Fatal(err)
	}
	return p, log
}

func TestConformance(t *testing.T) {
	i := newIssuer(t)
	plugintest.Auth(t, plugintest.AuthFixture{
		New:    func() backend.Plugin { return New(slog.New(slog.DiscardHandler)) },
		Config: backend.Config{Options: i.options()},
		Good:   []plugintest.Login{{User: "alice@example.org", Password: i.token(nil)}, {User: "Alice@Example.org", Password: i.token(nil), Name: "alice@example.org"}},
	})
}

// response is that of a client.
func response(mechanism, user, token string) []byte {
	if mechanism == "XOAUTH2" {
		return []byte("user=" + user + "\x01auth=Bearer " + token + "\x01\x01")
	}
	return []byte("n,a=" + user + ",\x01host=mail.example.org\x01port=993\x01auth=bearer " + token + "\x01\x01")
}

func step(p *Plugin, mechanism string, response, state []byte) (*backend.SASLAnswer, error) {
	return p.StepSASL(context.Background(), backend.SASLRequest{Mechanism: mechanism, Response: response, State: state, Service: "imap"})
}

// TestTokens: what is good, and that everything else is refused with a reason for the client, and then as a failed login.
func TestTokens(t *testing.T) {
	i := newIssuer(t)
	stranger := newIssuer(t)
	p, log := open(t, i.options())
	good := i.token(nil)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		token, user string
		ok          bool
	}{
		"good":                      {good, "alice@example.org", true},
		"user in another case":      {good, "ALICE@example.org", true},
		"RSA":                       {i.sign(jwt.SigningMethodPS256, "rsa", i.rsa, claims(nil)), "alice@example.org", true},
		"second audience":           {i.token(map[string]any{"aud": []string{"x", "mail"}}), "alice@example.org", true},
		"verified address":          {i.token(map[string]any{"email_verified": true}), "alice@example.org", true},
		"scopes in an array":        {i.token(map[string]any{"scope": nil, "scp": []string{"mail"}}), "alice@example.org", true},
		"user of somebody else":     {good, "bob@example.org", false},
		"expired":                   {i.token(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), "alice@example.org", false},
		"never expires":             {i.token(map[string]any{"exp": nil}), "alice@example.org", false},
		"not yet good":              {i.token(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), "alice@example.org", false},
		"another issuer":            {i.token(map[string]any{"iss": "https://evil.example.org"}), "alice@example.org", false},
		"no issuer":                 {i.token(map[string]any{"iss": nil}), "alice@example.org", false},
		"another audience":          {i.token(map[string]any{"aud": "web"}), "alice@example.org", false},
		"no audience":               {i.token(map[string]any{"aud": nil}), "alice@example.org", false},
		"scope missing":             {i.token(map[string]any{"scope": "profile mailbox"}), "alice@example.org", false},
		"no user":                   {i.token(map[string]any{"email": nil}), "alice@example.org", false},
		"user that is no text":      {i.token(map[string]any{"email": 7}), "7", false},
		"address not verified":      {i.token(map[string]any{"email_verified": false}), "alice@example.org", false},
		"keys of a stranger":        {stranger.token(nil), "alice@example.org", false},
		"unknown key":               {i.sign(jwt.SigningMethodES256, "nope", i.ec, claims(nil)), "alice@example.org", false},
		"no signature":              {i.sign(jwt.SigningMethodNone, "ec", jwt.UnsafeAllowNoneSignatureType, claims(nil)), "alice@example.org", false},
		"HMAC with the public key":  {i.sign(jwt.SigningMethodHS256, "ec", i.set, claims(nil)), "alice@example.org", false},
		"signature of another text": {parts[0] + "." + strings.Split(i.token(map[string]any{"email": "bob@example.org"}), ".")[1] + "." + parts[2], "bob@example.org", false},
		"nonsense":                  {"nonsense", "alice@example.org", false},
		"empty":                     {"", "alice@example.org", false},
	} {
		for _, mechanism := range []string{"OAUTHBEARER", "XOAUTH2"} {
			x, err := step(p, mechanism, response(mechanism, c.user, c.token), nil)
			if c.ok {
				if err != nil || x.Identity == nil || x.Identity.User.Name != "alice@example.org" {
					t.Errorf("%s, %s: %+v, %v", name, mechanism, x, err)
				}
				continue
			}
			if err != nil || x.Identity != nil {
				t.Errorf("%s, %s: %+v, %v", name, mechanism, x, err)
				continue
			}
			var why struct{ Status, Scope string }
			if err := json.Unmarshal(x.Challenge, &why); err != nil || why.Status != "invalid_token" || why.Scope != "mail" {
				t.Errorf("%s, %s: challenge %s", name, mechanism, x.Challenge)
			}
			if x, err = step(p, mechanism, []byte("\x01"), x.State); backend.KindOf(err) != backend.KindAuthFailed || strings.Contains(fmt.Sprint(err, err.(*backend.Error).Detail), parts[2]) {
				t.Errorf("%s, %s: afterwards %+v, %v", name, mechanism, x, err)
			}
		}
	}
	if x, err := step(p, "OAUTHBEARER", nil, nil); err != nil || len(x.Challenge) != 0 {
		t.Errorf("without an initial response: %+v, %v", x, err)
	} else if x, err = step(p, "OAUTHBEARER", response("OAUTHBEARER", "alice@example.org", good), x.State); err != nil || x.Identity == nil {
		t.Errorf("response after an empty challenge: %+v, %v", x, err)
	}
	if strings.Contains(log.String(), parts[2]) {
		t.Errorf("log: %s", log)
	}
}

// TestKeysOnDisk: keys that are replaced count at once, and keys that can not be read refuse nobody.
func TestKeysOnDisk(t *testing.T) {
	before, after := newIssuer(t), newIssuer(t)
	options := before.options()
	path := options["keys_file"].(string)
	p, _ := open(t, options)
	try := func(i *issuer) error {
		_, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice@example.org", Password: i.token(nil)})
		return err
	}
	if err := try(before); err != nil {
		t.Fatal(err)
	}
	replace := func(text []byte) {
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		p.checker.(*keys).checked = time.Time{}
	}
	replace(after.set)
	if err := try(after); err != nil {
		t.Error(err)
	}
	if err := try(before); backend.KindOf(err) != backend.KindAuthFailed {
		t.Errorf("with keys that are gone: %v", err)
	}
	replace([]byte("{"))
	if err := try(after); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("with keys that can not be read: %v", err)
	}
	if err := p.Health(context.Background()); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("health: %v", err)
	}
}

func TestKeysURL(t *testing.T) {
	i := newIssuer(t)
	down := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		w.Write(i.set)
	}))
	defer server.Close()
	options := i.options()
	delete(options, "keys_file")
	options["keys_url"] = server.URL
	p, _ := open(t, options)
	login := func() error {
		_, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice@example.org", Password: i.token(nil)})
		return err
	}
	if err := login(); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("server down: %v", err)
	}
	down = false
	if err := login(); err != nil {
		t.Error(err)
	}
}

// TestNewKeys: keys that the server has exchanged are read for the first token that is signed with them, whatever tokens came before, but not for each; while
// the server can not be asked, nobody is told that such a token is bad, and tokens with a key that is known are taken.
func TestNewKeys(t *testing.T) {
	old, next := newIssuer(t), newIssuer(t)
	set, down, asked := old.set, false, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		w.Write(set)
	}))
	defer server.Close()
	options := old.options()
	delete(options, "keys_file")
	options["keys_url"] = server.URL
	p, _ := open(t, options)
	now := time.Now()
	p.checker.(*keys).remote.now = func() time.Time { return now }
	login := func(token string, want int, kind backend.ErrorKind) {
		t.Helper()
		_, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice@example.org", Password: token})
		if (err == nil) != (kind == 0) || err != nil && backend.KindOf(err) != kind || asked != want {
			t.Errorf("%v, the server was asked %d times, want %d", err, asked, want)
		}
	}
	with := func(i *issuer, kid string) string { return i.sign(jwt.SigningMethodES256, kid, i.ec, claims(nil)) }
	login(with(old, "ec"), 1, 0)
	now = now.Add(time.Minute)
	login(with(old, "x"), 2, backend.KindAuthFailed)
	login(with(old, "y"), 2, backend.KindAuthFailed)
	set = bytes.ReplaceAll(next.set, []byte(`"ec"`), []byte(`"ec2"`))
	now = now.Add(time.Minute)
	down = true
	login(with(next, "ec2"), 3, backend.KindUnavailable)
	login(with(next, "ec2"), 3, backend.KindUnavailable)
	login(with(old, "ec"), 3, 0)
	down = false
	now = now.Add(time.Minute)
	login(with(next, "ec2"), 4, 0)
	login(with(old, "ec"), 4, backend.KindAuthFailed) // the server has taken it back
}

// TestUnknownKinds: a set may have keys of kinds that nobody here knows (RFC 7517 §5).
func TestUnknownKinds(t *testing.T) {
	i := newIssuer(t)
	i.set = bytes.Replace(i.set, []byte(`"keys":[`), []byte(`"keys":[{"kty":"AKP","alg":"ML-DSA-44","kid":"pq","pub":"AA"},{"kty":"EC","crv":"secp256k1","kid":"k","x":"AA","y":"AA"},`), 1)
	p, _ := open(t, i.options())
	if _, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice@example.org", Password: i.token(nil)}); err != nil {
		t.Error(err)
	}
}

// TestTokenIsNotRememberedLonger: core's cache of passwords takes a token that is sent as one no longer than it is good.
func TestTokenIsNotRememberedLonger(t *testing.T) {
	i := newIssuer(t)
	p, _ := open(t, i.options())
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	token := i.token(map[string]any{"exp": end.Unix()})
	id, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice@example.org", Password: token})
	if err != nil || !id.Expires.Equal(end) {
		t.Errorf("%+v, %v, want that it expires at %v", id, err, end)
	}
}

func TestIntrospection(t *testing.T) {
	answers := map[string]string{
		"good":    `{"active":true,"email":"alice@example.org","scope":"mail","exp":99999999999,"iss":"https://issuer.example.org","aud":["imap"]}`,
		"off":     `{"active":false,"email":"alice@example.org"}`,
		"silent":  `{"email":"alice@example.org"}`,
		"expired": `{"active":true,"email":"alice@example.org","scope":"mail","exp":1,"iss":"https://issuer.example.org","aud":"imap"}`,
		"aud":     `{"active":true,"email":"alice@example.org","scope":"mail","iss":"https://issuer.example.org","aud":"web"}`,
		"iss":     `{"active":true,"email":"alice@example.org","scope":"mail","iss":"https://evil.example.org","aud":"imap"}`,
		"broken":  `[]`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		answer, ok := answers[r.PostFormValue("token")]
		switch {
		case user != "roost" || password != "s%3Acret": // RFC 6749 §2.3.1
			w.WriteHeader(http.StatusUnauthorized)
		case !ok:
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusTemporaryRedirect)
		default:
			fmt.Fprint(w, answer)
		}
	}))
	defer server.Close()
	options := map[string]any{"introspection_url": server.URL, "client_id": "roost", "client_secret": "s:cret", "issuers": []string{"https://issuer.example.org"}, "audiences": []string{"imap"}, "scopes": []string{"mail"}}
	p, _ := open(t, options)
	for token, want := range map[string]backend.ErrorKind{"off": backend.KindAuthFailed, "silent": backend.KindAuthFailed, "expired": backend.KindAuthFailed,
		"aud": backend.KindAuthFailed, "iss": backend.KindAuthFailed, "broken": backend.KindUnavailable, "redirect": backend.KindUnavailable} {
		if id, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice@example.org", Password: token}); err == nil || backend.KindOf(err) != want {
			t.Errorf("%s: %+v, %v", token, id, err)
		}
	}
	if id, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice@example.org", Password: "good"}); err != nil || id.User.Name != "alice@example.org" {
		t.Errorf("good: %+v, %v", id, err)
	}
	options["client_secret"] = "wrong"
	p, _ = open(t, options)
	if _, err := p.VerifyPassword(context.Background(), backend.PasswordRequest{User: "alice@example.org", Password: "good"}); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("a client that may not ask: %v", err)
	}
}

func TestConfigureErrors(t *testing.T) {
	good := map[string]any{"keys_file": "keys.json", "issuers": []string{"x"}, "audiences": []string{"x"}}
	for _, c := range []struct {
		option string
		value  any
		names  string
	}{
		{"keys_file", "", "keys_file"},
		{"introspection_url", "https://x.example.org", "keys_file"},
		{"issuers", []string{}, "issuers"},
		{"audiences", []string{}, "audiences"},
		{"username_claim", "", "username_claim"},
		{"timeout", "never", "timeout"},
	} {
		options := maps.Clone(good)
		options[c.option] = c.value
		err := New(slog.New(slog.DiscardHandler)).Configure(context.Background(), backend.Config{Options: options})
		if backend.KindOf(err) != backend.KindInvalidArgument || !strings.Contains(err.Error(), "option "+c.names) {
			t.Errorf("%s = %v: %v", c.option, c.value, err)
		}
	}
	for _, url := range []string{"http://issuer.example.org/", "ftp://x", "https://", "x"} {
		err := New(slog.New(slog.DiscardHandler)).Configure(context.Background(), backend.Config{Options: map[string]any{"introspection_url": url}})
		if err == nil {
			t.Errorf("%s is taken", url)
		}
	}
}

func FuzzParseResponse(f *testing.F) {
	f.Add(true, string(response("OAUTHBEARER", "a=2Cb=3D", "x")))
	f.Add(false, string(response("XOAUTH2", "a", "x")))
	f.Add(true, "n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01")
	f.Add(true, "p=tls-exporter,,\x01\x01")
	f.Fuzz(func(t *testing.T, standard bool, text string) {
		mechanism := "XOAUTH2"
		if standard {
			mechanism = "OAUTHBEARER"
		}
		b, err := parseResponse(mechanism, text)
		if err == nil && strings.Contains(b.token+b.user, "\x01") {
			t.Errorf("%q: %+v", text, b)
		}
		if err != nil && backend.KindOf(err) != backend.KindInvalidArgument {
			t.Error(err)
		}
	})
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
