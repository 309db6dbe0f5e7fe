package session

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/roostmail/roost/core/conn"
)

// tlsConn is the protection of one session during its handshake, and of one with TLS 1.2 or Config.HoldTLS to its
// end: crypto/tls's state over the session's raw descriptor. It has no goroutine:
// when the descriptor has no input, Read of the transport returns a temporary error, after which a
// tls.Conn can be read again (even in the middle of a record, whose first part it keeps).
// A write error would be final, so what the transport is given to write is queued like all output.
type tlsConn struct {
	s           *Session // the session's owner; valid during a turn
	conn        *tls.Conn
	handshaking bool   // the owner is a worker, and Read waits
	watch       *watch // of the handshake, nil: crypto/tls keeps the session
	version     uint16
	cipher      uint16
}

// notYet is the transport's error when there is no input.
type notYet struct{}

func (notYet) Error() string   { return conn.ErrAgain.Error() }
func (notYet) Timeout() bool   { return false }
func (notYet) Temporary() bool { return true }

// transport is the net.Conn that crypto/tls sees.
type transport struct{ *tlsConn }

// Read reads from the descriptor. In a handshake it first sends what is to be sent, and waits for both.
func (t transport) Read(p []byte) (int, error) {
	s := t.s
	for {
		if t.handshaking {
			for !s.flush() && s.err == nil {
				s.await(bitWrite)
			}
			if s.err != nil {
				return 0, s.err
			}
		}
		if t.watch != nil {
			p = p[:min(len(p), t.watch.room())]
		}
		n, err := conn.Read(int(s.r.fd), p)
		if err != conn.ErrAgain {
			if t.watch != nil {
				t.watch.read(p[:n])
			}
			return n, err
		}
		if !t.handshaking {
			s.r.todo &^= todoRead
			return 0, notYet{}
		}
		s.await(bitRead)
	}
}

// Write takes p for the next flush.
func (t transport) Write(p []byte) (int, error) {
	if t.watch != nil {
		t.watch.wrote(p)
	}
	t.s.sealed = append(t.s.sealed, p...)
	return len(p), nil
}

// The rest of net.Conn: deadlines are the engine's, and so is the descriptor.

func (t transport) Close() error                     { return nil }
func (t transport) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(t.s.Local()) }
func (t transport) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(t.s.Remote()) }
func (t transport) SetDeadline(time.Time) error      { return nil }
func (t transport) SetReadDeadline(time.Time) error  { return nil }
func (t transport) SetWriteDeadline(time.Time) error { return nil }

// read reads and decrypts into p. It returns conn.ErrAgain when no record is complete, and io.EOF after close_notify.
func (t *tlsConn) read(p []byte) (int, error) {
	n, err := t.conn.Read(p)
	if n > 0 {
		return n, nil // an error comes again
	}
	var temporary notYet
	if errors.As(err, &temporary) {
		return 0, conn.ErrAgain
	}
	return 0, err
}

// seal encrypts the session's queued output.
func (t *tlsConn) seal(s *Session) {
	if len(s.out) == 0 {
		return
	}
	if _, err := t.conn.Write(s.out); err != nil {
		s.err = ErrGone
	}
	s.out = s.out[:0]
}

// close queues close_notify.
func (t *tlsConn) close() {
	_ = t.conn.Close() // its errors are the transport's, which has none
}

// startTLS does the handshake that is due, once the client has sent something.
func (s *Session) startTLS() (more bool, v verdict) {
	switch {
	case s.r.todo&todoRead == 0:
		return false, turnSleep
	case s.w == nil:
		return false, turnWorker
	case !s.e.handshakes.enter(s.Handle()):
		s.r.todo &^= todoRead // it is signalled again when it has its turn
		return false, turnSleep
	}
	s.jobs++
	s.handshake()
	s.e.passTurn(s.e.handshakes.leave())
	return true, 0
}

// handshake protects the connection, or ends the session.
func (s *Session) handshake() {
	setup := s.e.tls.Load()
	if setup == nil { // taken away since STARTTLS was offered
		s.err = errHandshake
		return
	}
	t := &tlsConn{s: s, handshaking: true}
	if !s.e.cfg.HoldTLS {
		t.watch = new(watch)
	}
	t.conn = tls.Server(transport{t}, setup.Config)
	s.extra().tls = t
	s.e.tlsConns.Add(1)
	err := t.conn.Handshake()
	t.handshaking = false
	if err != nil {
		if s.err == nil {
			s.e.refusals.handshakes.n.Add(1)
			level := slog.LevelInfo
			if err == io.EOF { // a port scan, or a health check
				level = slog.LevelDebug
			}
			s.e.log.Log(s.e.ctx, level, "TLS handshake failed", "remote", s.Remote(), "error", err)
			s.err = errHandshake
		}
		return
	}
	state := t.conn.ConnectionState()
	t.version, t.cipher = state.Version, state.CipherSuite
	s.keepChannel(&state, setup)
	s.r.flags = s.r.flags&^flagStartTLS | flagTLS
	s.r.todo |= todoRead // what came with the end of the handshake is in the socket or the tls.Conn
	if s.r.flags&flagClosing == 0 {
		s.r.giveUp = 0
	}
	if t.watch != nil && t.version == tls.VersionTLS13 {
		s.takeOver(t)
	}
	t.watch = nil
}

// passTurn signals h, whose turn it is to shake hands, or if it has ended those after it.
func (e *Engine) passTurn(h Handle) {
	for h != 0 && !e.signal(h, bitRead) {
		h = e.handshakes.forget()
	}
}
