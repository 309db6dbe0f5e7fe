package session

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"time"

	"github.com/roostmail/roost/core/conn"
	"github.com/roostmail/roost/core/imapwire"
)

// Handle names a session: its slot in the table and, in the high 32 bits, the generation of the slot. 0 is never
// valid. The handle of a session that has ended names nothing, also when its slot is in use again.
type Handle uint64

func makeHandle(slot, gen uint32) Handle { return Handle(slot) | Handle(gen)<<32 }

func (h Handle) slot() uint32 { return uint32(h) }
func (h Handle) gen() uint32  { return uint32(h >> 32) }

// State is the protocol's part of a session's record: fixed size, no pointers, owned by the protocol.
type State struct {
	Proto   uint8   // the protocol's state number
	Enabled uint8   // ENABLE bits
	Flags   uint8   // idle, read-only, …
	Tag     [9]byte // up to the first zero byte
	User    uint32  // interned user; 0 = not authenticated, for which the smaller limits apply
	View    uint64  // version of the mailbox view that the client has been told about
	Aux     uint64  // free for the protocol
}

// Why a session ended, as Session.Err and as the cause of the context of Protocol.Run.
var (
	ErrGone     = errors.New("session: the client is gone")
	ErrSlow     = errors.New("session: the client does not read, or does not send on")
	ErrOutput   = errors.New("session: too much output for a client that does not read")
	ErrEvicted  = errors.New("session: too many sessions have not logged in")
	ErrStopping = errors.New("session: the server stops")

	errClosed    = errors.New("session: closed by the protocol")
	errHandshake = errors.New("session: TLS handshake failed")
	errRecord    = errors.New("session: a TLS record was refused")
)

// Session is a session while it is owned: it may be used only by the goroutine that was given it
// in a call of Protocol, until that call returns. The value is lent; what is to be kept is the Handle.
type Session struct {
	e         *Engine
	r         *record
	w         *worker // nil on a loop
	slot, gen uint32

	x      *extra          // nil: none
	tls    protection      // TLS without crypto/tls
	framer imapwire.Framer // where in belongs
	in     []byte          // input that was received and not used; lies in scratch, or as inX in x.in
	inX    bool
	out    []byte // output that was not offered to the socket, before compression and encryption
	packed []byte // where it is compressed
	sealed []byte // the same after it
	err    error  // why the session ends, at the end of this turn

	inflater *inflater // nil: none, what it would have is in x.flow
	scratch  []byte    // the owner's read buffer
	now      uint32    // second of the engine's clock, at the start of the turn
	jobs     int       // calls that needed a worker in this turn
}

// Handle returns the session's handle.
func (s *Session) Handle() Handle { return makeHandle(s.slot, s.gen) }

// Remote returns the client's address.
func (s *Session) Remote() netip.AddrPort { return s.r.remote() }

// Local returns the address that the client connected to.
func (s *Session) Local() netip.AddrPort { return conn.Local(int(s.r.fd)) }

// TLS reports whether the connection is protected.
func (s *Session) TLS() bool { return s.r.flags&flagTLS != 0 }

// TLSInfo returns the TLS version and cipher suite (crypto/tls's numbers), or zeroes.
func (s *Session) TLSInfo() (version, cipher uint16) {
	if !s.TLS() {
		return 0, 0
	}
	if s.tls.State != nil {
		return tls.VersionTLS13, s.tls.State.Suite()
	}
	return s.x.tls.version, s.x.tls.cipher
}

// CanStartTLS reports whether STARTTLS is possible now.
func (s *Session) CanStartTLS() bool {
	return s.r.flags&(flagTLS|flagStartTLS|flagClosing) == 0 && s.e.tls.Load() != nil
}

// StartTLS begins a handshake after the queued output is flushed. Input that was read beyond the
// command is discarded, so that nothing sent in the clear is taken for something
// protected (RFC 3501 §6.2.1, CVE-2011-0411). It does nothing unless CanStartTLS.
func (s *Session) StartTLS() {
	if s.CanStartTLS() {
		s.r.flags |= flagStartTLS
		s.r.giveUp = s.e.after(s.e.cfg.HandshakeTimeout)
	}
}

// Breathe lets others have the worker for a while, if the command has run for its time slice and somebody waits. Commands that
// may take long call it between messages, holding nothing that others wait for. On a loop it does nothing.
func (s *Session) Breathe() {
	if s.w != nil {
		s.e.pool.breathe(s.w)
	}
}

// Yield lets others have the worker while wait runs: what waits for the command of another session must not keep it from a worker. wait must not touch
// the session. On a loop there is nothing to let go of.
func (s *Session) Yield(wait func()) {
	if s.w != nil {
		s.e.pool.yield(s.w)
		defer s.e.pool.regain(s.w)
	}
	wait()
}

// Close flushes what is queued, in bounded time, and closes the connection. Nothing written later is sent.
func (s *Session) Close() {
	if s.r.flags&flagClosing == 0 {
		s.r.flags |= flagClosing
		s.r.giveUp = s.e.after(s.e.cfg.SlowClientTimeout)
	}
}

// SetMode says what the next input is.
func (s *Session) SetMode(m Mode) { s.r.mode = m }

// SetDeadline calls Protocol.Timeout after d, rounded up to seconds; 0 = never. It replaces the deadline set before.
func (s *Session) SetDeadline(d time.Duration) {
	if d <= 0 {
		s.r.deadline = 0
		return
	}
	s.r.deadline = s.e.after(d)
}

// State returns the protocol's part of the record.
func (s *Session) State() *State { return &s.r.state }

// Bad is the protocol's count of malformed commands in a row.
func (s *Session) Bad() *uint8 { return &s.r.bad }

// SetMailbox lists the session at mailbox id, instead of where it was listed; 0 = at none.
func (s *Session) SetMailbox(id uint32) {
	if id != 0 && s.r.flags&flagStranger != 0 {
		s.e.door.known(s.r) // the links are the mailbox's from here on
	}
	s.e.lists.move(s.slot, s.r, id)
}

// Mailbox returns the id given to SetMailbox.
func (s *Session) Mailbox() uint32 { return s.r.mailbox }

// Extra returns the rare state set by SetExtra, or nil.
func (s *Session) Extra() any {
	if s.x == nil {
		return nil
	}
	return s.x.user
}

// SetExtra keeps rare state beside the record; nil frees it.
func (s *Session) SetExtra(v any) {
	if s.x != nil || v != nil {
		s.extra().user = v
	}
}

// Received returns when the last input arrived, in whole seconds.
func (s *Session) Received() time.Time { return s.e.timeOf(s.r.received) }

// extra returns the session's extra, which it makes if there is none.
func (s *Session) extra() *extra {
	if s.x == nil {
		s.x = s.e.extras.borrow()
	}
	return s.x
}
