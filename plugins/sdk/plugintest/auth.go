package plugintest

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/roostmail/roost/core/backend"
)

// Login is a user name and password of a fixture.
type Login struct {
	User, Password string
	// Name is that of the user in the answer; "" = User.
	Name string
}

// AuthFixture describes an auth plugin and the users that it knows.
type AuthFixture struct {
	New    func() backend.Plugin
	Config backend.Config
	// Good are logins that must succeed; at least one, with a password of two letters or more.
	Good []Login
	// Denied are right passwords of users who may not log in.
	Denied []Login
	// Expired are right passwords that have expired.
	Expired []Login
	// Unknown is a user that does not exist; "" = "plugintest-nobody".
	Unknown string
}

// Auth runs the conformance suite of auth plugins.
func Auth[S goTest[S]](test S, f AuthFixture) {
	t := wrap(test)
	if f.Unknown == "" {
		f.Unknown = "plugintest-nobody"
	}
	if len(f.Good) == 0 {
		t.Fatal("plugintest: AuthFixture needs a login in Good")
	}
	onEachConnection(t, backend.KindAuth, f.New, always(f.Config), func(t T, c *connection) {
		s := &authSuite{connection: c, f: f}
		testBase(t, backend.KindAuth, c)
		t.Run("RightPassword", s.rightPassword)
		t.Run("WrongPassword", s.wrongPassword)
		t.Run("UnknownUserLooksLikeWrongPassword", s.unknownUser)
		t.Run("Denied", func(t T) { s.refused(t, f.Denied, backend.KindAuthDenied) })
		t.Run("Expired", func(t T) { s.refused(t, f.Expired, backend.KindAuthExpired) })
		t.Run("AuthorizationIdentity", s.authzID)
		t.Run("Addresses", s.addresses)
		t.Run("NoSecretInTheAnswer", s.noSecret)
		t.Run("Lookup", s.lookup)
		t.Run("LookupUnknown", s.lookupUnknown)
		t.Run("SASL", s.sasl)
		t.Run("Cancelled", s.cancelled)
		t.Run("Concurrent", s.concurrent)
		t.Run("Restart", s.restarted)
		t.Run("KilledInMidCall", s.killed)
	})
}

type authSuite struct {
	*connection
	f AuthFixture
}

// request is a login as it comes from a client over TLS.
func request(user, password string) backend.PasswordRequest {
	return backend.PasswordRequest{
		User: user, Password: password, Service: "imap", Secured: true, Session: "plugintest",
		Remote: netip.MustParseAddr("127.0.0.1"), Local: netip.MustParseAddr("127.0.0.1"),
	}
}

func (s *authSuite) login(t T, l Login) *backend.Identity {
	t.Helper()
	id, err := s.auth().VerifyPassword(t.Context(), request(l.User, l.Password))
	if err != nil {
		t.Fatalf("%s: %v", l.User, err)
	}
	want := l.Name
	if want == "" {
		want = l.User
	}
	if id.User.Name != want {
		t.Errorf("%s: logged in as %q, want %q", l.User, id.User.Name, want)
	}
	return id
}

func (s *authSuite) rightPassword(t T) {
	for _, l := range s.f.Good {
		s.login(t, l)
	}
}

func (s *authSuite) wrongPassword(t T) {
	for i, l := range s.f.Good {
		p := l.Password
		if i > 0 { // the other schemes only once: some of them are slow on purpose
			_, err := s.auth().VerifyPassword(t.Context(), request(l.User, "x"+p))
			wantKind(t, l.User+" with a wrong password", err, backend.KindAuthFailed)
			continue
		}
		for what, wrong := range map[string]string{
			"empty":             "",
			"another":           "x" + p,
			"a prefix":          p[:len(p)-1],
			"trailing space":    p + " ",
			"trailing newline":  p + "\n",
			"trailing NUL":      p + "\x00",
			"NUL in the middle": p[:1] + "\x00" + p[1:],
			"not UTF-8":         "\xff\xfe" + p,
			"64 KiB":            p + strings.Repeat("x", 64<<10),
			"format directives": "%s%n{PLAIN}" + p,
			"wildcard":          "*",
		} {
			_, err := s.auth().VerifyPassword(t.Context(), request(l.User, wrong))
			wantKind(t, fmt.Sprintf("%s, password %s", l.User, what), err, backend.KindAuthFailed)
		}
	}
}

func (s *authSuite) unknownUser(t T) {
	l := s.f.Good[0]
	_, known := s.auth().VerifyPassword(t.Context(), request(l.User, "x"+l.Password))
	for _, user := range []string{s.f.Unknown, "", "*", "../" + l.User, l.User + "\x00", "\xff\xfe", strings.Repeat("u", 64<<10), l.User + ":x", "%u"} {
		_, err := s.auth().VerifyPassword(t.Context(), request(user, l.Password))
		wantKind(t, fmt.Sprintf("user %.20q", user), err, backend.KindAuthFailed)
		if a, b := message(err), message(known); a != b {
			t.Errorf("user %.20q: message %q, but %q for a wrong password", user, a, b)
		}
	}
}

// message returns what a client may see of an error.
func message(err error) string {
	if e, ok := err.(*backend.Error); ok {
		return e.Message
	}
	return fmt.Sprint(err)
}

func (s *authSuite) refused(t T, logins []Login, kind backend.ErrorKind) {
	for _, l := range logins {
		_, err := s.auth().VerifyPassword(t.Context(), request(l.User, l.Password))
		wantKind(t, l.User, err, kind)
		// Whoever does not know the password learns nothing about the account.
		_, err = s.auth().VerifyPassword(t.Context(), request(l.User, "x"+l.Password))
		wantKind(t, l.User+" with a wrong password", err, backend.KindAuthFailed)
	}
}

func (s *authSuite) authzID(t T) {
	l := s.f.Good[0]
	r := request(l.User, l.Password)
	r.AuthzID = l.User
	if _, err := s.auth().VerifyPassword(t.Context(), r); err != nil {
		t.Errorf("authorization as oneself: %v", err)
	}
	r.AuthzID = s.f.Unknown
	_, err := s.auth().VerifyPassword(t.Context(), r)
	wantKind(t, "authorization as somebody else", err, backend.KindAuthFailed, backend.KindAuthDenied)
}

func (s *authSuite) addresses(t T) {
	l := s.f.Good[0]
	for _, addr := range []netip.Addr{{}, netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:127.0.0.1"), netip.MustParseAddr("fe80::1%lo")} {
		r := request(l.User, l.Password)
		r.Remote, r.Local = addr, addr
		_, err := s.auth().VerifyPassword(t.Context(), r)
		if err != nil && backend.KindOf(err) != backend.KindAuthDenied { // allow_nets may say so
			t.Errorf("from %v: %v", addr, err)
		}
	}
}

func (s *authSuite) noSecret(t T) {
	for _, l := range s.f.Good {
		id := s.login(t, l)
		for _, fields := range []map[string]string{id.User.Fields, id.Fields} {
			for k, v := range fields {
				if k == "password" || k == "pass" || v == l.Password {
					t.Errorf("%s: field %q of the answer holds the password", l.User, k)
				}
			}
		}
	}
}

func (s *authSuite) lookup(t T) {
	users, _ := s.plugin.(backend.UserLookup)
	for _, l := range s.f.Good {
		id := s.login(t, l)
		u, err := users.LookupUser(t.Context(), id.User.Name)
		if !s.plugin.Info().Has(backend.CapUserLookup) {
			wantKind(t, "LookupUser without the capability", err, backend.KindUnsupported)
			continue
		}
		if err != nil {
			t.Errorf("LookupUser(%q): %v", id.User.Name, err)
			continue
		}
		if u.Name != id.User.Name || fmt.Sprint(u.Fields) != fmt.Sprint(id.User.Fields) {
			t.Errorf("LookupUser gives %+v, the login %+v", *u, id.User)
		}
	}
}

func (s *authSuite) lookupUnknown(t T) {
	for _, name := range []string{s.f.Unknown, "", "*", strings.Repeat("u", 64<<10)} {
		_, err := s.plugin.(backend.UserLookup).LookupUser(t.Context(), name)
		want := backend.KindNotFound
		if !s.plugin.Info().Has(backend.CapUserLookup) {
			want = backend.KindUnsupported
		}
		wantKind(t, fmt.Sprintf("LookupUser(%.20q)", name), err, want)
	}
}

// sasl: no response and no state that means nothing lets somebody in, in any mechanism, and the plugin lives on.
func (s *authSuite) sasl(t T) {
	p, ok := s.auth().(backend.SASL)
	if !ok {
		t.Fatal("the connection does not implement backend.SASL")
	}
	step := func(mechanism string, response, state []byte) (*backend.SASLAnswer, error) {
		r := request("", "")
		return p.StepSASL(t.Context(), backend.SASLRequest{Mechanism: mechanism, Response: response, State: state,
			Service: r.Service, Remote: r.Remote, Local: r.Local, Secured: r.Secured, Session: r.Session})
	}
	if x, err := step("NOSUCHMECHANISM", []byte("x"), nil); backend.KindOf(err) != backend.KindUnsupported || err == nil {
		t.Errorf("an unknown mechanism: %+v, %v", x, err)
	}
	for _, m := range s.plugin.Info().Mechanisms() {
		for _, state := range [][]byte{nil, []byte("x"), {0}, {1}, {2, 1, 'x'}, {3, 5, 'a'}, []byte(strings.Repeat("s", backend.MaxSASLState))} {
			for _, response := range [][]byte{nil, {}, []byte("x"), []byte("n,,n=x,r=y"), []byte("n,,n=" + s.f.Unknown + ",r=y"), []byte("\x00\x01\xff"),
				[]byte("user=x\x01auth=Bearer x\x01\x01"), []byte(strings.Repeat("n,", 8<<10))} {
				x, err := step(m, response, state)
				switch {
				case err == nil && x.Identity != nil:
					t.Errorf("%s: %.20q in state %.20q logs in as %s", m, response, state, x.Identity.User.Name)
				case err == nil && (len(x.State) > backend.MaxSASLState || len(x.Challenge) > backend.MaxSASLMessage):
					t.Errorf("%s: %.20q in state %.20q: challenge of %d bytes, state of %d", m, response, state, len(x.Challenge), len(x.State))
				}
			}
		}
	}
	s.rightPassword(t)
}

func (s *authSuite) cancelled(t T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := s.f.Good[0]
	_, err := s.auth().VerifyPassword(ctx, request(l.User, l.Password))
	wantKind(t, "VerifyPassword", err, backend.KindCancelled)
	s.login(t, l)
}

func (s *authSuite) concurrent(t T) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			l := s.f.Good[i%len(s.f.Good)]
			id, err := s.auth().VerifyPassword(t.Context(), request(l.User, l.Password))
			if err != nil {
				t.Errorf("%s: %v", l.User, err)
			} else if id.User.Name != l.Name && id.User.Name != l.User {
				t.Errorf("%s: logged in as %s", l.User, id.User.Name)
			}
			_, err = s.auth().VerifyPassword(t.Context(), request(l.User, "x"+l.Password))
			wantKind(t, l.User+" with a wrong password", err, backend.KindAuthFailed)
		})
	}
	wg.Wait()
}

func (s *authSuite) restarted(t T) {
	s.restart(t)
	s.rightPassword(t)
}

// killed kills the plugin while logins are under way: each gets its answer.
func (s *authSuite) killed(t T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			l := s.f.Good[i%len(s.f.Good)]
			for range 3 {
				if _, err := s.auth().VerifyPassword(t.Context(), request(l.User, l.Password)); err != nil {
					t.Errorf("%s: %v", l.User, err)
				}
			}
		})
	}
	if s.process {
		s.restart(t)
	}
	wg.Wait()
}
