package session

import (
	"net/netip"
	"time"
)

// Handle names a session: its slot in the table and the generation of the slot. 0 is never valid.
type Handle uint64

// State is the protocol's part of a session's record: fixed size, no pointers, owned by the protocol.
type State struct {
	Proto   uint8  // the protocol's state number
	Enabled uint8  // ENABLE bits
	Bad     uint8  // malformed commands in a row
	Flags   uint8  // idle, read-only, …
	User    uint32 // interned user, 0 = none
	View    uint64 // version of the mailbox view that the client has been told about
	Aux     uint64 // free for the protocol
	TagLen  uint8  // bytes of Tag in use
	Tag     [23]byte
}

// Session is a session while it is owned (inside a Protocol call). The signatures here are the contract; the engine fills them.
type Session struct{ state State }

// Handle returns the session's handle.
func (s *Session) Handle() Handle { return 0 }

// Remote returns the client's address.
func (s *Session) Remote() netip.AddrPort { return netip.AddrPort{} }

// Local returns the address that the client connected to.
func (s *Session) Local() netip.AddrPort { return netip.AddrPort{} }

// TLS reports whether the connection is protected.
func (s *Session) TLS() bool { return false }

// TLSInfo returns the TLS version and cipher suite, or zeroes.
func (s *Session) TLSInfo() (version, cipher uint16) { return 0, 0 }

// CanStartTLS reports whether STARTTLS is possible now.
func (s *Session) CanStartTLS() bool { return false }

// StartTLS begins a handshake after the queued output is flushed; input read beyond the command is discarded.
func (s *Session) StartTLS() {}

// Write queues p; on a worker it flushes at the high-water mark and waits while the socket is full.
func (s *Session) Write(p []byte) {}

// WriteString is Write.
func (s *Session) WriteString(p string) {}

// Buffer returns the output buffer to append to; call Commit after appending.
func (s *Session) Buffer() *[]byte { return nil }

// Commit takes over what was appended to Buffer and does what Write does. It returns Err.
func (s *Session) Commit() error { return nil }

// Err returns why the client can no longer be written to, or nil.
func (s *Session) Err() error { return nil }

// Close flushes what is queued, in bounded time, and closes the connection.
func (s *Session) Close() {}

// SetMode says what the next input is.
func (s *Session) SetMode(Mode) {}

// SetDeadline calls Protocol.Timeout after d (resolution 1 s); 0 = never.
func (s *Session) SetDeadline(d time.Duration) {}

// State returns the protocol's part of the record.
func (s *Session) State() *State { return &s.state }

// SetMailbox lists the session at mailbox id, 0 = at none.
func (s *Session) SetMailbox(id uint32) {}

// Mailbox returns the id given to SetMailbox.
func (s *Session) Mailbox() uint32 { return 0 }

// Extra returns the rare state set by SetExtra, or nil.
func (s *Session) Extra() any { return nil }

// SetExtra keeps rare state beside the record; nil frees it.
func (s *Session) SetExtra(any) {}

// Received returns when the last input arrived.
func (s *Session) Received() time.Time { return time.Time{} }
