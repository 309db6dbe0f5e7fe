package session

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"github.com/roostmail/roost/core/imapwire"
)

// A session that sleeps has its extra packed in a blob of Engine.saved (record.saved), outside of Go's heap: the garbage collector does not see
// it, and another process can go on with it. Waking unpacks it, and going to sleep packs it anew. What can not be moved to another process
// (movable) stays as it is, in Engine.extras.

// savedAsleep is the largest extra, in bytes, that is packed as soon as its session sleeps. Larger ones are half-received
// commands or answers on their way; packing them whenever a piece has come or gone would cost more than they are worth: the
// holder does it within some seconds, if they sleep then (holder.noteLarge). A compressed stream does not count: its session has it all the time.
const savedAsleep = 4 << 10

// A packed extra:
//
//	1 byte   savedVersion
//	         framer (imapwire.Framer.Append)
//	uvarint  ready
//	uvarints asked: kind, N, head, size, 1 = non-synchronizing
//	uvarint  length of in, and in
//	uvarint  length of the unsent output, and it
//	uvarint  length of wire, and it; then opened
//	uvarint  1 + number of bodies, 0 = no spool; of each body At, Kept, Size
//	uvarint  1 + length of the flow (compress.go), 0 = not compressed, and it
//	uvarint  1 and of the channel exporter, end point and client, each with its length before it (uvarint); 0 = no channel
//	uvarint  1 + length of the protocol's part, 0 = none, and it
//	4 bytes  CRC-32 (Castagnoli, little-endian) of what is before
const savedVersion = 3

var (
	errSaved   = errors.New("session: not a saved extra")
	errDamaged = errors.New("session: what was kept of it is damaged")
)

// movable reports whether x can be packed, but for the protocol's part.
func (x *extra) movable() bool {
	return x.tls == nil && (x.spool == nil || !x.spool.apart())
}

// keep puts the extra, which is needed, where it is while the session sleeps: packed, if it is movable and has not more than limit bytes, else in
// the side table. The caller owns the session.
func (s *Session) keep(limit int) {
	x, saved := s.x, uint32(0)
	if len(x.in)+len(x.unsent())+len(x.wire) <= limit {
		var ok bool
		if s.packed, ok = x.append(s.packed[:0], s.e.survivor); ok {
			saved, _ = s.e.saved.Put(s.packed) // without room the session works as before; it is not there for a next process
		}
	}
	switch {
	case saved != 0:
		s.unfile()
		s.r.saved = saved
		s.e.extras.giveBack(x)
		s.x = nil
	default:
		x.shrink()
		s.e.extras.account(x)
		if !s.r.filed() {
			s.unfile()
			s.e.extras.put(s.slot, x)
		}
	}
	if s.r.flags&flagExtra == 0 {
		s.r.flags |= flagExtra
		s.e.extras.count.Add(1)
	}
}

// unfile forgets the extra that the sleeping session had, if it had one.
func (s *Session) unfile() {
	switch {
	case s.r.flags&flagExtra == 0:
		return
	case s.r.saved != 0:
		s.e.saved.Free(s.r.saved)
		s.r.saved = 0
	default:
		s.e.extras.remove(s.slot)
	}
	s.r.flags &^= flagExtra
	s.e.extras.count.Add(-1)
}

// unpack returns the extra of a session that sleeps with one, or nil if it is damaged.
func (s *Session) unpack() *extra {
	if s.r.filed() {
		return s.e.extras.get(s.slot)
	}
	s.packed = s.e.saved.Append(s.packed[:0], s.r.saved)
	x := s.e.extras.borrow()
	if err := x.parse(s.packed, s.e.survivor); err != nil {
		s.e.log.Error("session ended: what was kept of it is damaged", "remote", s.Remote(), "error", err)
		return nil
	}
	return x
}

// append appends the packed form of x to b; ok is false if there is none.
func (x *extra) append(b []byte, p Survivor) (_ []byte, ok bool) {
	if !x.movable() {
		return b, false
	}
	b = append(b, savedVersion)
	b = x.framer.Append(b)
	b = binary.AppendUvarint(b, uint64(x.ready))
	nonSync := uint64(0)
	if x.asked.NonSync {
		nonSync = 1
	}
	for _, v := range [...]uint64{uint64(x.asked.Kind), uint64(x.asked.N), uint64(x.asked.Head), x.asked.Size, nonSync} {
		b = binary.AppendUvarint(b, v)
	}
	for _, p := range [...][]byte{x.in, x.unsent(), x.wire} {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	b = binary.AppendUvarint(b, uint64(x.opened))
	if x.spool == nil {
		b = append(b, 0)
	} else {
		b = binary.AppendUvarint(b, uint64(1+len(x.spool.bodies)))
		for _, body := range x.spool.bodies {
			for _, v := range [...]uint64{uint64(body.At), uint64(body.Kept), body.Size} {
				b = binary.AppendUvarint(b, v)
			}
		}
	}
	if x.flow == nil {
		b = append(b, 0)
	} else {
		b = append(binary.AppendUvarint(b, uint64(1+len(x.flow))), x.flow...)
	}
	if x.channel == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		for _, p := range [...]string{string(x.channel.Exporter), string(x.channel.EndPoint), x.channel.Client} {
			b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
		}
	}
	if x.user == nil {
		b = append(b, 0)
	} else {
		user, ok := p.AppendExtra(nil, x.user)
		if !ok {
			return b, false
		}
		b = append(binary.AppendUvarint(b, uint64(1+len(user))), user...)
	}
	return seal(b), true
}

// seal appends the checksum.
func seal(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)) }

// savedReader takes a saved extra apart. What does not fit sets bad, and reads as zero.
type savedReader struct {
	b   []byte
	bad bool
}

func (r *savedReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes appends the next n bytes to dst.
func (r *savedReader) bytes(dst []byte, n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return dst
	}
	dst = append(dst, r.b[:n]...)
	r.b = r.b[n:]
	return dst
}

// parse makes x, which is empty, what append has written. After an error it must not be used.
func (x *extra) parse(b []byte, p Survivor) error {
	end := len(b) - 4
	if end < 1 || b[0] != savedVersion || binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return errSaved
	}
	// The framer comes first, but can be checked only when the length of in is known: numbers first.
	framer := b[1:end]
	_, rest, err := imapwire.ParseFramer(framer, end)
	if err != nil {
		return err
	}
	r := savedReader{b: rest}
	x.ready = int(r.number(uint64(end)))
	x.asked = imapwire.Frame{Kind: imapwire.FrameKind(r.number(255)), N: int(r.number(uint64(end))), Head: int(r.number(uint64(end))),
		Size: r.number(1<<63 - 1), NonSync: r.number(1) == 1}
	x.in = r.bytes(x.in, r.number(uint64(len(r.b))))
	x.out = r.bytes(x.out, r.number(uint64(len(r.b))))
	x.wire = r.bytes(x.wire, r.number(uint64(len(r.b))))
	x.opened = int(r.number(uint64(len(x.wire))))
	if n := r.number(uint64(len(r.b))); n > 0 {
		x.spool = new(spool)
		for range n - 1 {
			x.spool.bodies = append(x.spool.bodies, Body{At: int(r.number(math.MaxInt32)), Kept: int(r.number(math.MaxInt32)), Size: r.number(math.MaxInt32)})
		}
	}
	if n := r.number(uint64(1 + len(r.b))); n > 0 {
		if x.flow, x.spare = r.bytes(x.spare, min(n-1, uint64(len(r.b)))), nil; x.flow == nil {
			r.bad = true
		}
	}
	if r.number(1) == 1 {
		part := func() []byte { return r.bytes(nil, r.number(uint64(len(r.b)))) } // nil if it is empty
		x.channel = &Channel{Exporter: part(), EndPoint: part(), Client: string(part())}
		if !x.channel.known() {
			r.bad = true
		}
	}
	if n := r.number(uint64(1 + len(r.b))); n > 0 && !r.bad {
		if x.user, err = p.ParseExtra(r.bytes(nil, min(n-1, uint64(len(r.b))))); err != nil {
			return err
		}
	}
	if x.framer, _, err = imapwire.ParseFramer(framer, len(x.in)); err != nil {
		return err
	}
	for _, body := range x.bodies() { // the last one may not have been received to its end
		if end := max(x.framer.LiteralEnd(), uint64(len(x.in))); uint64(body.At+body.Kept) > end || uint64(body.Kept) != body.Size {
			r.bad = true
		}
	}
	if left, _ := x.framer.Spooling(); r.bad || len(r.b) > 0 || left > 0 || x.ready > len(x.in) || x.asked.N > len(x.in) {
		return errSaved
	}
	return nil
}
