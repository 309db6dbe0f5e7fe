package dovecot

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// Version of the plugin, semver.
const Version = "0.1.0"

// Plugin is the auth plugin. Its zero value has to be configured before use.
type Plugin struct {
	client  *socket
	userdb  *socket // nil: no lookups
	timeout time.Duration
}

var (
	_ backend.Auth       = (*Plugin)(nil)
	_ backend.UserLookup = (*Plugin)(nil)
	_ backend.SASL       = (*Plugin)(nil)
)

// optionList documents the options.
var optionList = []backend.Option{
	{Name: "client_socket", Type: backend.OptionString, Default: `"/run/dovecot/auth-client"`, Help: "socket for passwords"},
	{Name: "userdb_socket", Type: backend.OptionString, Default: `"/run/dovecot/auth-userdb"`, Help: "socket for userdb lookups; empty: users have no userdb fields"},
	{Name: "timeout", Type: backend.OptionDuration, Default: `"30s"`, Help: "how long Dovecot may take to answer"},
}

// mechanisms are those that Dovecot may have; which it has depends on its auth_mechanisms.
var mechanisms = []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "DIGEST-MD5", "OAUTHBEARER", "XOAUTH2", external}

const external = "EXTERNAL"

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	capabilities := []string{backend.CapUserLookup}
	for _, m := range mechanisms {
		capabilities = append(capabilities, backend.CapSASL+m)
	}
	return backend.Info{
		Kind: backend.KindAuth, Name: "dovecot", Version: Version, Description: "users of a running Dovecot, over its auth sockets",
		Capabilities: capabilities, Options: optionList,
	}
}

// Configure does not connect: a Dovecot that is down makes the plugin unhealthy, and logins unavailable, until it is back.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	v := authdb.NewValues(c, optionList)
	p.timeout = v.Duration("timeout")
	absolute := func(path string) string {
		if !filepath.IsAbs(path) {
			path = filepath.Join(c.BaseDir, path)
		}
		return path
	}
	if v.Text("client_socket") == "" {
		v.Fail("client_socket", "is required")
	}
	p.client = &socket{
		path: absolute(v.Text("client_socket")), timeout: p.timeout, waits: true,
		hello: []string{"VERSION\t1\t2", fmt.Sprintf("CPID\t%d", os.Getpid())},
	}
	if path := v.Text("userdb_socket"); path != "" {
		p.userdb = &socket{path: absolute(path), timeout: p.timeout, hello: []string{"VERSION\t1\t1"}}
	}
	return v.Err()
}

// Health connects, if there is no connection.
func (p *Plugin) Health(context.Context) error {
	for _, s := range []*socket{p.client, p.userdb} {
		if s == nil {
			continue
		}
		if _, err := s.connect(); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// Close ends the connections.
func (p *Plugin) Close() error {
	for _, s := range []*socket{p.client, p.userdb} {
		if s != nil {
			s.close()
		}
	}
	return nil
}

// peer is who logs in from where.
type peer struct {
	service, session string
	remote, local    netip.Addr
	secured          bool
	certificate      string // who the client's certificate says it is, which core has verified; of EXTERNAL
}

// auth returns the line that begins an exchange; response nil = none.
func (w peer) auth(id, mechanism string, response []byte) string {
	var b strings.Builder
	// no-penalty: core makes those wait whose passwords are wrong, without holding a request here.
	fmt.Fprintf(&b, "AUTH\t%s\t%s\tservice=%s\tno-penalty", id, escape(mechanism), escape(w.service))
	if w.secured {
		b.WriteString("\tsecured")
	}
	if w.remote.IsValid() {
		fmt.Fprintf(&b, "\trip=%s", w.remote.Unmap())
	}
	if w.local.IsValid() {
		fmt.Fprintf(&b, "\tlip=%s", w.local.Unmap())
	}
	if w.session != "" {
		fmt.Fprintf(&b, "\tsession=%s", escape(w.session))
	}
	if w.certificate != "" {
		fmt.Fprintf(&b, "\tvalid-client-cert\tcert_username=%s", escape(w.certificate))
	}
	if response != nil { // the last
		b.WriteString("\tresp=" + base64.StdEncoding.EncodeToString(response))
	}
	return b.String()
}

// VerifyPassword implements backend.Auth, with the mechanism PLAIN.
func (p *Plugin) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	for _, s := range []string{r.AuthzID, r.User, r.Password} {
		if strings.ContainsRune(s, 0) { // RFC 4616 §2 has no way to send it
			return nil, failed("NUL in user name or password")
		}
	}
	x, err := p.begin(ctx, "PLAIN", peer{r.Service, r.Session, r.Remote, r.Local, r.Secured, ""}, []byte(r.AuthzID+"\x00"+r.User+"\x00"+r.Password))
	if err != nil {
		return nil, err
	}
	if x.Identity == nil {
		return nil, &backend.Error{Kind: backend.KindInternal, Detail: "Dovecot answers PLAIN with a challenge"}
	}
	return x.Identity, nil
}

// StepSASL implements backend.SASL. The state is the connection's name, a space, and the number of the request.
func (p *Plugin) StepSASL(ctx context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	if len(r.State) == 0 {
		w := peer{r.Service, r.Session, r.Remote, r.Local, r.Secured, ""}
		if r.Mechanism == external {
			if r.Certificate == "" {
				return nil, failed("no client certificate")
			}
			w.certificate = r.Certificate
		}
		return p.begin(ctx, r.Mechanism, w, r.Response)
	}
	name, id, _ := strings.Cut(string(r.State), " ")
	l, err := p.client.connect()
	if err == nil && l.name != name {
		err = errors.New("the exchange was begun over a connection that is gone")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return p.send(ctx, l, id, "CONT\t"+id+"\t"+base64.StdEncoding.EncodeToString(r.Response))
}

// begin begins an exchange.
func (p *Plugin) begin(ctx context.Context, mechanism string, w peer, response []byte) (*backend.SASLAnswer, error) {
	l, err := p.client.connect()
	if err != nil {
		return nil, unavailable(err)
	}
	if !slices.Contains(l.mechanisms, mechanism) { // Dovecot would close the connection
		return nil, backend.Errorf(backend.KindUnsupported, "Dovecot's auth_mechanisms has no %s", mechanism)
	}
	id := l.next()
	return p.send(ctx, l, id, w.auth(id, mechanism, response))
}

// send sends a line of an exchange, and reads what becomes of it.
func (p *Plugin) send(ctx context.Context, l *link, id, line string) (*backend.SASLAnswer, error) {
	if len(line) >= maxLine {
		return nil, failed("longer than Dovecot reads")
	}
	answer, err := l.ask(ctx, id, line, p.timeout)
	if err != nil {
		return nil, lost(ctx, err)
	}
	switch answer.verb {
	case "CONT":
		challenge := []byte{}
		if len(answer.fields) > 0 {
			if challenge, err = base64.StdEncoding.DecodeString(answer.fields[0]); err != nil {
				return nil, unavailable(errors.New("a challenge that is not base64"))
			}
		}
		return &backend.SASLAnswer{Challenge: challenge, State: []byte(l.name + " " + id)}, nil
	case "OK":
		return p.accepted(ctx, answer.params())
	case "FAIL":
		return nil, refused(answer.params())
	}
	return nil, unavailable(fmt.Errorf("unknown answer %q", answer.verb))
}

// accepted returns the identity of a user whom Dovecot has let in.
func (p *Plugin) accepted(ctx context.Context, fields map[string]string) (*backend.SASLAnswer, error) {
	name := fields["user"]
	if name == "" {
		return nil, &backend.Error{Kind: backend.KindInternal, Detail: "OK without a user"}
	}
	if _, set := fields["nologin"]; set {
		return nil, authdb.NoLogin(name, fields)
	}
	for _, key := range []string{"proxy", "proxy_maybe", "anonymous"} {
		if _, set := fields[key]; set {
			return nil, &backend.Error{Kind: backend.KindAuthDenied, Message: "Login is not possible on this server", Detail: key + " is set"}
		}
	}
	master := fields["auth_user"] // who has proved its identity, of a login as somebody else
	delete(fields, "user")
	delete(fields, "pass")
	id := &backend.Identity{User: backend.User{Name: name}, Fields: fields}
	if p.userdb != nil {
		u, err := p.LookupUser(ctx, name)
		if backend.KindOf(err) == backend.KindNotFound && err != nil {
			err = &backend.Error{Kind: backend.KindInternal, Detail: "userdb does not know a user of passdb"}
		}
		if err != nil {
			return nil, err
		}
		id.User = *u
	}
	if master != "" && master != name {
		if id.User.Fields == nil {
			id.User.Fields = map[string]string{}
		}
		id.User.Fields[backend.FieldMaster] = master
	}
	return &backend.SASLAnswer{Identity: id}, nil
}

// refused returns the error for FAIL.
func refused(fields map[string]string) error {
	switch reason := fields["reason"]; fields["code"] {
	case "temp_fail":
		return unavailable(errors.New("temp_fail: " + reason))
	case "pass_expired":
		return &backend.Error{Kind: backend.KindAuthExpired, Message: reason, Detail: "pass_expired"}
	case "authz_fail", "user_disabled":
		return &backend.Error{Kind: backend.KindAuthDenied, Message: reason, Detail: fields["code"]}
	default:
		return failed(fields["code"] + reason)
	}
}

// LookupUser implements backend.UserLookup.
func (p *Plugin) LookupUser(ctx context.Context, name string) (*backend.User, error) {
	if p.userdb == nil {
		return nil, backend.Errorf(backend.KindUnsupported, "no userdb_socket")
	}
	notFound := backend.Errorf(backend.KindNotFound, "no such user")
	if name == "" {
		return nil, notFound
	}
	l, err := p.userdb.connect()
	if err != nil {
		return nil, unavailable(err)
	}
	id := l.next()
	line := "USER\t" + id + "\t" + escape(name) + "\tservice=imap"
	if len(line) >= maxUserdbLine {
		return nil, notFound
	}
	answer, err := l.ask(ctx, id, line, p.timeout)
	if err != nil {
		return nil, lost(ctx, err)
	}
	switch {
	case answer.verb == "NOTFOUND":
		return nil, notFound
	case answer.verb == "USER" && len(answer.fields) > 0 && answer.fields[0] != "":
		found := answer.fields[0]
		answer.fields = answer.fields[1:]
		return &backend.User{Name: found, Fields: answer.params()}, nil
	}
	return nil, unavailable(fmt.Errorf("userdb answers %s %s: Dovecot's log says why", answer.verb, answer.params()["reason"]))
}

func failed(detail string) error {
	return &backend.Error{Kind: backend.KindAuthFailed, Message: "Authentication failed", Detail: detail}
}

// unavailable is for a question that Dovecot has not answered.
func unavailable(err error) error {
	return &backend.Error{Kind: backend.KindUnavailable, Message: "Dovecot's auth process can not be reached", Detail: err.Error(), Cause: err}
}

// lost is for a request without a reply.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return backend.Errorf(backend.KindCancelled, "cancelled")
	}
	return unavailable(err)
}
