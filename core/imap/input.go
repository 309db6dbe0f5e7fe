package imap

import (
	"context"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/session"
)

// Literal implements session.Protocol. A command that will fail anyway is
// refused before its literal is sent (RFC 3501 §7.5).
func (srv *Server) Literal(s *session.Session, cmd []byte, size uint64, nonSync bool) session.LiteralAnswer {
	return srv.literal(srv.request(s, cmd))
}

// RunLiteral implements session.Protocol: the command's literal decides again, with a context.
func (srv *Server) RunLiteral(ctx context.Context, s *session.Session, cmd []byte, size uint64, nonSync bool) session.LiteralAnswer {
	r := srv.request(s, cmd)
	r.ctx = ctx
	return srv.literal(r)
}

// literal asks the command, and frees r.
func (srv *Server) literal(r *request) session.LiteralAnswer {
	defer srv.free(r)
	answer, err := session.LiteralAccept, r.head()
	if err == nil && r.cmd.literal != nil {
		answer, err = r.cmd.literal(r)
	}
	if err == nil {
		return answer
	}
	r.finish(err)
	return session.LiteralRefuse
}

// Refuse implements session.Protocol.
func (srv *Server) Refuse(s *session.Session, why session.Refusal, head []byte, limit string) {
	st := s.State()
	r := srv.request(s, head)
	defer srv.free(r)
	if st.Flags&(flagIdle|flagSASL) != 0 {
		r.tag = srv.endLines(s)
	} else if tag := r.d.Tag(); r.d.TrySP() {
		r.tag = tag
	}
	var resp response
	switch why {
	case session.RefuseLineTooLong:
		resp = response{"BAD", "", "Line exceeds " + limit + "."}
	case session.RefuseLiteralTooLong:
		resp = response{"NO", "LIMIT", "Literal exceeds " + limit + "."}
	case session.RefuseMessageTooLarge: // RFC 7889 §4, RFC 4469 §4.2
		resp = response{"NO", "TOOBIG", "Message exceeds " + limit + "."}
	case session.RefuseSpoolFull:
		resp = response{"NO", "UNAVAILABLE", "Too much mail is being sent at once, try again later (" + limit + ")."}
	case session.RefuseSpoolFailed:
		resp = response{"NO", "UNAVAILABLE", "Message could not be kept, see the server's log (" + limit + ")."}
	default:
		resp = response{"BAD", "", "Command exceeds " + limit + "."}
	}
	r.write(&resp)
	switch why {
	case session.RefuseMessageTooLarge, session.RefuseSpoolFull, session.RefuseSpoolFailed: // nothing malformed
	default:
		srv.countBad(s)
	}
}

// endLines ends what a session reads lines for, IDLE or AUTHENTICATE, and returns its tag.
func (srv *Server) endLines(s *session.Session) (tag []byte) {
	st := s.State()
	tag = takeTag(s)
	if st.Flags&flagIdle != 0 {
		s.SetDeadline(srv.cfg.Autologout)
	}
	st.Flags &^= flagIdle | flagSASL
	if s.Extra() != nil {
		change(s, func(x *extra) { x.user, x.mechanism, x.sasl = "", "", "" })
	}
	s.SetMode(session.ModeCommand)
	return tag
}

// Line implements session.Protocol.
func (srv *Server) Line(s *session.Session, line []byte) bool {
	st := s.State()
	if st.Flags&flagIdle != 0 {
		return srv.idleLine(s, line)
	}
	return srv.saslLine(s, line)
}

// RunLine implements session.Protocol.
func (srv *Server) RunLine(ctx context.Context, s *session.Session, line []byte) {
	r := srv.request(s, nil)
	r.ctx = ctx
	defer srv.free(r)
	if r.st.Flags&flagIdle != 0 {
		r.runDone()
		return
	}
	r.runSASL(line)
}

// trimLine cuts off the line end.
func trimLine(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// QuickTimeout implements session.Protocol: what keeps a session that sleeps on.
func (srv *Server) QuickTimeout(s *session.Session) bool {
	switch st := s.State(); {
	case st.Flags&flagDelayed != 0 || st.Proto == stateNotAuthenticated:
		return false
	case st.Flags&flagIdle != 0:
		if srv.EventWanted(s) {
			return false
		}
		srv.keepAlive(s)
		return true
	}
	return srv.stays(s)
}

// Timeout implements session.Protocol.
func (srv *Server) Timeout(ctx context.Context, s *session.Session) {
	st := s.State()
	switch {
	case st.Flags&flagDelayed != 0:
		srv.answerDelayed(s)
	case st.Proto == stateNotAuthenticated:
		srv.doors.late.Hit(s, limitLoginTimeout)
		srv.bye(s, "Not logged in for too long ("+limitLoginTimeout+").")
	case st.Flags&flagIdle != 0:
		srv.keepIdle(ctx, s)
	case !srv.stays(s):
		srv.bye(s, "Disconnected for inactivity.") // RFC 3501 §5.4
	}
}

// stays sets the session's deadline anew if there is something left of it, since it is not moved by each command.
func (srv *Server) stays(s *session.Session) bool {
	left := srv.cfg.Autologout - sinceReceived(s)
	if left <= 0 {
		return false
	}
	s.SetDeadline(left)
	return true
}

func (srv *Server) bye(s *session.Session, text string) {
	s.State().Proto = stateLogout
	b := s.Buffer()
	*b = append(*b, "* BYE "...)
	*b = imapwire.AppendText(*b, text)
	*b = append(*b, '\r', '\n')
	s.Commit()
	s.Close()
}
