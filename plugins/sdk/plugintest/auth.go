package plugintest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/roostmail/roost/core/backend"
)

// Login is a user name and password of a fixture.
type Login struct {
	User     string `toml:"user"`
	Password string `toml:"password"`
	// Name is that of the user in the answer; "" = User.
	Name string `toml:"name"`
}

// AuthFixture describes an auth plugin and the users that it knows.
type AuthFixture struct {
	// New makes the plugin; or Command is the program that is it, with its arguments.
	New     func() backend.Plugin
	Command []string
	Config  backend.Config
	// Good are logins that must succeed, with a password of two letters or more. Without one, the cases that need a login are left out.
	Good []Login
	// Denied are right passwords of users who may not log in.
	Denied []Login
	// Expired are right passwords that have expired.
	Expired []Login
	// Unknown is a user that does not exist; "" = "plugintest-nobody".
	Unknown string
}

func (f AuthFixture) subject() subject { return subject{backend.KindAuth, f.New, f.Command} }

// Auth runs the conformance suite of auth plugins.
func Auth[S goTest[S]](test S, f AuthFixture) {
	t := wrap(test)
	if f.Unknown == "" {
		f.Unknown = "plugintest-nobody"
	}
	if len(f.Good) == 0 {
		t.Run("RightPassword", func(t T) { t.Skip("no user is given: the cases for logins that succeed are left out") })
	}
	p := f.subject()
	p.testLife(t, always(f.Config))
	p.testWire(t, f.Config)
	p.onEachConnection(t, always(f.Config), func(t T, c *connection) {
		s := &authSuite{connection: c, f: f}
		testBase(t, backend.KindAuth, c)
		t.Run("UnknownUser", s.unknownUsers)
		t.Run("SASL", s.sasl)
		t.Run("LookupUnknown", s.lookupUnknown)
		t.Run("NoSecretIsRepeated", s.noSecretInErrors)
		if len(f.Good) == 0 {
			return
		}
		t.Run("RightPassword", s.rightPassword)
		t.Run("WrongPassword", s.wrongPassword)
		t.Run("OtherUserNames", s.otherNames)
		t.Run("UnknownUserLooksLikeWrongPassword", s.looksAlike)
		t.Run("Denied", func(t T) { s.refused(t, f.Denied, backend.KindAuthDenied) })
		t.Run("Expired", func(t T) { s.refused(t, f.Expired, backend.KindAuthExpired) })
		t.Run("AuthorizationIdentity", s.authzID)
		t.Run("Addresses", s.addresses)
		t.Run("Services", s.services)
		t.Run("NoSecretInTheAnswer", s.noSecret)
		t.Run("Lookup", s.lookup)
		t.Run("Cancelled", s.cancelled)
		t.Run("NoTime", s.noTime)
		t.Run("Concurrent", s.concurrent)
		t.Run("Restart", s.restarted)
		t.Run("KilledInMidCall", s.killed)
		t.Run("Speed", s.speed)
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

// verify tries to log in.
func (s *authSuite) verify(t T, user, password string) error {
	_, err := s.auth().VerifyPassword(t.Context(), request(user, password))
	return err
}

// attempt is a login that must fail.
type attempt struct{ user, password string }

// verifyAll tries to log in several times at once, since a user directory may let those wait who fail, and returns the errors.
func (s *authSuite) verifyAll(t T, attempts []attempt) []error {
	const atOnce = 16
	errs := make([]error, len(attempts))
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, a := range attempts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = s.verify(t, a.user, a.password)
		})
	}
	wg.Wait()
	return errs
}

func (s *authSuite) wrongPassword(t T) {
	for i, l := range s.f.Good {
		if i > 0 { // the other schemes only once: some of them are slow on purpose
			wantKind(t, l.User+" with a wrong password", s.verify(t, l.User, "x"+l.Password), backend.KindAuthFailed)
			continue
		}
		list := wrongPasswords(l.Password)
		attempts := make([]attempt, len(list))
		for i, wrong := range list {
			attempts[i] = attempt{l.User, wrong.text}
		}
		errs := s.verifyAll(t, attempts)
		for i, wrong := range list {
			t.Run(wrong.name, func(t T) {
				wantKind(t, fmt.Sprintf("%s, password %s", l.User, wrong.name), errs[i], backend.KindAuthFailed)
			})
		}
	}
}

// named is a text and what is special about it.
type named struct{ name, text string }

// wrongPasswords returns what is not p, of two letters or more, and may be taken for it.
func wrongPasswords(p string) []named {
	list := []named{
		{"Empty", ""},
		{"LetterBefore", "x" + p},
		{"LetterAfter", p + "x"},
		{"Prefix", p[:len(p)-1]},
		{"Suffix", p[1:]},
		{"Twice", p + p},
		{"Reversed", reversed(p)},
		{"TrailingSpace", p + " "},
		{"LeadingSpace", " " + p},
		{"TrailingNewline", p + "\n"},
		{"TrailingCRLF", p + "\r\n"},
		{"TrailingNUL", p + "\x00"},
		{"LeadingNUL", "\x00" + p},
		{"NULInTheMiddle", p[:1] + "\x00" + p[1:]},
		{"NotUTF8", "\xff\xfe" + p},
		{"OverlongUTF8", "\xc0\x80" + p},
		{"64KiB", p + strings.Repeat("x", 64<<10)},
		{"FormatDirectives", "%s%n{PLAIN}" + p},
		{"Scheme", "{PLAIN}" + p},
		{"Wildcard", "*"},
		{"LDAPFilter", "*)(uid=*))(|(uid=*"},
		{"SQL", "' OR '1'='1"},
		{"SQLComment", p + "' -- "},
		{"Quotes", `"` + p + `"`},
		{"Backslash", p + `\`},
		{"URLEscape", "%00" + p},
		{"Shell", "$(true)`true`;true"},
		{"JSON", `{"password":"` + p + `"}`},
		{"HeaderBreak", p + "\r\nX-User: root\r\n\r\n"},
		{"Emoji", "🔑" + p},
		{"Combining", p + "\u0301"},
		{"RightToLeft", "\u202e" + p},
		{"NoBreakSpace", p + "\u00a0"},
		{"Colon", ":" + p},
		{"Tab", p + "\t"},
		{"OnlySpaces", "    "},
		{"OnlyNULs", strings.Repeat("\x00", 16)},
		{"Null", "null"},
		{"Zero", "0"},
	}
	if q := swapCase(p); q != p {
		list = append(list, named{"OtherCase", q})
	}
	return slices.DeleteFunc(list, func(n named) bool { return n.text == p })
}

func reversed(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

// strangeNames returns names of nobody that may be taken for one of somebody, of user if that is not empty.
func strangeNames(user string) []named {
	list := []named{
		{"Empty", ""},
		{"Wildcard", "*"},
		{"QuestionMark", "?"},
		{"Variable", "%u"},
		{"DoubleVariable", "%{user}"},
		{"NotUTF8", "\xff\xfe"},
		{"64KiB", strings.Repeat("u", 64<<10)},
		{"1MiB", strings.Repeat("u", 1<<20)},
		{"Dot", "."},
		{"DotDot", ".."},
		{"Root", "/"},
		{"Passwd", "../../../../etc/passwd"},
		{"NUL", "\x00"},
		{"Newline", "\n"},
		{"Null", "null"},
		{"SQL", "' OR '1'='1"},
		{"LDAPFilter", "*)(objectClass=*"},
		{"Shell", "$(true)`true`;true"},
		{"RightToLeft", "\u202eresu"},
		{"Emoji", "🐓"},
	}
	if user != "" {
		list = append(list, []named{
			{"PathToUser", "../" + user},
			{"PathBelowUser", user + "/x"},
			{"UserNUL", user + "\x00"},
			{"UserNULMore", user + "\x00x"},
			{"UserColon", user + ":x"},
			{"UserNewline", user + "\n"},
			{"UserCRLFHeader", user + "\r\nX-User: root"},
			{"UserLetter", user + "x"},
			{"UserAt", user + "@"},
			{"UserAtNowhere", user + "@plugintest.invalid"},
			{"AtUser", "@" + user},
			{"UserWildcard", user + "*"},
			{"UserSQLComment", user + "'--"},
			{"UserLDAPFilter", user + ")(uid=*"},
			{"UserQuoted", `"` + user + `"`},
			{"UserTwice", user + " " + user},
			{"UserURLEscape", user + "%00"},
			{"UserCombining", user + "\u0301"},
			{"UserZeroWidth", user + "\u200b"},
		}...)
	}
	return list
}

// unknownUsers: nobody gets in with a name that does not exist, whatever it is made of.
func (s *authSuite) unknownUsers(t T) {
	names := append(strangeNames(""), named{"Unknown", s.f.Unknown})
	var attempts []attempt
	for _, n := range names {
		for _, password := range []string{"", "x", "secret", n.text} {
			attempts = append(attempts, attempt{n.text, password})
		}
	}
	errs := s.verifyAll(t, attempts)
	each := len(attempts) / len(names)
	for i, n := range names {
		t.Run(n.name, func(t T) {
			for k := i * each; k < (i+1)*each; k++ {
				wantKind(t, fmt.Sprintf("user %.20q, password %.20q", n.text, attempts[k].password), errs[k], backend.KindAuthFailed)
			}
		})
	}
}

// with returns an attempt for each name, with one password.
func with(names []named, password string) []attempt {
	list := make([]attempt, len(names))
	for i, n := range names {
		list[i] = attempt{n.text, password}
	}
	return list
}

// otherNames: the password of a user opens no other name.
func (s *authSuite) otherNames(t T) {
	l := s.f.Good[0]
	names := strangeNames(l.User)
	errs := s.verifyAll(t, with(names, l.Password))
	for i, n := range names {
		t.Run(n.name, func(t T) {
			wantKind(t, fmt.Sprintf("user %.20q", n.text), errs[i], backend.KindAuthFailed)
		})
	}
}

// looksAlike: what a client sees does not tell whether a user exists.
func (s *authSuite) looksAlike(t T) {
	l := s.f.Good[0]
	known := message(s.verify(t, l.User, "x"+l.Password))
	names := append(strangeNames(l.User), named{"Unknown", s.f.Unknown})
	errs := s.verifyAll(t, with(names, l.Password))
	for i, n := range names {
		t.Run(n.name, func(t T) {
			if got := message(errs[i]); got != known {
				t.Errorf("user %.20q: message %q, but %q for a wrong password", n.text, got, known)
			}
		})
	}
}

// message returns what a client may see of an error.
func message(err error) string {
	if e, ok := err.(*backend.Error); ok {
		return e.Message
	}
	return fmt.Sprint(err)
}

// noSecretInErrors: a password that is refused stands in no error, which is logged.
func (s *authSuite) noSecretInErrors(t T) {
	const secret = "plugintest-secret-7f3a"
	users := []string{s.f.Unknown}
	if len(s.f.Good) > 0 {
		users = append(users, s.f.Good[0].User)
	}
	for _, user := range users {
		if err := s.verify(t, user, secret); err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
			t.Errorf("%s: the error %v repeats the password, or there is none", user, err)
		}
	}
}

// services: the answer may depend on the protocol, but none lets a wrong password in.
func (s *authSuite) services(t T) {
	l := s.f.Good[0]
	for _, service := range []string{"imap", "pop3", "smtp", "managesieve", "", "../x", strings.Repeat("s", 10_000)} {
		t.Run(fmt.Sprintf("%.20q", service), func(t T) {
			r := request(l.User, "x"+l.Password)
			r.Service = service
			_, err := s.auth().VerifyPassword(t.Context(), r)
			wantKind(t, "a wrong password", err, backend.KindAuthFailed, backend.KindAuthDenied)
		})
	}
}

// noTime: a login whose deadline is over gives an error, and the next ones are answered.
func (s *authSuite) noTime(t T) {
	l := s.f.Good[0]
	for _, d := range []time.Duration{time.Nanosecond, 50 * time.Microsecond, 500 * time.Microsecond, time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		_, err := s.auth().VerifyPassword(ctx, request(l.User, "x"+l.Password))
		cancel()
		wantKind(t, fmt.Sprint("a login within ", d), err, backend.KindAuthFailed, backend.KindCancelled, backend.KindUnavailable)
	}
	s.login(t, l)
}

func (s *authSuite) speed(t T) {
	l := s.f.Good[0]
	mark(t, "login", 1, func(ctx context.Context) error {
		_, err := s.auth().VerifyPassword(ctx, request(l.User, l.Password))
		return err
	})
	mark(t, "login", 16, func(ctx context.Context) error {
		_, err := s.auth().VerifyPassword(ctx, request(l.User, l.Password))
		return err
	})
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
	for _, n := range append(strangeNames(""), named{"Unknown", s.f.Unknown}) {
		t.Run(n.name, func(t T) {
			_, err := s.plugin.(backend.UserLookup).LookupUser(t.Context(), n.text)
			switch {
			case !s.plugin.Info().Has(backend.CapUserLookup):
				wantKind(t, "LookupUser without the capability", err, backend.KindUnsupported)
			case !utf8.ValidString(n.text): // it can not be sent
				wantKind(t, "LookupUser", err, backend.KindNotFound, backend.KindInvalidArgument)
			default:
				wantKind(t, fmt.Sprintf("LookupUser(%.20q)", n.text), err, backend.KindNotFound)
			}
		})
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
	if len(s.plugin.Info().Mechanisms()) == 0 {
		lacks(t, "Mechanisms", backend.CapSASL+"<MECHANISM>")
	}
	for _, m := range s.plugin.Info().Mechanisms() {
		for i, state := range [][]byte{nil, []byte("x"), {0}, {1}, {2, 1, 'x'}, {3, 5, 'a'}, []byte(strings.Repeat("s", backend.MaxSASLState))} {
			for k, response := range [][]byte{nil, {}, []byte("x"), []byte("n,,n=x,r=y"), []byte("n,,n=" + s.f.Unknown + ",r=y"), []byte("\x00\x01\xff"),
				[]byte("user=x\x01auth=Bearer x\x01\x01"), []byte(strings.Repeat("n,", 8<<10))} {
				t.Run(fmt.Sprintf("%s/State%d/Response%d", m, i, k), func(t T) {
					x, err := step(m, response, state)
					switch {
					case err == nil && x.Identity != nil:
						t.Errorf("%s: %.20q in state %.20q logs in as %s", m, response, state, x.Identity.User.Name)
					case err == nil && (len(x.State) > backend.MaxSASLState || len(x.Challenge) > backend.MaxSASLMessage):
						t.Errorf("%s: %.20q in state %.20q: challenge of %d bytes, state of %d", m, response, state, len(x.Challenge), len(x.State))
					}
				})
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
