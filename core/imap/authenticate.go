package imap

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/session"
)

// AUTHENTICATE (RFC 3501 §6.2.2, RFC 4959 for the initial response):
// "AUTHENTICATE" SP auth-type [SP (base64 / "=")], with the mechanisms PLAIN (RFC 4616) and LOGIN, which need no more of the
// auth plugin than VerifyPassword, and those of its own (sasl.go).

// quickAuthenticate begins an exchange of PLAIN or LOGIN without an initial response, which needs no plugin.
func quickAuthenticate(r *request) (bool, error) {
	flag, mechanism, initial, err := r.parseAuthenticate()
	if err != nil {
		return true, err
	}
	if mechanism != "" || initial != nil && flag == flagSASLNext {
		return false, nil
	}
	if initial != nil {
		return true, r.saslUser(initial)
	}
	prompt := "+ \r\n" // an empty challenge
	if flag == flagSASLUser {
		prompt = "+ VXNlcm5hbWU6\r\n" // "Username:"
	}
	r.saslContinue(flag, prompt)
	return true, errNoReply
}

// runAuthenticate checks the initial response of PLAIN, or begins an exchange of one of the plugin's mechanisms.
func runAuthenticate(r *request) error {
	_, mechanism, initial, err := r.parseAuthenticate()
	if err != nil {
		return err
	}
	if mechanism != "" {
		return r.saslStep(mechanism, "", initial, nil)
	}
	return r.saslPlain(initial)
}

// parseAuthenticate returns which mechanism is wanted, "" for PLAIN and LOGIN, and the decoded initial response, nil = none.
func (r *request) parseAuthenticate() (flag uint8, mechanism string, initial []byte, err error) {
	r.d.SP()
	mechanism = strings.ToUpper(r.d.Word())
	var text []byte
	if r.d.TrySP() {
		text = r.d.AString()
	}
	if err := r.end(); err != nil {
		return 0, "", nil, err
	}
	if !slices.Contains(r.srv.cfg.Mechanisms, mechanism) {
		return 0, "", nil, no("", "Unsupported authentication mechanism.")
	}
	if !r.srv.offersMechanism(r.s, mechanism) {
		if sendsPassword(mechanism) {
			return 0, "", nil, errPrivacy
		}
		return 0, "", nil, no("", "Authentication mechanism is not available on this connection.")
	}
	flag = flagSASLNext
	switch mechanism {
	case "PLAIN":
		mechanism = ""
	case "LOGIN":
		flag, mechanism = flagSASLUser, ""
	}
	if text == nil {
		return flag, mechanism, nil, nil
	}
	if bytes.Equal(text, []byte("=")) { // RFC 4959 §3: an empty response
		return flag, mechanism, []byte{}, nil
	}
	initial, err = decodeBase64(text)
	return flag, mechanism, initial, err
}

// saslContinue sends a challenge and waits for a line.
func (r *request) saslContinue(flag uint8, prompt string) {
	r.st.Flags = r.st.Flags&^flagSASL | flag
	keepTag(r.s, r.tag)
	r.s.WriteString(prompt)
	r.s.SetMode(session.ModeLine)
}

// decodeBase64 decodes a SASL response (RFC 3501 §9: base64). The result is not nil.
func decodeBase64(text []byte) ([]byte, error) {
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(out, text)
	if err != nil {
		return nil, bad("Invalid base64 data in SASL response.")
	}
	return out[:n], nil
}

// saslLine handles a response line that needs no plugin: "*" cancels (RFC 3501
// §6.2.2), and the user name of LOGIN is only kept.
func (srv *Server) saslLine(s *session.Session, line []byte) bool {
	line = trimLine(line)
	st := s.State()
	cancel := bytes.Equal(line, []byte("*"))
	if !cancel && st.Flags&flagSASLUser == 0 {
		return false
	}
	r := srv.request(s, nil)
	defer srv.free(r)
	r.cmd = commands["AUTHENTICATE"]
	r.tag = srv.endLines(s)
	if cancel {
		r.finish(bad("Authentication aborted by client."))
		return true
	}
	user, err := decodeBase64(line)
	if err == nil {
		err = r.saslUser(user)
	}
	r.finish(err)
	return true
}

// saslUser keeps the user name of LOGIN and asks for the password.
func (r *request) saslUser(user []byte) error {
	change(r.s, func(x *extra) { x.user = string(user) })
	r.saslContinue(flagSASLPass, "+ UGFzc3dvcmQ6\r\n") // "Password:"
	return errNoReply
}

// runSASL takes a response of an exchange.
func (r *request) runSASL(line []byte) {
	r.cmd = commands["AUTHENTICATE"]
	flag := r.st.Flags & flagSASL
	var user, mechanism, state string
	if x, _ := r.s.Extra().(*extra); x != nil {
		user, mechanism, state = x.user, x.mechanism, x.sasl
	}
	r.tag = r.srv.endLines(r.s)
	response, err := decodeBase64(trimLine(line))
	if err == nil {
		switch {
		case mechanism != "":
			err = r.saslStep(mechanism, user, response, []byte(state))
		case flag == flagSASLPass:
			err = r.login(user, "", string(response))
		default:
			err = r.saslPlain(response)
		}
	}
	r.finish(err)
}

// saslPlain checks a response of PLAIN: [authzid] NUL authcid NUL passwd (RFC 4616 §2).
func (r *request) saslPlain(response []byte) error {
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 {
		return bad("Invalid PLAIN response.")
	}
	return r.login(string(parts[1]), string(parts[0]), string(parts[2]))
}
