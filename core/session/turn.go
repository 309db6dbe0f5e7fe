package session

import "context"

// verdict is how a turn ended.
type verdict uint8

const (
	turnSleep  verdict = iota // there is nothing to do until something happens
	turnWorker                // the rest needs a worker, or it is the turn of others
	turnEnded                 // the session has ended; the record is no longer owned
)

// turnCommands is how many steps one session gets before others have their turn.
const turnCommands = 128

// attach makes s the session in slot, which the caller owns. x is its extra, if it is awake and the extra is not in the side table. If what
// was kept of it is damaged, the session is to be ended (s.err).
func (s *Session) attach(e *Engine, slot, gen uint32, x *extra) {
	s.attachRecord(e, slot, gen)
	if s.x = x; x == nil && s.r.flags&flagExtra != 0 {
		if s.x = s.unpack(); s.x == nil {
			s.err = errDamaged
		}
	}
	if s.x != nil {
		s.framer = s.x.framer
		s.in, s.inX = s.x.in, true
		if s.x.tls != nil {
			s.x.tls.s = s
		}
	}
	s.tls.attach(s)
}

// attachRecord is attach for those who need nothing but the record.
func (s *Session) attachRecord(e *Engine, slot, gen uint32) {
	s.e, s.slot, s.gen, s.r, s.x = e, slot, gen, e.slab.at(slot), nil
	s.in, s.inX, s.out, s.sealed, s.err, s.jobs = nil, false, emptied(s.out), emptied(s.sealed), nil, 0
	s.packed, s.inflater = emptied(s.packed), nil
	s.now = e.seconds()
	s.framer.Reset()
}

// maxKeptBuffer is the largest output buffer that a loop or worker keeps for its next session.
const maxKeptBuffer = 256 << 10

// emptied returns b for reuse, unless it has become too large to keep.
func emptied(b []byte) []byte {
	if cap(b) > maxKeptBuffer {
		return nil
	}
	return b[:0]
}

// note turns what happened into what is to be done.
func (s *Session) note(b bits) {
	r := s.r
	if b&(bitRead|bitHangup) != 0 {
		s.tls.drained = false
	}
	if b&bitKill != 0 {
		s.err = s.e.killReason()
	}
	if b&bitHangup != 0 {
		r.flags |= flagEOF
		r.todo |= todoRead
	}
	if b&bitRead != 0 {
		r.todo |= todoRead
	}
	if b&bitEvent != 0 {
		r.todo |= todoEvent
	}
	if b&bitTimer != 0 {
		r.todo |= todoTimer
	}
	if b&bitShutdown != 0 {
		r.todo |= todoShutdown
	}
	if b&bitEvict != 0 {
		r.todo |= todoEvict
	}
}

// turn does what is to be done for the session until it can sleep, ends, or needs a worker (or another turn).
func (s *Session) turn(b bits) verdict {
	s.note(b)
	for n := 0; ; n++ {
		switch {
		case s.err != nil:
			s.finish()
			return turnEnded
		case s.mustFlush() && !s.flush(), s.runsNext() && !s.flushBefore():
			if s.err == nil && !s.expired() {
				return turnSleep
			}
			continue
		}
		v := turnWorker
		if n < turnCommands && (s.jobs == 0 || s.r.todo == 0 || !s.e.pool.crowded()) {
			var more bool
			if more, v = s.step(); more {
				continue
			}
		}
		if !s.queued() {
			return v
		}
		s.flush() // and see what has become of it
	}
}

// mustFlush reports whether output has to go out before anything else is done: answers to
// pipelined commands are collected, unless the next step may take long.
func (s *Session) mustFlush() bool {
	if s.blocked() || len(s.out) >= s.e.cfg.OutputHighWater {
		return true
	}
	return s.queued() && (s.r.flags&(flagClosing|flagStartTLS) != 0 || s.r.todo&(todoLiteral|todoEvent) != 0)
}

// runsNext reports whether output is queued and a command is run next.
func (s *Session) runsNext() bool { return s.r.todo&todoRun != 0 && s.queued() }

// step does the next thing. It returns false when the turn is over.
func (s *Session) step() (more bool, v verdict) {
	r := s.r
	switch {
	case r.flags&flagClosing != 0:
		s.err = errClosed
	case s.e.freezing.Load() && r.todo&todoShutdown == 0:
		return false, turnSleep // what is to be done is noted in the record, for who has it next
	case r.todo&todoTimer != 0:
		return s.timer()
	case r.flags&flagStartTLS != 0 && r.todo&todoShutdown != 0:
		s.err = ErrStopping // nothing can be said before the handshake
	case r.flags&flagStartTLS != 0 && r.todo&todoEvict != 0:
		s.evicted()
	case r.flags&flagStartTLS != 0:
		return s.startTLS()
	case r.todo&todoGreet != 0:
		r.todo &^= todoGreet
		s.e.p.Greet(s)
	case r.todo&todoEvent != 0:
		if s.e.p.EventWanted(s) {
			return s.job(todoEvent, func(ctx context.Context) { s.e.p.Event(ctx, s) })
		}
		r.todo &^= todoEvent
	case r.todo&todoShutdown != 0:
		r.todo &^= todoShutdown
		s.e.p.Shutdown(s)
	case r.todo&todoRun != 0:
		return s.runCommand()
	case r.todo&todoLiteral != 0:
		return s.runLiteral()
	case r.todo&todoEvict != 0 && (r.mode == ModeHold || r.todo&(todoInput|todoRead) == 0):
		s.makeRoom()
	case r.mode == ModeHold:
		return false, turnSleep // what there is to read stays in todo, for when the mode has changed
	case s.spooling():
		return s.spoolPiece()
	case r.todo&todoInput != 0:
		s.frame()
	case r.todo&todoRead != 0:
		s.fill()
	default:
		return false, turnSleep
	}
	return true, 0
}

// makeRoom ends a session that still has not logged in, when there are too many of them.
func (s *Session) makeRoom() {
	s.r.todo &^= todoEvict
	if s.r.state.User == 0 {
		s.e.refusals.evicted.hit(s, limitUnauth)
		s.e.p.Evict(s, limitUnauth)
		s.Close()
	}
}

// evicted is makeRoom before the end of the handshake, when nothing can be said.
func (s *Session) evicted() {
	s.e.refusals.evicted.hit(s, limitUnauth)
	s.err = ErrEvicted
}

// expired looks at the deadline of a client that makes no progress, and ends the session if it has passed.
func (s *Session) expired() bool {
	if s.r.giveUp == 0 || s.e.seconds() < s.r.giveUp {
		return false
	}
	switch {
	case s.r.flags&flagClosing != 0:
		s.err = errClosed
	case s.r.flags&flagStartTLS != 0:
		s.e.refusals.handshakes.hit(s, limitHandshakeTimeout)
		s.err = errHandshake
	default:
		s.e.refusals.slow.hit(s, limitSlowClient)
		s.err = ErrSlow
	}
	return true
}

// timer looks at the session's deadlines.
func (s *Session) timer() (more bool, v verdict) {
	if s.expired() {
		return true, 0
	}
	d := s.r.deadline
	if d == 0 || s.e.seconds() < d {
		s.r.todo &^= todoTimer
		return true, 0
	}
	s.r.deadline = 0
	if s.e.p.QuickTimeout(s) {
		s.r.todo &^= todoTimer
		return true, 0
	}
	s.r.deadline = d
	return s.job(todoTimer, func(ctx context.Context) {
		s.r.deadline = 0
		s.e.p.Timeout(ctx, s)
	})
}

// job runs call, which may block, if s is on a worker, and then strikes out what was to be done.
func (s *Session) job(what flags, call func(ctx context.Context)) (more bool, v verdict) {
	if s.w == nil {
		return false, turnWorker
	}
	s.jobs++
	s.e.counts.jobs.Add(1)
	s.r.todo &^= what
	s.giveInflater() // the call may take long
	ctx := s.e.tasks.begin(s.slot, s.w)
	if b := s.r.word.take(bitKill | bitHangup); b != 0 { // happened before there was a context to end
		s.note(b)
		s.e.tasks.nudge(s.slot, b, s.e.killReason())
	} else if s.r.flags&flagEOF != 0 {
		s.e.tasks.nudge(s.slot, bitHangup, s.e.killReason())
	}
	call(ctx)
	s.e.tasks.finish(s.slot, s.w)
	return true, 0
}

// runCommand gives the complete command at the front of the input to the protocol.
func (s *Session) runCommand() (more bool, v verdict) {
	return s.job(todoRun, func(ctx context.Context) {
		n := s.x.ready
		s.x.ready = 0
		if s.r.mode == ModeLine {
			s.e.p.RunLine(ctx, s, s.in[:n])
		} else {
			s.e.p.Run(ctx, s, s.in[:n])
		}
		s.e.counts.run.Add(1)
		s.used(n)
	})
}

// await waits on a worker, without its slot, for bits of mask or the end of the session (s.err).
func (s *Session) await(mask bits) {
	s.arm()
	s.e.pool.yield(s.w)
	defer s.e.pool.regain(s.w)
	if mask&bitRead != 0 {
		mask |= bitHangup // there is something to read: the end
	}
	watched := mask | bitKill | bitHangup | bitTimer
	if s.r.flags&flagStartTLS != 0 {
		watched |= bitShutdown | bitEvict
	}
	for {
		b := s.r.word.take(watched)
		s.note(b &^ (bitWrite | bitTimer))
		if b&bitShutdown != 0 {
			s.err = ErrStopping // nothing can be said before the handshake
		}
		if s.r.todo&todoEvict != 0 && s.r.flags&flagStartTLS != 0 {
			s.evicted()
		}
		if s.r.flags&flagStartTLS != 0 && s.e.freezing.Load() {
			s.err = ErrStopping
		}
		if s.err != nil || b&mask != 0 {
			return
		}
		if b&bitTimer != 0 {
			s.r.todo |= todoTimer
			if s.expired() {
				return
			}
			s.arm()
		}
		<-s.w.wake
	}
}
