package imap

import (
	"bytes"

	"github.com/roostmail/roost/core/session"
)

// State.Proto: the states of RFC 3501 §3.
const (
	stateNotAuthenticated uint8 = iota
	stateAuthenticated
	stateSelected
	stateLogout
)

// State.Flags.
const (
	flagIdle      uint8 = 1 << iota // in IDLE: the next line is DONE
	flagSASLNext                    // AUTHENTICATE: the next line is a response of the mechanism extra.mechanism, "" = PLAIN
	flagSASLUser                    // AUTHENTICATE LOGIN: the next line is the user name
	flagSASLPass                    // AUTHENTICATE LOGIN: the next line is the password
	flagDelayed                     // a refused login waits for its answer (extra.reply)
	flagReadWrite                   // the selected mailbox may be changed
	flagRecent                      // the session has claimed \Recent messages in it
	flagReader                      // the login was for reading alone (backend.Identity.ReadOnly)
)

const flagSASL = flagSASLNext | flagSASLUser | flagSASLPass

// State.Enabled.
const (
	enabledCondstore uint8 = 1 << iota // RFC 7162 §3.1
	enabledQresync                     // RFC 7162 §3.2.3; never without enabledCondstore
	enabledUTF8                        // RFC 6855 §3
	enabledRev2                        // RFC 9051 Appendix A
	enabledUIDOnly                     // RFC 9586 §3
)

// enabled reports whether the client has turned an extension on.
func (r *request) enabled(bit uint8) bool { return r.st.Enabled&bit != 0 }

// extra is the rare state of a session, freed when it is empty.
type extra struct {
	tag       string // of IDLE or AUTHENTICATE, if it is too long for State.Tag
	user      string // of AUTHENTICATE, if an earlier response has told
	sasl      string // what the auth plugin wants to know at the next response (backend.SASLAnswer.State)
	mechanism string // of AUTHENTICATE, if a plugin does it
	reply     []byte // answer to a refused login, which waits
	found     []byte // UIDs that "$" stands for (search_save.go)
	notify    string // the byte form of a notifySet
	contexts  []byte // searches with UPDATE (context.go)
}

// change changes the session's extra.
func change(s *session.Session, f func(x *extra)) {
	x, _ := s.Extra().(*extra)
	if x == nil {
		x = &extra{}
	}
	f(x)
	if x.tag == "" && x.user == "" && x.mechanism == "" && x.reply == nil && x.found == nil && x.notify == "" && x.contexts == nil {
		s.SetExtra(nil)
		return
	}
	s.SetExtra(x)
}

// keepTag saves the tag of a command that goes on with further lines.
func keepTag(s *session.Session, tag []byte) {
	st := s.State()
	clear(st.Tag[:])
	if len(tag) <= len(st.Tag) { // what a tag is made of is no zero byte
		copy(st.Tag[:], tag)
		return
	}
	change(s, func(x *extra) { x.tag = string(tag) })
}

// takeTag returns the saved tag and forgets it.
func takeTag(s *session.Session) []byte {
	st := s.State()
	if tag, _, _ := bytes.Cut(st.Tag[:], []byte{0}); len(tag) > 0 {
		tag = bytes.Clone(tag)
		clear(st.Tag[:])
		return tag
	}
	var tag []byte
	change(s, func(x *extra) {
		tag = []byte(x.tag)
		x.tag = ""
	})
	return tag
}
