package session

import (
	"hash/crc32"
	"net/netip"
	"sync/atomic"
	"unsafe"
)

// recordSize is the size of a record in bytes, and of everything a sleeping plaintext session costs beside its socket.
const recordSize = 112

// record is all of a session that sleeps between two commands. It holds no pointer, since it lives in
// memory that the garbage collector does not see.
//
//	off  len  field     who may touch it
//	  0    8  word      anybody (word.go)
//	  8    4  wheelAt   written with the wheel's lock held; read by the owner
//	 12    4  wheelNext the wheel's lock
//	 16    4  wheelPrev the wheel's lock
//	 20    4  mboxNext  the lock of the mailbox's shard, or of door before login; in a free slot the next free one, under the table's lock
//	 24    4  mboxPrev  the same
//	 28    4  mailbox   the owner
//	 32    4  fd        the owner
//	 36    4  deadline  the owner; seconds of the engine's clock, 0 = none
//	 40    4  received  the owner; seconds of the engine's clock
//	 44    2  flags     the owner
//	 46    2  todo      the owner
//	 48    2  port      the owner
//	 50    1  mode      the owner
//	 51    1  bad       the protocol, while it owns the session
//	 52   16  peer      the owner; IPv4 as IPv4 in IPv6
//	 68    4  giveUp    the owner; second at which a client that makes no progress (output, handshake, body, close) is dropped, 0 = none
//	 72   32  state     the protocol, while it owns the session
//	104    4  tls       the owner; slot of Engine.tlsSlots, 0 = not protected by TLS 1.3 without crypto/tls
//	108    4  saved     the owner; the blob that has the extra (saved.go), 0 = none
type record struct {
	word      word
	wheelAt   atomic.Uint32
	wheelNext uint32
	wheelPrev uint32
	mboxNext  uint32
	mboxPrev  uint32
	mailbox   uint32
	fd        int32
	deadline  uint32
	received  uint32
	flags     flags
	todo      flags
	port      uint16
	mode      Mode
	bad       uint8
	peer      [16]byte
	giveUp    uint32
	state     State
	tls       uint32
	saved     uint32
}

// The build fails when the record's size changes.
var _ [recordSize]byte = [unsafe.Sizeof(record{})]byte{}

// flags are lasting properties of a session (record.flags), or what is to be done next (record.todo).
type flags uint16

const (
	flagExtra    flags = 1 << iota // it slept with an extra: in the blob saved, else in the side table
	flagTLS                        // protected
	flagEOF                        // the client sends no more: read to the end, then close
	flagClosing                    // nothing but output is left to do
	flagStartTLS                   // a handshake is due, or in progress
	flagStranger                   // has not logged in, as far as door knows
	flagNoted                      // the holder knows the session
	flagHeld                       // the keeper has a duplicate of the descriptor
	flagDeflate                    // compressed, or it will be after the command that is answered
	flagsKnown   = 1<<iota - 1
)

const (
	todoRead     flags = 1 << iota // there may be input in the socket
	todoInput                      // there may be a whole command in what was read
	todoRun                        // a complete command waits for a worker (extra.ready)
	todoEvent                      // Protocol.Event is due
	todoTimer                      // look at the deadlines
	todoShutdown                   // Protocol.Shutdown is due
	todoGreet                      // Protocol.Greet is due
	todoLiteral                    // Protocol.RunLiteral is due (extra.asked)
	todoEvict                      // it makes room for another one, unless it has logged in
	todoKnown    = 1<<iota - 1
)

// remote returns the client's address.
func (r *record) remote() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(r.peer).Unmap(), r.port)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum returns a checksum of what the owner has written: the links, which others change, are made anew by who
// inherits a table. The owner calls it.
func (r *record) sum() uint16 {
	b := unsafe.Slice((*byte)(unsafe.Pointer(r)), recordSize)[unsafe.Offsetof(r.mailbox):]
	s := crc32.Checksum(b, castagnoli)
	return uint16(s) ^ uint16(s>>16)
}

// filed reports whether the session has an extra in the side table.
func (r *record) filed() bool { return r.flags&flagExtra != 0 && r.saved == 0 }

// release is word.release.
func (r *record) release() bits { return r.word.release(r.sum()) }
