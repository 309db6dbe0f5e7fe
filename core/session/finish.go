package session

// finish ends the session: its last call to the protocol, then everything is given back. The descriptor is closed
// here and nowhere else.
func (s *Session) finish() {
	e, r := s.e, s.r
	if s.err == errClosed || s.err == ErrStopping || s.err == errHandshake || s.err == errRecord {
		s.farewell()
	}
	s.endCompression()
	e.p.Closed(s)
	s.SetMailbox(0)
	e.door.left(r)
	e.wheel(s.slot).remove(s.slot, r)
	if s.x != nil && s.x.tls != nil {
		e.tlsConns.Add(-1)
	}
	s.dropExtra()
	if r.tls != 0 {
		s.tls.Attach(nil)
		e.giveTLS(r.tls)
	}
	s.closeFD((s.err == errClosed || s.err == errRecord) && r.flags&flagEOF == 0)
	shaking := r.flags&flagStartTLS != 0
	r.word.end()
	e.slab.give(s.slot)
	if shaking {
		e.passTurn(e.handshakes.forget())
	}
	e.ended()
}

// farewell sends what can still be sent without waiting: an alert, or TLS's close_notify.
func (s *Session) farewell() {
	reason := s.err
	s.err = nil
	s.endStream((reason == errClosed || reason == ErrStopping) && s.r.flags&flagEOF == 0)
	switch {
	case s.tls.State != nil:
		s.sealFarewell(reason)
	case s.x != nil && s.x.tls != nil:
		s.x.tls.seal(s)
		s.x.tls.close()
	}
	s.flush()
	s.err = reason
}
