package session

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/roostmail/roost/core/imapwire"
)

// extra is what a session has beside its record, while it has it: a half-received command with its spool file, output that
// the client does not take, TLS, compression, and the protocol's rare state. Its owner is the session's owner. Between two
// turns, if there is something in it, it is packed (saved.go), or what can not be packed is in the side table; else it is given up.
type extra struct {
	in      []byte          // input that was received and not used
	out     []byte          // output, as it goes into the socket, of which the first sent bytes have gone
	sent    int             //
	framer  imapwire.Framer // how far in was looked at
	ready   int             // length of a complete command at the front of in that waits for a worker, 0 = none
	asked   imapwire.Frame  // the literal that todoLiteral is about
	spool   *spool          // bodies of the command in in; nil: none
	tls     *tlsConn        // crypto/tls's state; nil: plaintext, or TLS is in record.tls
	wire    []byte          // received of the TLS in record.tls: opened data, then records, of which the last may not be complete
	opened  int             // length of that data
	flow    flow            // nil: not compressed
	spare   []byte          // where the next flow may be put
	channel *Channel        // nil: nothing is kept of the handshake
	user    any             // Session.SetExtra

	counted int64 // what is in extraTable.bytes for it
}

// unsent returns the output that waits for the socket.
func (x *extra) unsent() []byte { return x.out[x.sent:] }

// needed reports whether anything in x must outlive the turn.
func (x *extra) needed() bool {
	return len(x.in) > 0 || len(x.wire) > 0 || x.sent < len(x.out) || x.tls != nil || x.flow != nil || x.user != nil || x.channel != nil || x.spool != nil || x.framer.Midway()
}

// shrink gives up memory that the sleeping session does not need.
func (x *extra) shrink() {
	x.in, x.wire, x.flow, x.spare = fit(x.in), fit(x.wire), fit(x.flow), nil
	if x.sent == len(x.out) {
		x.out, x.sent = nil, 0
	} else if x.sent >= len(x.out)/2 {
		x.out, x.sent = append([]byte(nil), x.unsent()...), 0
	}
}

// fit returns b in a buffer that wastes at most half of itself.
func fit(b []byte) []byte {
	switch {
	case len(b) == 0:
		return nil
	case cap(b) <= 2*len(b):
		return b
	}
	return append([]byte(nil), b...)
}

// bytes is the size of x with its buffers. What tls, user and the system for a spool file hold is not known here; spoolMemory counts its own.
func (x *extra) bytes() int64 {
	n := int64(unsafe.Sizeof(*x)) + int64(cap(x.in)) + int64(cap(x.out)) + int64(cap(x.wire)) + int64(cap(x.flow))
	if x.channel != nil {
		n += int64(unsafe.Sizeof(*x.channel)) + int64(len(x.channel.Exporter)+len(x.channel.EndPoint)+len(x.channel.Client))
	}
	if x.spool != nil {
		n += int64(unsafe.Sizeof(*x.spool)) + int64(cap(x.spool.bodies))*int64(unsafe.Sizeof(Body{}))
	}
	return n
}

// extraShards is the number of locks over the side table.
const extraShards = 64

// extraTable holds, by slot, the extras of sessions that have one which is not packed (record.filed).
type extraTable struct {
	bytes  atomic.Int64 // of those in the table
	count  atomic.Int64 // sessions with an extra, packed or in the table
	pool   sync.Pool    // of *extra
	shards [extraShards]struct {
		mu sync.Mutex
		m  map[uint32]*extra
	}
}

// get returns the extra of a slot that is filed.
func (t *extraTable) get(slot uint32) *extra {
	sh := &t.shards[slot%extraShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.m[slot]
}

// put files x under slot.
func (t *extraTable) put(slot uint32, x *extra) {
	sh := &t.shards[slot%extraShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.m == nil {
		sh.m = make(map[uint32]*extra)
	}
	sh.m[slot] = x
}

// remove takes the extra of slot out of the table.
func (t *extraTable) remove(slot uint32) {
	sh := &t.shards[slot%extraShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.m, slot)
}

// account brings the sum of bytes up to date with x, which goes to sleep.
func (t *extraTable) account(x *extra) {
	n := x.bytes()
	t.bytes.Add(n - x.counted)
	x.counted = n
}

// maxPooledBuffer is the largest buffer that is kept for the next session that needs an extra for a moment: a compressed stream fits.
const maxPooledBuffer = 40 << 10

// borrow returns an empty extra.
func (t *extraTable) borrow() *extra {
	if x, ok := t.pool.Get().(*extra); ok {
		return x
	}
	return new(extra)
}

// giveBack takes an extra that is in no table and that nobody needs any more. Its spool was released.
func (t *extraTable) giveBack(x *extra) {
	t.bytes.Add(-x.counted)
	if x.flow != nil {
		x.spare = x.flow
	}
	*x = extra{in: pooled(x.in), out: pooled(x.out), wire: pooled(x.wire), spare: pooled(x.spare)}
	t.pool.Put(x)
}

// pooled returns b for the next use.
func pooled(b []byte) []byte {
	if cap(b) > maxPooledBuffer {
		return nil
	}
	return b[:0]
}
