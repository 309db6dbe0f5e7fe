package imap

import (
	"context"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/session"
)

// IDLE (RFC 2177 §3). The session sleeps; Event wakes it when its mailbox has
// changed, Timeout when it is time for a line that keeps the connection open.

// quickIdle begins if the client has been told everything.
func quickIdle(r *request) (bool, error) {
	if err := r.end(); err != nil {
		return true, err
	}
	if r.st.Proto == stateSelected && !r.upToDate() {
		return false, nil
	}
	r.beginIdle()
	return true, errNoReply
}

// runIdle tells what there is to tell, and begins.
func runIdle(r *request) error {
	if err := r.refresh(); err != nil {
		return err
	}
	if r.mbox != nil {
		if err := r.sync(false); err != nil {
			return err
		}
	}
	r.tellHighest()
	r.beginIdle()
	return errNoReply
}

func (r *request) beginIdle() {
	r.st.Flags |= flagIdle
	*r.s.Bad() = 0
	keepTag(r.s, r.tag)
	r.s.SetMode(session.ModeLine)
	r.s.SetDeadline(r.srv.cfg.IdleKeepalive)
	r.s.WriteString("+ idling\r\n")
}

// idleLine handles the line that ends IDLE: DONE, in any case, as clients send it.
func (srv *Server) idleLine(s *session.Session, line []byte) bool {
	r := srv.request(s, nil)
	defer srv.free(r)
	r.cmd = commands["IDLE"]
	if !imapwire.EqualFold(trimLine(line), "DONE") {
		r.tag = srv.endLines(s)
		r.finish(bad("Expected DONE."))
		return true
	}
	if r.st.Proto == stateSelected && !r.srv.boxes.Told(s.Mailbox(), r.st.View) {
		return false
	}
	r.tag = srv.endLines(s)
	r.finish(nil)
	return true
}

// runDone ends IDLE after what there is still to tell.
func (r *request) runDone() {
	r.cmd = commands["IDLE"]
	r.tag = r.srv.endLines(r.s)
	r.finish(r.follow(false))
}

// idleUpdate tells an idling session what has happened.
func (r *request) idleUpdate() {
	err := r.follow(false)
	r.tellHighest()
	if err != nil {
		r.srv.log.DebugContext(r.context(), "idle ends", "error", err)
	}
}

// keepAlive sends a line so that neither the client nor a NAT in between gives the connection up.
func (srv *Server) keepAlive(s *session.Session) {
	s.SetDeadline(srv.cfg.IdleKeepalive)
	s.WriteString("* OK Still here\r\n")
}

// keepIdle is keepAlive, and looks for a change that could not be fetched before.
func (srv *Server) keepIdle(ctx context.Context, s *session.Session) {
	srv.keepAlive(s)
	srv.Event(ctx, s)
}
