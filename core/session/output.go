package session

import (
	"github.com/roostmail/roost/core/conn"
)

// WritePart is Write, of a part of a response: more is written at once.
func (s *Session) WritePart(p []byte) {
	if s.through(p) && s.writable() && len(s.out) > 0 && !s.blocked() {
		p = s.writeWith(p)
	}
	s.Write(p)
}

// writeWith offers what is queued, and p behind it, to the socket, and returns what is left of p.
func (s *Session) writeWith(p []byte) []byte {
	n, err := conn.WriteMore(int(s.r.fd), s.out, p)
	queued := min(n, len(s.out))
	if err != nil {
		s.keepOutput(s.out[queued:])
		s.stalled(err, n > 0)
		s.giveUpCommand()
	} else {
		s.r.giveUp = 0
	}
	s.out = s.out[:0]
	return p[n-queued:]
}

// mayWait reports whether output may wait for the client to read: in a job of a worker. What else is done there, such as commands that are answered
// from the record, is done as on a loop.
func (s *Session) mayWait() bool { return s.w != nil && s.w.ctx != nil }

// through reports whether p is to be sent from where it is: it is large, and neither encrypted nor compressed.
func (s *Session) through(p []byte) bool {
	return s.mayWait() && !s.TLS() && !s.deflating() && len(p) >= s.e.cfg.OutputHighWater
}

// Write queues p. In Protocol.Run and its like it flushes at the high-water mark, and waits, without its slot, while the socket is full;
// otherwise what the socket does not take is bounded by MaxOutput. Errors show in Err.
func (s *Session) Write(p []byte) {
	if s.through(p) && s.writable() {
		s.writeThrough(p)
		return
	}
	for s.writable() && len(p) > 0 {
		n := len(p)
		if s.mayWait() {
			n = min(n, max(s.e.cfg.OutputHighWater-len(s.out), 1))
		}
		s.out = append(s.out, p[:n]...)
		p = p[n:]
		s.pushFull()
	}
}

// WriteString is Write.
func (s *Session) WriteString(p string) {
	if s.writable() {
		s.out = append(s.out, p...)
		s.pushFull()
	}
}

// Buffer returns the output buffer to append to; call Commit after appending.
func (s *Session) Buffer() *[]byte { return &s.out }

// Commit takes over what was appended to Buffer and does what Write does. It returns Err.
func (s *Session) Commit() error {
	if !s.writable() {
		s.out = s.out[:0]
		return s.Err()
	}
	s.pushFull()
	return s.Err()
}

// Push sends what is queued, on a worker: what the client is to see before the end of its command. It does not wait for a socket that is full.
func (s *Session) Push() {
	if s.writable() {
		s.flush()
		s.giveUpCommand()
	}
}

// Err returns why the client can no longer be written to, or nil. In Protocol.Run this includes that the client was
// seen to go while the command ran.
func (s *Session) Err() error {
	if s.err == nil && s.w != nil {
		return s.w.cause()
	}
	return s.err
}

// writable reports whether output makes sense. What a protocol writes after Close is dropped: close is
// the last thing it says.
func (s *Session) writable() bool { return s.err == nil && s.r.flags&flagClosing == 0 }

// pushFull flushes if the high-water mark is reached, in a job until the socket has taken everything.
func (s *Session) pushFull() {
	if len(s.out) < s.e.cfg.OutputHighWater {
		return
	}
	if !s.mayWait() {
		s.flush()
		return
	}
	for !s.flush() && s.err == nil {
		s.await(bitWrite)
	}
	s.giveUpCommand()
}

// writeThrough sends what is queued and then p, on a worker, neither encrypted nor compressed, without copying p.
func (s *Session) writeThrough(p []byte) {
	for !s.flush() && s.err == nil {
		s.await(bitWrite)
	}
	for s.err == nil {
		n, err := conn.Write(int(s.r.fd), p)
		if p = p[n:]; err == nil {
			s.r.giveUp = 0
			return
		}
		if s.stalled(err, n > 0); s.err == nil {
			s.await(bitWrite)
		}
	}
	s.giveUpCommand()
}

// giveUpCommand ends the context of the command that the worker runs: there is nobody to run it for.
func (s *Session) giveUpCommand() {
	if s.err != nil && s.w.cancel != nil {
		s.w.cancel(s.err)
	}
}

// blocked reports whether output of an earlier flush still waits for the socket.
func (s *Session) blocked() bool { return s.x != nil && s.x.sent < len(s.x.out) }

// queued reports whether output has not been offered to the socket yet.
func (s *Session) queued() bool {
	return len(s.out) > 0 || len(s.sealed) > 0 || s.tls.State != nil && s.tls.Owes()
}

// flush sends what is queued. It returns false, with the rest in x.out, if the socket does not take
// all of it, or if the connection failed (s.err).
func (s *Session) flush() bool { return s.flushBy(conn.Write) }

// flushBefore is flush before a command that the client has sent together with those whose answers are queued, such as DONE. As a rule it is
// answered at once, and what is queued goes out with that.
func (s *Session) flushBefore() bool {
	if s.e.pool.crowded() {
		return s.flush()
	}
	return s.flushBy(func(fd int, p []byte) (int, error) { return conn.WriteMore(fd, p, nil) })
}

func (s *Session) flushBy(write func(fd int, p []byte) (int, error)) bool {
	if s.err != nil {
		return false
	}
	if s.deflating() {
		s.deflate()
	}
	wire := &s.out
	switch {
	case s.tls.State != nil:
		s.sealRecords()
		wire = &s.sealed
	case s.x != nil && s.x.tls != nil:
		s.x.tls.seal(s)
		wire = &s.sealed
	}
	if s.err != nil {
		return false
	}
	if s.blocked() && !s.flushRest() {
		s.keepOutput(*wire)
		*wire = (*wire)[:0]
		return false
	}
	if len(*wire) > 0 {
		n, err := write(int(s.r.fd), *wire)
		if err != nil {
			s.keepOutput((*wire)[n:])
			s.stalled(err, n > 0)
		}
		*wire = (*wire)[:0]
		if err != nil {
			return false
		}
	}
	if s.r.flags&(flagClosing|flagStartTLS) == 0 {
		s.r.giveUp = 0
	}
	return true
}

// flushRest sends what an earlier flush left.
func (s *Session) flushRest() bool {
	x := s.x
	n, err := conn.Write(int(s.r.fd), x.unsent())
	x.sent += n
	if err != nil {
		s.stalled(err, n > 0)
		return false
	}
	x.out, x.sent = x.out[:0], 0
	return true
}

// keepOutput keeps what the socket did not take, after what it did not take before.
func (s *Session) keepOutput(rest []byte) {
	if s.err != nil || len(rest) == 0 {
		return
	}
	x := s.extra()
	x.out = append(x.out, rest...)
	if !s.mayWait() && len(x.unsent()) > s.e.cfg.MaxOutput {
		s.e.refusals.output.hit(s, limitOutput)
		s.err = ErrOutput
	}
}

// stalled notes that the socket did not take everything: the client is given a time to read on.
func (s *Session) stalled(err error, progress bool) {
	switch {
	case s.err != nil:
	case err != conn.ErrAgain:
		s.err = ErrGone
	case s.r.giveUp == 0 || progress && s.r.flags&(flagClosing|flagStartTLS) == 0:
		s.r.giveUp = s.e.after(s.e.cfg.SlowClientTimeout)
	}
}
