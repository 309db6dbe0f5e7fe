package imap

import (
	"context"
	"errors"
	"log/slog"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

// request is one command while it is executed. It is pooled: nothing may refer to it
// after the command.
type request struct {
	srv *Server
	s   *session.Session
	st  *session.State
	ctx context.Context // nil on a loop

	d   imapwire.Decoder // behind the command's name
	tag []byte           // nil: untagged
	cmd *command
	ok  response // of success; text "" = "NAME completed."
	// then is called after the tagged response.
	then func()

	mbox *mailbox.Mailbox // the selected one, held until the end of the command; nil = nobody has needed it yet
	view *mailbox.View    // what the session's sequence numbers refer to
	// fresh: the command has looked at the mailbox already, and sync need not.
	fresh bool
	put   []uint32    // UIDs of messages that the command itself has added to the selected mailbox, ascending
	own   *ownChange  // what the command itself did to flags, nil = nothing
	saved mailbox.Run // what APPEND to the selected mailbox has claimed, until sync tells of it

	limit   string // response code MESSAGELIMIT of a command that has not done all (messagelimit.go)
	told    uint64 // the highest modseq that the command has told of a message
	highest uint64 // HIGHESTMODSEQ that a client with QRESYNC is still to be told, 0 = none

	ran bool   // the command has done its work, of which the client is told whatever becomes of the session
	bye string // ends the session behind the tagged response, "" = it goes on
}

// request returns a request for a command on a loop; a worker sets its ctx.
func (srv *Server) request(s *session.Session, cmd []byte) *request {
	r := srv.pool.Get().(*request)
	*r = request{srv: srv, s: s, st: s.State(), d: imapwire.NewDecoder(cmd, srv.cfg.Limits)}
	if r.utf8() {
		r.d.RequireUTF8()
	}
	return r
}

func (srv *Server) free(r *request) {
	if r.mbox != nil {
		r.mbox.Release()
	}
	*r = request{}
	srv.pool.Put(r)
}

// originate sets the context of a request that may make calls of plugins.
func (r *request) originate(ctx context.Context) {
	o := backend.Origin{Request: r.srv.requests.Add(1)}
	if u := r.user(); u != nil {
		o.User = u.Name
	}
	r.ctx = backend.WithOrigin(ctx, o)
}

// context returns that of the request, for logs.
func (r *request) context() context.Context {
	if r.ctx == nil {
		return context.Background()
	}
	return r.ctx
}

// Quick implements session.Protocol.
func (srv *Server) Quick(s *session.Session, cmd []byte) bool {
	r := srv.request(s, cmd)
	defer srv.free(r)
	if err := r.head(); err != nil {
		r.finish(err)
		return true
	}
	if r.cmd.quick == nil {
		return false
	}
	done, err := r.cmd.quick(r)
	if done {
		r.finish(err)
	}
	return done
}

// Run implements session.Protocol.
func (srv *Server) Run(ctx context.Context, s *session.Session, cmd []byte) {
	srv.quiet.Touch()
	r := srv.request(s, cmd)
	r.originate(ctx)
	defer srv.free(r)
	err := r.head()
	if err == nil {
		err = r.pin()
	}
	if err == nil {
		err = r.cmd.run(r)
		if r.mbox != nil && err != nil && backend.KindOf(err) == backend.KindNotFound {
			r.mbox.Doubt() // its name may be that of another mailbox by now
		}
		if r.cmd.sync != syncNone && r.st.Proto == stateSelected && !isBad(err) {
			r.ran = true
			if lost := r.follow(r.cmd.sync == syncNoExpunge); r.bye == "" {
				err = errors.Join(err, lost)
			}
		}
	}
	r.finish(err)
	if r.bye != "" {
		r.farewell(r.bye)
	}
	if r.st.Aux&notifyNow != 0 && srv.wantsSelected(s) { // what the command was not allowed to tell
		r.cmd, r.own, r.fresh = nil, nil, false
		r.idleUpdate()
	}
	if r.st.Proto != stateNotAuthenticated && r.st.Flags&flagIdle == 0 {
		s.SetDeadline(srv.cfg.Autologout) // a command that took long is no inactivity
	}
}

// head reads the tag and the command's name, and checks the session's state.
func (r *request) head() error {
	tag := r.d.Tag()
	r.d.SP()
	if r.d.OK() {
		r.tag = tag
	}
	var buf [len("UID ") + imapwire.MaxWord]byte
	name := r.d.AppendWord(buf[:0])
	if string(name) == "UID" { // RFC 3501 §6.4.8
		r.d.SP()
		name = r.d.AppendWord(append(name, ' '))
	}
	if err := r.d.Err(); err != nil {
		return err
	}
	cmd := commands[string(name)]
	if cmd == nil || cmd.with != nil && !cmd.with(r.srv) {
		return bad("Unknown command.")
	}
	r.cmd = cmd
	if cmd.states&(1<<r.st.Proto) != 0 {
		if r.enabled(enabledUIDOnly) && cmd.wantsNumbers() {
			return errUIDRequired
		}
		return r.permit()
	}
	switch {
	case r.st.Proto == stateNotAuthenticated:
		return bad("Please log in first.")
	case cmd.states == inSelected:
		return bad("No mailbox selected.")
	}
	return bad("Command is not allowed in this state.")
}

// end reads the end of the command and returns the decoder's error.
func (r *request) end() error {
	r.d.End()
	return r.d.Err()
}

// user returns the authenticated user.
func (r *request) user() *backend.User { return r.srv.users.Get(r.st.User) }

// pin finds, for a command that is about the selected mailbox, the view that the client knows.
func (r *request) pin() error {
	if r.cmd.states != inSelected {
		return nil
	}
	return r.pinSelected()
}

// pinSelected is pin in stateSelected, for a command that need not be about the mailbox.
func (r *request) pinSelected() error {
	m, err := r.hold()
	if err != nil {
		return err
	}
	if r.view, err = m.At(r.st.View); err != nil {
		return r.lost(err)
	}
	return nil
}

// hold returns the selected mailbox, which it wakes if it sleeps.
func (r *request) hold() (*mailbox.Mailbox, error) {
	if r.mbox == nil {
		m, err := r.srv.boxes.Wake(r.ctx, r.s.Mailbox())
		if err != nil {
			return nil, r.lost(err)
		}
		r.mbox = m
	}
	return r.mbox, nil
}

// lost ends a session whose mailbox has no way back to what the client knows, behind the tagged response of a command that was carried out: a client
// that is not told would append its message once more. Other errors are returned as they are.
func (r *request) lost(err error) error {
	text := ""
	switch err {
	case mailbox.ErrHistoryGone:
		text = "* BYE [UNAVAILABLE] Too many changes since this session's last command ([limits] mailbox_journal), please reconnect.\r\n"
	case mailbox.ErrReplaced:
		text = "* BYE [UNAVAILABLE] Selected mailbox was recreated, please reconnect.\r\n"
	case mailbox.ErrDeleted:
		text = "* BYE Selected mailbox was deleted, please reconnect.\r\n"
	default:
		return err
	}
	r.srv.log.InfoContext(r.context(), "session ends with its mailbox", "user", r.user().Name, "remote", r.s.Remote(), "reason", err)
	r.st.Proto = stateLogout
	r.srv.refused.note(text)
	if r.ran {
		r.bye = text
	} else {
		r.farewell(text)
	}
	return errNoReply
}

// farewell writes a BYE and ends the session.
func (r *request) farewell(bye string) {
	r.s.WriteString(bye)
	r.s.Close()
}

func isBad(err error) bool {
	return err != nil && !errors.Is(err, errNoReply) && responseOf(err).status == "BAD"
}

// finish writes the tagged response for the outcome of the command.
func (r *request) finish(err error) {
	if errors.Is(err, errNoReply) {
		return
	}
	resp := &r.ok
	if err == nil && r.limit != "" {
		if resp.code == "" {
			resp.code = r.limit
		} else {
			r.s.WriteString("* OK [" + r.limit + "] Not all messages were processed.\r\n")
		}
	}
	if err == nil && resp.code == "" && r.highest != 0 { // RFC 7162 §3.2.7
		resp.code, r.highest = string(imapwire.AppendNumber([]byte("HIGHESTMODSEQ "), r.highest)), 0
	}
	r.tellHighest()
	if err != nil {
		resp = responseOf(err)
		r.srv.refused.note(resp.text)
		r.logError(err)
	} else {
		resp.status = "OK"
		if resp.text == "" {
			resp.text = r.cmd.done
		}
		r.logDone()
	}
	r.write(resp)
	if resp.status != "BAD" {
		*r.s.Bad() = 0
	} else {
		r.srv.countBad(r.s)
	}
	if r.then != nil {
		r.then()
	}
}

// tellHighest tells HIGHESTMODSEQ in a response of its own, if it is still to be told.
func (r *request) tellHighest() {
	if r.highest == 0 {
		return
	}
	b := r.s.Buffer()
	*b = appendCode(*b, "HIGHESTMODSEQ", r.highest, "Highest")
	r.highest = 0
	r.s.Commit()
}

// write writes a response with the command's tag.
func (r *request) write(resp *response) {
	b := r.s.Buffer()
	*b = appendTag(*b, r.tag)
	*b = resp.append(*b)
	r.s.Commit()
}

func appendTag(b, tag []byte) []byte {
	if len(tag) == 0 {
		return append(b, "* "...)
	}
	return append(append(b, tag...), ' ')
}

// countBad counts a malformed command and ends a session that sends nothing else.
func (srv *Server) countBad(s *session.Session) {
	bad := s.Bad()
	if *bad < 255 {
		*bad++
	}
	if int(*bad) > srv.cfg.MaxBad {
		srv.doors.bad.Hit(s, limitBadCommands)
		s.State().Proto = stateLogout
		s.WriteString("* BYE Too many invalid commands (" + limitBadCommands + ").\r\n")
		s.Close()
	}
}

// logDone tells who follows a command that it was executed, beside what the plugins log for it.
func (r *request) logDone() {
	if r.ctx != nil && r.srv.log.Enabled(r.ctx, slog.LevelDebug) {
		r.srv.log.DebugContext(r.ctx, "command", "command", r.cmd.name, "remote", r.s.Remote())
	}
}

// logError tells the administrator what a client is not told.
func (r *request) logError(err error) { r.logTrouble("command failed", err) }

// logTrouble is logError of what need not have failed the command.
func (r *request) logTrouble(message string, err error) {
	var e *backend.Error
	level := slog.LevelDebug
	var syntax *imapwire.SyntaxError
	var resp *response
	if !errors.As(err, &syntax) && !errors.As(err, &resp) {
		switch backend.KindOf(err) {
		case backend.KindInternal, backend.KindCorrupted, backend.KindUnavailable, backend.KindInUse:
			level = slog.LevelError
		case backend.KindNoPermission, backend.KindOverQuota, backend.KindReadOnly: // with a detail, of the machine: an owner, a full disk
			if errors.As(err, &e) && e.Detail != "" {
				level = slog.LevelError
			}
		case backend.KindLimit: // of a plugin: core's own have no detail, and are counted
			if errors.As(err, &e) && e.Detail != "" {
				level = slog.LevelWarn
			}
		}
	}
	if !r.srv.log.Enabled(context.Background(), level) {
		return
	}
	attrs := []any{"error", err, "remote", r.s.Remote()}
	if u := r.user(); u != nil {
		attrs = append(attrs, "user", u.Name)
	}
	if r.cmd != nil {
		attrs = append(attrs, "command", r.cmd.name)
	}
	if errors.As(err, &e) && e.Detail != "" {
		attrs = append(attrs, "detail", e.Detail)
	}
	r.srv.log.Log(r.context(), level, message, attrs...)
}
