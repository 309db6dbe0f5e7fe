package session

import (
	"context"
	"errors"
	"io"

	"github.com/roostmail/roost/core/conn"
	"github.com/roostmail/roost/core/conn/tls13"
	"github.com/roostmail/roost/core/imapwire"
)

// minRead is the room that is made for a read behind input that is kept already.
const minRead = 4 << 10

// refusedHead is how much of a refused command Protocol.Refuse is shown.
const refusedHead = 1 << 10

// fill reads what has arrived. Nothing is read before what was read is used, so a client that
// does not wait for answers is held back by its own TCP window.
func (s *Session) fill() {
	s.keepInput() // also if all of it is used: what is read next is somewhere else
	dst := s.scratch
	if len(s.in) > 0 {
		x := s.x
		if cap(x.in)-len(x.in) < minRead {
			grown := make([]byte, len(x.in), max(2*cap(x.in), len(x.in)+minRead))
			copy(grown, x.in)
			x.in = grown
		}
		dst = x.in[len(x.in):cap(x.in)]
	}
	n := s.receive(dst)
	if n == 0 {
		return
	}
	s.r.todo |= todoInput
	if len(s.in) > 0 {
		s.x.in = s.x.in[:len(s.x.in)+n]
		s.in = s.x.in
		return
	}
	s.in, s.inX = dst[:n], false
}

// receive reads into p, and notes it when there is nothing more to read now, or ever. It returns how much it has read.
func (s *Session) receive(p []byte) int {
	n, err := s.readStream(p)
	switch {
	case err == conn.ErrAgain:
		s.r.todo &^= todoRead
		return 0
	case err == io.EOF: // it may still read what it asked for before
		s.r.todo &^= todoRead
		s.Close()
		return 0
	case err != nil:
		s.failed(err)
		return 0
	}
	s.r.received = s.now
	return n
}

// failed ends the session because of an error of its connection.
func (s *Session) failed(err error) {
	var refused *tls13.Error
	if errors.As(err, &refused) {
		s.refused(refused)
		return
	}
	s.e.log.Debug("session ended by its connection", "remote", s.Remote(), "error", err)
	s.err = ErrGone
}

// readStream reads into p, decompressed if the stream is compressed.
func (s *Session) readStream(p []byte) (int, error) {
	if s.deflating() {
		return s.inflate(p)
	}
	return s.read(p)
}

// read reads from the connection into p. A plaintext socket that gave less than it was asked for has no more just now.
func (s *Session) read(p []byte) (int, error) {
	switch {
	case s.tls.State != nil:
		return s.readRecords(p)
	case s.x != nil && s.x.tls != nil:
		return s.x.tls.read(p)
	}
	n, err := conn.Read(int(s.r.fd), p)
	if n < len(p) && s.r.flags&flagEOF == 0 {
		s.r.todo &^= todoRead
	}
	return n, err
}

// keepInput moves the input that was not used to the front of x.in.
func (s *Session) keepInput() {
	if len(s.in) == 0 {
		if s.inX {
			s.x.in, s.in = s.x.in[:0], nil
		}
		return
	}
	x := s.extra()
	if s.inX && len(s.in) == len(x.in) {
		return // it is there: a literal that comes in pieces is not copied for each
	}
	x.in = append(x.in[:0], s.in...)
	s.in, s.inX = x.in, true
}

// consume drops the first n bytes of the input.
func (s *Session) consume(n int) { s.in = s.in[n:] }

// limits returns what the session's next input may be.
func (s *Session) limits() imapwire.FrameLimits {
	c := &s.e.cfg
	lim := imapwire.FrameLimits{Line: c.MaxLine, Command: c.MaxCommand, Lines: s.r.mode == ModeLine}
	if s.r.state.User == 0 {
		lim.Line = c.MaxLineUnauth
	}
	return lim
}

// frame looks for the next command in the input and gives it to the protocol.
func (s *Session) frame() {
	lim := s.limits()
	fr := s.framer.Next(s.in, lim)
	switch fr.Kind {
	case imapwire.FrameCommand:
		s.command(fr.N)
	case imapwire.FrameLiteral:
		s.literal(fr, lim)
	case imapwire.FrameLineTooLong:
		s.refuse(RefuseLineTooLong, fr.Head, s.limitName(limitLine, limitLineUnauth))
		s.drop(fr.N)
	case imapwire.FrameCommandTooLong:
		s.refuse(RefuseCommandTooLong, fr.Head, limitCommand)
		s.drop(fr.N)
	default:
		s.consume(fr.N)
		if fr.N == 0 || len(s.in) == 0 {
			s.r.todo &^= todoInput
		}
	}
}

// command gives the complete command in the first n bytes of the input to the protocol, or leaves it for a worker.
func (s *Session) command(n int) {
	cmd := s.in[:n]
	quick := false
	if s.r.mode == ModeLine {
		quick = s.e.p.Line(s, cmd)
	} else {
		quick = s.e.p.Quick(s, cmd)
	}
	if quick {
		s.e.counts.quick.Add(1)
		s.used(n)
		return
	}
	s.extra().ready = n
	s.r.todo |= todoRun
}

// drop drops the n bytes at the front of the input that are of a command which is done with, and its bodies.
func (s *Session) drop(n int) {
	s.consume(n)
	if len(s.in) == 0 {
		s.r.todo &^= todoInput // a worker need not look again, perhaps after waiting for its turn
	}
	s.dropSpool()
}

// used drops a command that has been answered. After STARTTLS what follows it is dropped too, and after COMPRESS it is compressed.
func (s *Session) used(n int) {
	s.drop(n)
	if s.r.flags&flagStartTLS != 0 {
		s.in = s.in[:0]
	}
	s.beginCompression()
}

// literal lets the protocol and the limits decide about a literal.
func (s *Session) literal(fr imapwire.Frame, lim imapwire.FrameLimits) {
	if s.r.state.User == 0 && fr.Size > uint64(s.e.cfg.MaxLiteralUnauth) {
		s.refuse(RefuseLiteralTooLong, fr.N, limitLiteralUnauth)
		s.decided(fr, false)
		return
	}
	answer := s.e.p.Literal(s, s.in[:fr.N], fr.Size, fr.NonSync)
	if answer == LiteralAsk {
		s.extra().asked = fr
		s.r.todo |= todoLiteral
		return
	}
	s.decided(fr, s.accept(fr, lim, answer))
}

// runLiteral lets the protocol decide about a literal on a worker.
func (s *Session) runLiteral() (more bool, v verdict) {
	return s.job(todoLiteral, func(ctx context.Context) {
		fr := s.x.asked
		s.x.asked = imapwire.Frame{}
		answer := s.e.p.RunLiteral(ctx, s, s.in[:fr.N], fr.Size, fr.NonSync)
		s.decided(fr, s.accept(fr, s.limits(), answer))
	})
}

// decided goes on behind a literal's announcement.
func (s *Session) decided(fr imapwire.Frame, accepted bool) {
	if !accepted {
		s.framer.Refuse(fr.NonSync)
		s.drop(fr.N)
		return
	}
	if !fr.NonSync {
		s.WriteString("+ OK\r\n")
	}
}

// accept tells the framer what to do with a literal, if the limits allow what the protocol has answered. It reports
// whether it is accepted; if not, the client has been told.
func (s *Session) accept(fr imapwire.Frame, lim imapwire.FrameLimits, answer LiteralAnswer) bool {
	switch {
	case answer == LiteralRefuse || answer == LiteralAsk:
		return false
	case answer == LiteralSpool:
		return s.body(fr, lim)
	case fr.Size > uint64(s.e.cfg.MaxLiteral):
		s.refuse(RefuseLiteralTooLong, fr.N, limitLiteral)
		return false
	case !lim.Fits(fr):
		s.refuse(RefuseCommandTooLong, fr.N, limitCommand)
		return false
	}
	s.framer.Accept()
	return true
}

// refuse tells the protocol what was refused of the command whose first head bytes are in the input. The caller drops it.
func (s *Session) refuse(why Refusal, head int, limit string) {
	s.e.refusals.input.hit(s, limit)
	s.e.p.Refuse(s, why, s.in[:min(head, refusedHead)], limit)
}

func (s *Session) limitName(auth, unauth string) string {
	if s.r.state.User == 0 {
		return unauth
	}
	return auth
}
