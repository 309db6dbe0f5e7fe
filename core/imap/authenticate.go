package imap

import (
	"bytes"
	"encoding/base64"

	"github.com/roostmail/roost/core/session"
)

// AUTHENTICATE (RFC 3501 §6.2.2, RFC 4959 for the initial response):
// "AUTHENTICATE" SP auth-type [SP (base64 / "=")], with the mechanisms PLAIN (RFC 4616) and LOGIN.

// quickAuthenticate begins an exchange without an initial response, which needs no plugin.
func quickAuthenticate(r *request) (bool, error) {
	flag, initial, err := r.parseAuthenticate()
	if err != nil {
		return true, err
	}
	if initial != nil && flag == flagSASLPlain {
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

// runAuthenticate checks the initial response of PLAIN.
func runAuthenticate(r *request) error {
	_, initial, err := r.parseAuthenticate()
	if err != nil {
		return err
	}
	return r.saslPlain(initial)
}

// parseAuthenticate returns which mechanism is wanted, and the decoded initial response, nil = none.
func (r *request) parseAuthenticate() (flag uint8, initial []byte, err error) {
	r.d.SP()
	mechanism := r.d.Word()
	var text []byte
	if r.d.TrySP() {
		text = r.d.AString()
	}
	if err := r.end(); err != nil {
		return 0, nil, err
	}
	switch mechanism {
	case "PLAIN":
		flag = flagSASLPlain
	case "LOGIN":
		flag = flagSASLUser
	default:
		return 0, nil, no("", "Unsupported authentication mechanism.")
	}
	if !r.srv.mayLogin(r.s) {
		return 0, nil, errPrivacy
	}
	if text == nil {
		return flag, nil, nil
	}
	if bytes.Equal(text, []byte("=")) { // RFC 4959 §3: an empty response
		return flag, []byte{}, nil
	}
	initial, err = decodeBase64(text)
	return flag, initial, err
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

// runSASL checks the last response of an exchange.
func (r *request) runSASL(line []byte) {
	r.cmd = commands["AUTHENTICATE"]
	flag, user := r.st.Flags&flagSASL, ""
	if x, _ := r.s.Extra().(*extra); x != nil {
		user = x.user
	}
	r.tag = r.srv.endLines(r.s)
	response, err := decodeBase64(trimLine(line))
	if err == nil {
		if flag == flagSASLPass {
			err = r.login(user, "", string(response))
		} else {
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
