package imap

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/session"
)

// sendsPassword reports whether a mechanism shows what a listener could log in with (RFC 3501 §11.2).
func sendsPassword(mechanism string) bool {
	return slices.Contains([]string{"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"}, mechanism)
}

// Binds reports whether a mechanism proves that nobody sits between the client and the server (RFC 5801 §8: the suffix).
func Binds(mechanism string) bool { return strings.HasSuffix(mechanism, "-PLUS") }

// offersMechanism reports whether a session may use a mechanism that is configured.
func (srv *Server) offersMechanism(s *session.Session, mechanism string) bool {
	switch {
	case Binds(mechanism):
		c := s.Channel()
		return c.Exporter != nil || c.EndPoint != nil
	case mechanism == mechanismExternal:
		return s.Channel().Client != ""
	}
	return !sendsPassword(mechanism) || srv.mayLogin(s)
}

// mechanismExternal takes the client for the user whom its certificate names (RFC 4422 Appendix A).
const mechanismExternal = "EXTERNAL"

// bindings returns the channel bindings of a session, if it was announced a mechanism that wants one: a client that says it has seen none is
// refused then (RFC 5802 §6), whichever mechanism it has taken.
func (srv *Server) bindings(c session.Channel) (list []backend.ChannelBinding) {
	if !slices.ContainsFunc(srv.cfg.Mechanisms, Binds) {
		return nil
	}
	if c.Exporter != nil {
		list = append(list, backend.ChannelBinding{Type: "tls-exporter", Data: c.Exporter})
	}
	if c.EndPoint != nil {
		list = append(list, backend.ChannelBinding{Type: "tls-server-end-point", Data: c.EndPoint})
	}
	return list
}

// CheckMechanisms returns an error that names the first mechanism, upper case, that neither core nor the auth plugin can do.
func CheckMechanisms(mechanisms []string, auth backend.Info) error {
	known := append([]string{"PLAIN", "LOGIN"}, auth.Mechanisms()...)
	for _, m := range mechanisms {
		if !slices.Contains(known, m) {
			return fmt.Errorf("imap: the auth plugin %s has no SASL mechanism %s ([auth] mechanisms)", auth.Name, m)
		}
	}
	return nil
}

// saslUserName returns the name in a response, as far as core can read the mechanism, for the log and the count of failures; "" = it has none. It is not
// what the plugin goes by.
func saslUserName(mechanism string, response []byte) string {
	text := string(response)
	switch {
	case strings.HasPrefix(mechanism, "SCRAM-"): // gs2-header "n=" saslname "," … (RFC 5802 §7)
		parts := strings.SplitN(text, ",", 4)
		if len(parts) < 4 || !strings.HasPrefix(parts[2], "n=") {
			return ""
		}
		text = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(parts[2][2:])
	case mechanism == "CRAM-MD5": // user SP digest (RFC 2195 §2)
		text = text[:max(strings.LastIndexByte(text, ' '), 0)]
	default:
		return ""
	}
	if len(text) > maxUserName {
		return ""
	}
	return text
}

// maxUserName is the longest name that saslUserName returns, in bytes: sessions keep it.
const maxUserName = 255

// saslStep gives a client's response to the auth plugin: nil if it has sent none. The session may sleep until
// the next one; it keeps what the plugin wants to know then.
//
// user is as whom the client wants to log in, if an earlier response has told.
func (r *request) saslStep(mechanism, user string, response, state []byte) error {
	if user == "" {
		user = saslUserName(mechanism, response)
	}
	if len(state) == 0 {
		if err := r.srv.mayTry(r.s); err != nil {
			return err
		}
	}
	plugin, ok := r.srv.auth.(backend.SASL)
	if !ok {
		return no("", "Unsupported authentication mechanism.")
	}
	peer, channel := r.peer(), r.s.Channel()
	x, err := plugin.StepSASL(r.ctx, backend.SASLRequest{
		Mechanism: mechanism,
		Response:  response,
		State:     state,
		Service:   peer.Service,
		Remote:    peer.Remote,
		Local:     peer.Local,
		Secured:   peer.Secured,
		Session:   peer.Session,

		Bindings:    r.srv.bindings(channel),
		Certificate: channel.Client,
	})
	switch {
	case backend.KindOf(err) == backend.KindInvalidArgument && err != nil:
		return bad("Invalid SASL response.")
	case err != nil:
		return r.refuseLogin(user, err)
	case x == nil:
		return &backend.Error{Kind: backend.KindInternal, Detail: "auth answered without an answer"}
	case x.Identity != nil:
		return r.admitted(x.Identity)
	}
	change(r.s, func(e *extra) { e.mechanism, e.user, e.sasl = mechanism, user, string(x.State) })
	r.saslContinue(flagSASLNext, "+ "+base64.StdEncoding.EncodeToString(x.Challenge)+"\r\n")
	return errNoReply
}
