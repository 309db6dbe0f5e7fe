package session

// detach puts what lasts beyond the turn where it belongs. It returns the extra if the session has one
// that is not in the side table. A packed one is of no use any more.
func (s *Session) detach() *extra {
	s.keepInput()
	s.giveInflater()
	s.tls.detach(s)
	if s.x != nil {
		s.x.framer = s.framer
	} else if s.framer.Midway() {
		s.extra().framer = s.framer
	}
	if s.r.filed() {
		return nil
	}
	return s.x
}

// park puts the session to sleep: afterwards the record may be released. Nothing of the loop or
// worker is held by it any more.
func (s *Session) park() {
	s.detach()
	s.stall()
	switch {
	case s.x == nil:
	case s.x.needed():
		s.keep(savedAsleep)
	default:
		s.dropExtra()
	}
	if s.e.holder != nil {
		if s.r.filed() && s.x.movable() {
			s.e.holder.noteLarge(s.Handle())
		}
		if s.r.flags&flagNoted == 0 {
			s.r.flags |= flagNoted
			s.e.holder.note(s.Handle())
		}
	}
	s.arm()
}

// dropExtra gives the session's extra up, if it has one.
func (s *Session) dropExtra() {
	s.unfile()
	if s.x != nil {
		s.dropSpool()
		s.e.extras.giveBack(s.x)
		s.x = nil
	}
}

// arm sets the wheel so that it comes by at the session's next deadline.
func (s *Session) arm() {
	due := s.r.giveUp
	// A deadline that has passed and is not dealt with (todoTimer) waits for other things than time.
	if d := s.r.deadline; d != 0 && s.r.todo&todoTimer == 0 && (due == 0 || d < due) {
		due = d
	}
	if at := s.r.wheelAt.Load(); due != 0 && (at == 0 || at > due) {
		s.e.wheel(s.slot).set(s.slot, s.r, due)
	}
}
