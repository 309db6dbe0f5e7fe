package imap

// UNAUTHENTICATE (RFC 8437 §3) takes everything back that the session has been since its greeting, but TLS. What the handshake showed is forgotten
// by then (session.Channel): no mechanism with channel binding and no EXTERNAL is offered any more. It never says NO, since a
// client may send AUTHENTICATE in the same packet. A compressed stream can not be ended in its midst: there the
// command is not announced, and refused.
func quickUnauthenticate(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	if r.s.Compressed() {
		return true, bad("UNAUTHENTICATE is not allowed after COMPRESS.")
	}
	user := r.user().Name
	r.srv.leaveAll(r.s)
	r.st.Proto, r.st.Enabled, r.st.Aux, *r.s.Bad() = stateNotAuthenticated, 0, 0, 0 // RFC 8437 §4.1
	r.st.Flags &^= flagReader
	r.s.SetDeadline(r.srv.cfg.LoginTimeout)
	r.srv.log.InfoContext(r.context(), "unauthenticated", "user", user, "remote", r.s.Remote())
	r.ok.code = "CAPABILITY " + string(r.srv.appendCapabilities(nil, r.s))
	return true, nil
}
