package imap

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/session"
)

// mayLogin reports whether a password may be sent over this connection.
func (srv *Server) mayLogin(s *session.Session) bool {
	return srv.cfg.AllowPlaintextAuth || srv.secured(s)
}

// secured reports whether nobody can listen in on the connection.
func (srv *Server) secured(s *session.Session) bool {
	return s.TLS() || srv.cfg.TrustLocal && sameHost(s.Remote().Addr(), s.Local().Addr())
}

func sameHost(remote, local netip.Addr) bool { return remote.IsValid() && remote == local }

// errPrivacy refuses a password over a connection without TLS (RFC 5530 §3: PRIVACYREQUIRED).
var errPrivacy = no("PRIVACYREQUIRED", "Plaintext authentication is not allowed without TLS.")

// takesPasswords reports whether a password is taken from a client at all. The command LOGIN is what PLAIN and LOGIN are, and goes with them.
func (srv *Server) takesPasswords() bool {
	return slices.Contains(srv.cfg.Mechanisms, "PLAIN") || slices.Contains(srv.cfg.Mechanisms, "LOGIN")
}

// mayUseLogin refuses the command LOGIN where it is not offered (RFC 3501 §6.2.3: LOGINDISABLED).
func (srv *Server) mayUseLogin(s *session.Session) error {
	switch {
	case !srv.takesPasswords():
		return no("", "LOGIN is not offered here, use AUTHENTICATE ([auth] mechanisms has neither PLAIN nor LOGIN).")
	case !srv.mayLogin(s):
		return errPrivacy
	}
	return nil
}

// quickLogin refuses what needs no plugin.
func quickLogin(r *request) (bool, error) {
	err := r.srv.mayUseLogin(r.s)
	return err != nil, err
}

// LOGIN (RFC 3501 §6.2.3): "LOGIN" SP userid SP password.
func runLogin(r *request) error {
	r.d.SP()
	user := r.d.AString()
	r.d.SP()
	password := r.d.AString()
	if err := r.end(); err != nil {
		return err
	}
	if err := r.srv.mayUseLogin(r.s); err != nil {
		return err
	}
	return r.login(string(user), "", string(password))
}

// login checks a password and, if it is right, makes the session authenticated.
func (r *request) login(user, authz, password string) error {
	if err := r.srv.mayTry(r.s); err != nil {
		return err
	}
	peer := r.peer()
	peer.User, peer.AuthzID, peer.Password = user, authz, password
	id, err := r.srv.auth.VerifyPassword(r.ctx, peer)
	if err == nil && id == nil {
		err = &backend.Error{Kind: backend.KindInternal, Detail: "auth answered without an identity"}
	}
	if err != nil {
		return r.refuseLogin(user, err)
	}
	return r.admitted(id)
}

// peer returns who is at the other end of the connection.
func (r *request) peer() backend.PasswordRequest {
	return backend.PasswordRequest{
		Service: "imap",
		Remote:  r.s.Remote().Addr(),
		Local:   r.s.Local().Addr(),
		Secured: r.srv.secured(r.s),
		Session: fmt.Sprintf("%016x", uint64(r.s.Handle())),
	}
}

// admitted makes the session authenticated, if the user may have one more.
func (r *request) admitted(id *backend.Identity) error {
	number, err := r.srv.admit(r.s, &id.User)
	if err != nil {
		return err
	}
	r.srv.doors.attempts.succeed(session.AddressKey(r.s.Remote().Addr()))
	r.srv.logins.Add(1)
	attrs := []any{"user", id.User.Name, "remote", r.s.Remote(), "tls", r.s.TLS()}
	if master := id.User.Fields[backend.FieldMaster]; master != "" {
		attrs = append(attrs, "master", master)
	}
	if id.Label != "" {
		attrs = append(attrs, "label", id.Label)
	}
	if id.ReadOnly {
		attrs = append(attrs, "read_only", true)
		r.st.Flags |= flagReader
	}
	r.srv.log.InfoContext(r.context(), "login", attrs...)
	r.s.ForgetChannel()
	r.st.User = number
	r.st.Proto = stateAuthenticated
	*r.s.Bad() = 0
	r.s.SetDeadline(r.srv.cfg.Autologout)
	// The capabilities are other ones now (RFC 3501 §6.2.3).
	r.ok.code = "CAPABILITY " + string(r.srv.appendCapabilities(nil, r.s))
	r.ok.text = "Logged in"
	return nil
}

// refuseLogin makes the answer to a login that the auth plugin refused wait,
// without holding a worker: the session sleeps, reading nothing, until Timeout.
func (r *request) refuseLogin(user string, err error) error {
	switch backend.KindOf(err) {
	case backend.KindAuthFailed, backend.KindAuthDenied, backend.KindAuthExpired:
	default:
		return err
	}
	detail := ""
	var e *backend.Error
	if errors.As(err, &e) {
		detail = e.Detail
	}
	delay := r.srv.penalty(r.s.Remote().Addr(), user)
	r.srv.log.InfoContext(r.context(), "login refused", "user", user, "remote", r.s.Remote(), "reason", backend.KindOf(err), "detail", detail, "delay", delay)
	if delay <= 0 {
		return err
	}
	reply := responseOf(err).append(appendTag(nil, r.tag))
	change(r.s, func(x *extra) { x.reply = reply })
	r.st.Flags |= flagDelayed
	r.s.SetMode(session.ModeHold)
	r.s.SetDeadline(delay)
	return errNoReply
}

// penalty counts a login that was refused, and returns how long its answer waits: as long as the failures of its address want, or those of its user from
// anywhere, if these are more. A right password is never held up by what others have tried, and does not make their failures forgotten: only the
// address's own.
func (srv *Server) penalty(from netip.Addr, user string) time.Duration {
	n := srv.doors.attempts.fail(session.AddressKey(from))
	if key := srv.doors.users.userKey(user); key != 0 {
		n = max(n, srv.doors.users.fail(key))
	}
	return penalty(n, srv.cfg.AuthFailureDelay, srv.cfg.MaxFailureDelay)
}

// answerDelayed sends the answer that refuseLogin has put off. LoginTimeout begins anew.
func (srv *Server) answerDelayed(s *session.Session) {
	s.State().Flags &^= flagDelayed
	change(s, func(x *extra) {
		s.Write(x.reply)
		x.reply = nil
	})
	s.SetMode(session.ModeCommand)
	s.SetDeadline(srv.cfg.LoginTimeout)
}

// sinceReceived returns how long ago the last input arrived.
func sinceReceived(s *session.Session) time.Duration { return time.Since(s.Received()) }
