package lies

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/pluginrpc"
	authv1 "github.com/roostmail/roost/proto/roost/auth/v1"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
)

// stepAuth is auth with a mechanism that lets in whom the response names.
type stepAuth struct{ auth }

func (stepAuth) Info() backend.Info {
	return backend.Info{Kind: backend.KindAuth, Name: "fake", Capabilities: []string{backend.CapSASL + "SCRAM-SHA-256"}}
}
func (stepAuth) Configure(context.Context, backend.Config) error { return nil }
func (stepAuth) Health(context.Context) error                    { return nil }
func (stepAuth) Close() error                                    { return nil }
func (stepAuth) StepSASL(_ context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	return &backend.SASLAnswer{Identity: &backend.Identity{User: backend.User{Name: string(r.Response)}}}, nil
}

// TestLiesOfAuth: whoever lies about a login lets nobody in.
func TestLiesOfAuth(t *testing.T) {
	const login, sasl = "LOGIN jane x", "AUTHENTICATE SCRAM-SHA-256 amFuZQ=="
	for _, lanes := range []bool{false, true} {
		t.Run(map[bool]string{false: "gRPC", true: "lanes"}[lanes], func(t *testing.T) {
			store := mailboxtest.New(false)
			fill(store.Create("jane", "", "INBOX"), "jane")
			c := imap.DefaultConfig()
			c.Mechanisms = append(c.Mechanisms, "SCRAM-SHA-256")
			plugin, p := liar(t, stepAuth{}, lanes, pluginrpc.Limits{AnswerTimeout: answerTimeout})
			addr, log := serve(t, c, plugin.(backend.Auth), store)
			connect := func(t *testing.T) *client {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				cl := &client{t, conn, bufio.NewReader(conn)}
				cl.line()
				return cl
			}
			for _, s := range []story{
				{name: "success without a user", method: "VerifyPassword", command: login, log: "success without a user name",
					lie: edit(func(_ int, m *authv1.VerifyPasswordResponse) { m.User = nil })},
				{name: "success without a name", method: "VerifyPassword", command: login, log: "success without a user name",
					lie: edit(func(_ int, m *authv1.VerifyPasswordResponse) { m.User = &pluginv1.User{} })},
				{name: "garbage", method: "VerifyPassword", command: login, log: "liar", lie: garbage},
				{name: "silence", method: "VerifyPassword", command: login, log: "plugin_answer_timeout", lie: silence},
				{name: "an error of tomorrow", method: "VerifyPassword", command: login, log: "liar", lie: func(int, []byte, func([]byte) error) error { return errorOfTomorrow() }},
				{name: "a mechanism without a name", method: "StepSASL", command: sasl, log: "success without a user name",
					lie: edit(func(_ int, m *authv1.StepSASLResponse) { m.User.Name = "" })},
				{name: "a challenge that is too long", method: "StepSASL", command: sasl, log: "challenge of 1000000 bytes",
					lie: edit(func(_ int, m *authv1.StepSASLResponse) { m.User, m.Challenge = nil, make([]byte, 1_000_000) })},
				{name: "garbage of a mechanism", method: "StepSASL", command: sasl, log: "liar", lie: garbage},
				{name: "silence of a mechanism", method: "StepSASL", command: sasl, log: "plugin_answer_timeout", lie: silence},
			} {
				t.Run(s.name, func(t *testing.T) {
					jane := connect(t)
					log.take()
					p.arm(s.method, s.lie)
					tagged, untagged := jane.run(s.command)
					told := p.told()
					p.arm("", nil)
					if told == 0 || !strings.HasPrefix(tagged, "NO") {
						t.Fatalf("%d answers; %s is answered %q after %q", told, s.command, tagged, untagged)
					}
					if text := log.take(); !strings.Contains(text, s.log) || !strings.Contains(text, "liar") {
						t.Errorf("the log does not say liar and %q: %s", s.log, text)
					}
					if got, _ := jane.run("SELECT INBOX"); strings.HasPrefix(got, "OK") {
						t.Error("the session has logged in")
					}
					if again, _ := jane.run(s.command); !strings.HasPrefix(again, "OK") {
						t.Errorf("afterwards: %q", again)
					}
				})
			}
		})
	}
}
