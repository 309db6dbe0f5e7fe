package imap

import (
	"encoding/base64"
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// sendsPassword reports whether a mechanism shows what a listener could log in with (RFC 3501 §11.2).
func sendsPassword(mechanism string) bool {
	return slices.Contains([]string{"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"}, mechanism)
}

// checkMechanisms returns the first mechanism that nobody can do, or "".
func checkMechanisms(mechanisms []string, auth backend.Auth) string {
	_, can := auth.(backend.SASL)
	known := []string{"PLAIN", "LOGIN"}
	if can {
		known = append(known, auth.Info().Mechanisms()...)
	}
	for _, m := range mechanisms {
		if !slices.Contains(known, m) {
			return m
		}
	}
	return ""
}

// saslStep gives a client's response to the auth plugin: nil if it has sent none. The session may sleep until
// the next one; it keeps what the plugin wants to know then.
func (r *request) saslStep(mechanism string, response, state []byte) error {
	if len(state) == 0 {
		if err := r.srv.mayTry(r.s); err != nil {
			return err
		}
	}
	plugin, ok := r.srv.auth.(backend.SASL)
	if !ok {
		return no("", "Unsupported authentication mechanism.")
	}
	peer := r.peer()
	x, err := plugin.StepSASL(r.ctx, backend.SASLRequest{
		Mechanism: mechanism,
		Response:  response,
		State:     state,
		Service:   peer.Service,
		Remote:    peer.Remote,
		Local:     peer.Local,
		Secured:   peer.Secured,
		Session:   peer.Session,
	})
	switch {
	case backend.KindOf(err) == backend.KindInvalidArgument && err != nil:
		return bad("Invalid SASL response.")
	case err != nil:
		return r.refuseLogin("", err)
	case x == nil:
		return &backend.Error{Kind: backend.KindInternal, Detail: "auth answered without an answer"}
	case x.Identity != nil:
		return r.admitted(x.Identity)
	}
	change(r.s, func(e *extra) { e.mechanism, e.sasl = mechanism, string(x.State) })
	r.saslContinue(flagSASLNext, "+ "+base64.StdEncoding.EncodeToString(x.Challenge)+"\r\n")
	return errNoReply
}
