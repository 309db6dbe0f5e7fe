package dovecot

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) { plugintest.Main(m, func() backend.Plugin { return &Plugin{} }) }

func TestConformance(t *testing.T) {
	s := startDovecot(t, users(
		"alice:{BLF-CRYPT}$2y$05$bidsWlGFM.zgk00vV.yiFOmIdsUCazY74S3jNmOy2sdBM29LAbG9C:5000:5000::/home/alice::userdb_mail=mdbox:~/m",
		"dave:{PLAIN}secret:5000:5000::/home/dave::nologin",
	))
	plugintest.Auth(t, plugintest.AuthFixture{
		New:    func() backend.Plugin { return &Plugin{} },
		Config: backend.Config{Options: s.options()},
		Good:   []plugintest.Login{{User: "alice", Password: "secret"}, {User: "Alice", Password: "secret", Name: "alice"}},
		Denied: []plugintest.Login{{User: "dave", Password: "secret"}},
	})
}

func open(t *testing.T, s *server) *Plugin {
	t.Helper()
	p := &Plugin{}
	if err := p.Configure(context.Background(), backend.Config{Options: s.options()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func login(p *Plugin, user, password string) (*backend.Identity, error) {
	return p.VerifyPassword(context.Background(), backend.PasswordRequest{User: user, Password: password, Service: "imap", Remote: netip.MustParseAddr("192.0.2.7"), Secured: true})
}

func TestFields(t *testing.T) {
	s := startDovecot(t, users(
		"alice:{PLAIN}a b%c:5000:5001::/home/alice::userdb_mail=mdbox:~/m foo=bar allow_nets=192.0.2.0/24",
		"bob:{PLAIN}pw:5000:5001::/home/bob::allow_nets=198.51.100.0/24",
	))
	p := open(t, s)
	id, err := login(p, "Alice", "a b%c")
	if err != nil {
		t.Fatal(err)
	}
	if f := id.User.Fields; id.User.Name != "alice" || f["home"] != "/home/alice" || f["uid"] != "5000" || f["mail"] != "mdbox:~/m" || id.Fields["foo"] != "bar" {
		t.Errorf("%+v", id)
	}
	if _, err := login(p, "bob", "pw"); backend.KindOf(err) != backend.KindAuthFailed {
		t.Errorf("from a network that is not allowed: %v", err)
	}
	if _, err := login(p, strings.Repeat("x", 20000), "pw"); backend.KindOf(err) != backend.KindAuthFailed {
		t.Errorf("a name that Dovecot would not read: %v", err)
	}
	if _, err := login(p, "alice\tuser=bob", "pw"); backend.KindOf(err) != backend.KindAuthFailed {
		t.Errorf("a name with a TAB: %v", err)
	}
}

// TestMechanisms: exchanges of several steps, those that Dovecot has not, and those that outlive the connection.
func TestMechanisms(t *testing.T) {
	s := startDovecot(t, users("alice:{PLAIN}secret:5000:5001::/home/alice"))
	p := open(t, s)
	step := func(mechanism string, response, state []byte) (*backend.SASLAnswer, error) {
		return p.StepSASL(context.Background(), backend.SASLRequest{Mechanism: mechanism, Response: response, State: state, Service: "imap"})
	}
	scramLogin := func(password string) (*backend.SASLAnswer, error) {
		client, err := scram.SHA256.NewClient("alice", password, "")
		if err != nil {
			t.Fatal(err)
		}
		conv, x := client.NewConversation(), &backend.SASLAnswer{}
		for x.Identity == nil {
			response, err := conv.Step(string(x.Challenge))
			if err != nil {
				t.Fatal(err)
			}
			if x, err = step("SCRAM-SHA-256", []byte(response), x.State); err != nil {
				return nil, err
			}
		}
		return x, nil
	}
	if x, err := scramLogin("secret"); err != nil || x.Identity.User.Fields["home"] != "/home/alice" {
		t.Errorf("SCRAM: %+v, %v", x, err)
	}
	if x, err := scramLogin("wrong"); backend.KindOf(err) != backend.KindAuthFailed {
		t.Errorf("SCRAM with a wrong password: %+v, %v", x, err)
	}
	if x, err := step("XOAUTH2", []byte("x"), nil); backend.KindOf(err) != backend.KindUnsupported {
		t.Errorf("a mechanism that Dovecot does not have: %+v, %v", x, err)
	}
	x, err := step("CRAM-MD5", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(md5.New, []byte("secret"))
	h.Write(x.Challenge)
	if x, err = step("CRAM-MD5", []byte("alice "+hex.EncodeToString(h.Sum(nil))), x.State); err != nil || x.Identity == nil {
		t.Errorf("CRAM-MD5: %+v, %v", x, err)
	}
	x, err = step("CRAM-MD5", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	if _, err := step("CRAM-MD5", []byte("alice 00"), x.State); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("after Dovecot's end: %v", err)
	}
	if _, err := login(p, "alice", "secret"); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("login after Dovecot's end: %v", err)
	}
	if err := p.Health(context.Background()); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("health after Dovecot's end: %v", err)
	}
	s.start()
	if _, err := login(p, "alice", "secret"); err != nil {
		t.Errorf("login after Dovecot's return: %v", err)
	}
	if _, err := step("CRAM-MD5", []byte("alice 00"), x.State); backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("an exchange with the Dovecot before: %v", err)
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add("OK\t1\tuser=alice\tfoo=\x01tbar")
	f.Add("CONT\t7\t")
	f.Add("FAIL\t2\tcode=temp_fail\x01")
	f.Fuzz(func(t *testing.T, line string) {
		_, r, ok := parseLine(line)
		if ok && r.verb == "" {
			t.Error("an answer without a verb")
		}
		if s := unescape(escape(line)); s != line {
			t.Errorf("%q becomes %q", line, s)
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

// TestExternal: the certificate that core has verified is the proof, and nothing that the client says is.
func TestExternal(t *testing.T) {
	p := open(t, startDovecot(t, users("alice:{PLAIN}secret:5000:5000::/home/alice::", "bob:{PLAIN}secret:5000:5000::/home/bob::", "dave:{PLAIN}secret:5000:5000::/home/dave::")))
	step := func(certificate string, response []byte, state []byte) (*backend.SASLAnswer, error) {
		return p.StepSASL(context.Background(), backend.SASLRequest{Mechanism: "EXTERNAL", Certificate: certificate, Response: response, State: state,
			Service: "imap", Remote: netip.MustParseAddr("192.0.2.7"), Secured: true})
	}
	for _, response := range []string{"", "alice"} {
		a, err := step("Alice", []byte(response), nil)
		if err != nil || a.Identity == nil || a.Identity.User.Name != "alice" || a.Identity.User.Fields["home"] != "/home/alice" {
			t.Errorf("response %q: %+v, %v", response, a, err)
		}
	}
	// Without an initial response (RFC 4422 §5.1).
	a, err := step("alice", nil, nil)
	if err != nil || a.Identity != nil || len(a.Challenge) != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	if a, err = step("alice", []byte{}, a.State); err != nil || a.Identity == nil || a.Identity.User.Name != "alice" {
		t.Errorf("%+v, %v", a, err)
	}
	for _, c := range []struct {
		certificate, response string
		kind                  backend.ErrorKind
	}{
		{"", "", backend.KindAuthFailed},
		{"", "alice", backend.KindAuthFailed},
		{"bob", "", backend.KindAuthFailed}, // has no entry for this mechanism
		{"nobody", "", backend.KindAuthFailed},
		{"bob", "alice", backend.KindAuthFailed},
		{"alice", "bob", backend.KindAuthFailed}, // no master user
		{"alice\tcert_username=bob", "", backend.KindAuthFailed},
		{"dave", "", backend.KindAuthDenied},
	} {
		a, err := step(c.certificate, []byte(c.response), nil)
		if err == nil || a != nil || backend.KindOf(err) != c.kind && backend.KindOf(err) != backend.KindAuthDenied {
			t.Errorf("certificate %q, response %q: %+v, %v", c.certificate, c.response, a, err)
		}
	}
}
