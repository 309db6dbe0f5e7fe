package session

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/roostmail/roost/core/imapwire"
)

// savedAsleep is the largest extra, in bytes, that is kept outside of Go's heap too as soon as its session sleeps. Larger ones are half-received
// commands or answers on their way; writing them anew whenever a piece has come or gone would cost more than they are worth: the
// holder does it within some seconds, if they sleep then (holder.noteLarge). A compressed stream does not count: its session has it all the time.
const savedAsleep = 4 << 10

// A saved extra:
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
//	uvarint  1 + length of the protocol's part, 0 = none, and it
//	4 bytes  CRC-32 (Castagnoli, little-endian) of what is before
const savedVersion = 2

var errSaved = errors.New("session: not a saved extra")

// movable reports whether the session can go on in another process.
func (s *Session) movable() bool {
	x := s.x
	switch {
	case x == nil:
		return true
	case x.tls != nil, x.spool != nil && (x.spool.file != nil || x.spool.reserved != 0):
		return false
	case x.user != nil:
		_, ok := s.e.survivor.AppendExtra(nil, x.user)
		return ok
	}
	return true
}

// save brings the copy of the extra outside of Go's heap up to date, if it is movable and has not more than limit bytes. The caller owns the session.
func (s *Session) save(limit int) {
	old := s.r.saved
	s.r.saved = 0
	if x := s.x; x != nil && s.r.flags&flagExtra != 0 && len(x.in)+len(x.unsent())+len(x.wire) <= limit && s.movable() {
		// Without room the session works as before; it is not there for a next process.
		s.r.saved, _ = s.e.saved.Put(x.append(nil, s.e.survivor))
	}
	s.e.saved.Free(old)
}

func (x *extra) append(b []byte, p Survivor) []byte {
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
	if x.user == nil {
		b = append(b, 0)
	} else {
		user, _ := p.AppendExtra(nil, x.user)
		b = append(binary.AppendUvarint(b, uint64(1+len(user))), user...)
	}
	return seal(b)
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

func (r *savedReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return append([]byte(nil), p...)
}

// parseExtra reads what append has written.
func parseExtra(b []byte, p Survivor) (*extra, error) {
	end := len(b) - 4
	if end < 1 || b[0] != savedVersion || binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return nil, errSaved
	}
	x := new(extra)
	// The framer comes first, but can be checked only when the length of in is known: numbers first.
	framer := b[1:end]
	_, rest, err := imapwire.ParseFramer(framer, end)
	if err != nil {
		return nil, err
	}
	r := savedReader{b: rest}
	x.ready = int(r.number(uint64(end)))
	x.asked = imapwire.Frame{Kind: imapwire.FrameKind(r.number(255)), N: int(r.number(uint64(end))), Head: int(r.number(uint64(end))),
		Size: r.number(1<<63 - 1), NonSync: r.number(1) == 1}
	x.in = r.bytes(r.number(uint64(len(r.b))))
	x.out = r.bytes(r.number(uint64(len(r.b))))
	x.wire = r.bytes(r.number(uint64(len(r.b))))
	x.opened = int(r.number(uint64(len(x.wire))))
	if n := r.number(uint64(len(r.b))); n > 0 {
		x.spool = new(spool)
		for range n - 1 {
			body := Body{At: int(r.number(uint64(len(x.in)))), Kept: int(r.number(uint64(len(x.in)))), Size: r.number(uint64(len(x.in)))}
			if uint64(body.Kept) != body.Size {
				r.bad = true
			}
			x.spool.bodies = append(x.spool.bodies, body)
		}
	}
	if n := r.number(uint64(1 + len(r.b))); n > 0 {
		x.flow = r.bytes(min(n-1, uint64(len(r.b))))
		if _, _, _, ok := x.flow.input(); !ok {
			r.bad = true
		}
	}
	if n := r.number(uint64(1 + len(r.b))); n > 0 && !r.bad {
		if x.user, err = p.ParseExtra(r.bytes(min(n-1, uint64(len(r.b))))); err != nil {
			return nil, err
		}
	}
	if x.framer, _, err = imapwire.ParseFramer(framer, len(x.in)); err != nil {
		return nil, err
	}
	if left, _ := x.framer.Spooling(); r.bad || len(r.b) > 0 || left > 0 || x.ready > len(x.in) || x.asked.N > len(x.in) {
		return nil, errSaved
	}
	return x, nil
}
