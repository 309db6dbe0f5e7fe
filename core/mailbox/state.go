package mailbox

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
)

// state is what an entry says of the mailbox at the saved version, but for the position.
type state struct {
	uidValidity, uidNext, firstRecent, count uint32
	highestModSeq                            uint64
	mailboxID                                [16]byte
	keywords                                 uint16 // number of names
}

// stateSize is the room that an entry has for a state and the position. What is not used of it is zero.
//
// Packed, where both fit; numbers are uvarints:
//
//	1 byte     where in the position MailboxID was left out, and in what remains, UIDVALIDITY (4 bytes, little-endian): low and
//	           high 4 bits, notLeftOut = it was not
//	4, 16      UIDVALIDITY, MailboxID
//	n          UIDNEXT
//	n          2 × keywords, + 1 if the next one is there
//	n          UIDNEXT - first \Recent UID, modulo 1<<32
//	n          number of messages
//	n          HIGHESTMODSEQ
//	n          length of what remains of the position
//	           for each 8 bytes of that: 1 byte, bit i = byte i is not zero; the bytes that are not zero
//
// Else the first byte is unpacked, the position is in the extra, and what follows are UIDVALIDITY, MailboxID, UIDNEXT, first \Recent UID, number of
// messages, HIGHESTMODSEQ, keywords, little-endian.
const stateSize = 44

const (
	notLeftOut = 15
	// lastLeftOut is where something can be left out at the latest, so that no packed state begins like an unpacked one.
	lastLeftOut = 13
	unpacked    = 0xfe
	// longPosition is the length from which on nobody tries whether a position fits.
	longPosition = 64
)

// setState writes a state and the position to the entry. It returns false if the position did not fit: then it must be in the extra.
func (e *entry) setState(s *state, position []byte) bool {
	var buf [2 * longPosition]byte
	b, ok := s.pack(buf[:0], position)
	if !ok || len(b) > stateSize {
		ok = false
		b = binary.LittleEndian.AppendUint32(append(buf[:0], unpacked), s.uidValidity)
		b = append(b, s.mailboxID[:]...)
		for _, n := range [...]uint32{s.uidNext, s.firstRecent, s.count} {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
		b = binary.LittleEndian.AppendUint64(b, s.highestModSeq)
		b = binary.LittleEndian.AppendUint16(b, s.keywords)
	}
	clear(e.state[copy(e.state[:], b):])
	return ok
}

// pack appends the packed form, which may be longer than an entry has room for. ok is false if the position is too long.
func (s *state) pack(b, position []byte) (_ []byte, ok bool) {
	if len(position) > longPosition {
		return b, false
	}
	var buf [longPosition]byte
	rest := append(buf[:0], position...)
	rest, id := leaveOut(rest, s.mailboxID[:])
	rest, validity := leaveOut(rest, binary.LittleEndian.AppendUint32(nil, s.uidValidity))
	b = binary.LittleEndian.AppendUint32(append(b, id|validity<<4), s.uidValidity)
	b = append(b, s.mailboxID[:]...)
	b = binary.AppendUvarint(b, uint64(s.uidNext))
	if s.firstRecent == s.uidNext {
		b = binary.AppendUvarint(b, uint64(s.keywords)<<1)
	} else {
		b = binary.AppendUvarint(b, uint64(s.keywords)<<1|1)
		b = binary.AppendUvarint(b, uint64(s.uidNext-s.firstRecent))
	}
	b = binary.AppendUvarint(b, uint64(s.count))
	b = binary.AppendUvarint(b, s.highestModSeq)
	b = binary.AppendUvarint(b, uint64(len(rest)))
	for ; len(rest) > 0; rest = rest[min(8, len(rest)):] {
		bits := len(b)
		b = append(b, 0)
		for i, c := range rest[:min(8, len(rest))] {
			if c != 0 {
				b[bits] |= 1 << i
				b = append(b, c)
			}
		}
	}
	return b, true
}

// leaveOut takes what out of p, and returns where it was.
func leaveOut(p, what []byte) (rest []byte, at byte) {
	i := bytes.Index(p, what)
	if i < 0 || i > lastLeftOut {
		return p, notLeftOut
	}
	return append(p[:i], p[i+len(what):]...), byte(i)
}

// getState returns the state that setState has written. One that it has not written is any other one.
func (e *entry) getState() state {
	s, _, _ := e.unpack()
	return s
}

// getPosition returns the position that setState has written; ok is false if it is in the extra.
func (e *entry) getPosition() (_ []byte, ok bool) {
	s, b, n := e.unpack()
	if n < 0 {
		return nil, false
	}
	p := make([]byte, 0, longPosition+4+16)
	for len(p) < n && len(b) > 0 {
		bits := b[0]
		b = b[1:]
		for i := 0; i < 8 && len(p) < n; i++ {
			c := byte(0)
			if bits>>i&1 != 0 && len(b) > 0 {
				c, b = b[0], b[1:]
			}
			p = append(p, c)
		}
	}
	p = putBack(p, binary.LittleEndian.AppendUint32(nil, s.uidValidity), e.state[0]>>4)
	return putBack(p, s.mailboxID[:], e.state[0]&0xf), true
}

// unpack returns the state, and of what remains of the position the packed form and the length; length -1: the position is in the extra.
func (e *entry) unpack() (s state, position []byte, length int) {
	b := e.state[1:]
	s.uidValidity = binary.LittleEndian.Uint32(b)
	s.mailboxID = [16]byte(b[4:])
	b = b[4+16:]
	if e.state[0] == unpacked {
		s.uidNext, s.firstRecent, s.count = binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
		s.highestModSeq, s.keywords = binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint16(b[20:])
		return s, nil, -1
	}
	num := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[max(n, 0):]
		return v
	}
	s.uidNext = uint32(num())
	keywords := num()
	s.keywords, s.firstRecent = uint16(min(keywords>>1, math.MaxUint16)), s.uidNext
	if keywords&1 != 0 {
		s.firstRecent -= uint32(num())
	}
	s.count, s.highestModSeq = uint32(num()), num()
	n := num()
	if n > longPosition {
		return s, nil, -1
	}
	return s, b, int(n)
}

// putBack is the inverse of leaveOut.
func putBack(p, what []byte, at byte) []byte {
	i := int(at)
	if i == notLeftOut || i > len(p) {
		return p
	}
	return slices.Insert(p, i, what...)
}
