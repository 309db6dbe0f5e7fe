package session

import (
	"errors"
	"io"
	"log/slog"

	"github.com/roostmail/roost/core/conn"
	"github.com/roostmail/roost/core/conn/tls13"
)

// wireSize is the room for records that are read from the socket: one of the largest, and something.
const wireSize = 20 << 10

// protection is the TLS 1.3 of a session that crypto/tls has handed over, while the session is owned. What lasts is the
// State in the session's TLS slot (record.tls), and what was received and is not used, in its extra.
type protection struct {
	tls13.Layer        // State nil: the session has none
	wire        []byte // received records that were not opened, the last of which may not be complete
	plain       []byte // data of an opened record that was not read yet
	drained     bool   // the socket has no more just now
	alert       tls13.Alert
	buf         []byte // the owner's, for wire
}

// attach takes up the session's protection at the start of a turn.
func (p *protection) attach(s *Session) {
	p.wire, p.plain, p.drained, p.alert = nil, nil, false, 0
	if s.r.tls == 0 {
		p.Attach(nil)
		return
	}
	p.Attach(s.e.tlsSlots.At(s.r.tls))
	if s.x != nil {
		p.plain, p.wire = s.x.wire[:s.x.opened], s.x.wire[s.x.opened:]
	}
}

// detach puts what was received and not used into the extra.
func (p *protection) detach(s *Session) {
	if p.State == nil {
		return
	}
	if len(p.plain)+len(p.wire) > 0 {
		x := s.extra()
		// They may lie in x.wire already, plain first, and are moved to its front.
		x.opened = len(p.plain)
		x.wire = append(append(x.wire[:0], p.plain...), p.wire...)
	} else if s.x != nil {
		s.x.wire, s.x.opened = nil, 0
	}
}

// partial reports whether the rest of a record is awaited.
func (p *protection) partial() bool {
	return p.State != nil && len(p.plain) == 0 && len(p.wire) > 0 && !tls13.Complete(p.wire)
}

// takeOver carries the session on without crypto/tls, if its handshake has shown all that is needed.
func (s *Session) takeOver(t *tlsConn) {
	w := t.watch
	t.watch = nil
	defer w.wipe()
	slot, state, err := s.e.tlsSlots.Take()
	if err == nil && slot == 0 {
		err = errors.New("no slot is free")
	}
	if err == nil {
		if err = w.start(state, t.cipher); err != nil {
			s.e.giveTLS(slot)
		}
	}
	if err != nil {
		s.e.log.Warn("TLS stays with crypto/tls", "remote", s.Remote(), "error", err)
		return
	}
	s.x.tls = nil
	s.e.tlsConns.Add(-1)
	s.r.tls = slot
	s.tls.attach(s)
}

// giveTLS wipes a TLS slot and puts it back.
func (e *Engine) giveTLS(slot uint32) {
	e.tlsSlots.At(slot).Wipe()
	e.tlsSlots.Give(slot)
}

// readRecords reads the data of one record, or a part of it, into b. It returns conn.ErrAgain when no record is complete, io.EOF
// after close_notify or at an end of the connection between two records, and a *tls13.Error for what is refused.
func (s *Session) readRecords(b []byte) (int, error) {
	p := &s.tls
	for len(p.plain) == 0 {
		data, used, err := p.Open(p.wire)
		if err != nil {
			p.wire = nil
			return 0, err
		}
		p.wire, p.plain = p.wire[used:], data
		if used > 0 {
			s.progressed()
			continue
		}
		if p.drained {
			return 0, conn.ErrAgain
		}
		if err := s.receiveRecords(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.plain)
	p.plain = p.plain[n:]
	if p.drained && len(p.plain) == 0 && !tls13.Complete(p.wire) {
		s.r.todo &^= todoRead
	}
	return n, nil
}

// receiveRecords reads what the socket has, behind the beginning of a record.
func (s *Session) receiveRecords() error {
	p := &s.tls
	if p.buf == nil {
		p.buf = make([]byte, wireSize)
	}
	had := copy(p.buf, p.wire)
	n, err := conn.Read(int(s.r.fd), p.buf[had:])
	p.wire = p.buf[:had+n]
	switch {
	case err == io.EOF && had > 0:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	}
	p.drained = had+n < len(p.buf) && s.r.flags&flagEOF == 0
	return nil
}

// progressed takes back the time limit of a client that was awaited to send the rest of a record.
func (s *Session) progressed() {
	if s.r.flags&(flagClosing|flagStartTLS) == 0 {
		s.r.giveUp = 0
	}
}

// refused ends the session because of what its client has sent, or said with an alert.
func (s *Session) refused(e *tls13.Error) {
	level := slog.LevelInfo
	s.err = errRecord
	if e.Remote {
		level, s.err = slog.LevelDebug, ErrGone
	}
	s.e.log.Log(s.e.ctx, level, "session ended by TLS", "remote", s.Remote(), "error", e)
	s.tls.alert = e.Alert
}

// sealRecords seals the session's queued output, and what TLS has to say itself.
func (s *Session) sealRecords() {
	if len(s.out) == 0 && !s.tls.Owes() {
		return
	}
	var err error
	if s.sealed, err = s.tls.Seal(s.sealed, s.out); err != nil {
		s.e.log.Info("session ended by TLS", "remote", s.Remote(), "error", err)
		s.err, s.sealed = ErrGone, s.sealed[:0]
	}
	s.out = s.out[:0]
}

// sealFarewell seals the last output and close_notify, or after an error nothing but its alert.
func (s *Session) sealFarewell(reason error) {
	alert := tls13.CloseNotify
	if reason == errRecord {
		s.out, alert = s.out[:0], s.tls.alert
	} else if s.sealRecords(); s.err != nil {
		return
	}
	// An error means that there is nothing to add.
	s.sealed, _ = s.tls.SealAlert(s.sealed, alert)
}
