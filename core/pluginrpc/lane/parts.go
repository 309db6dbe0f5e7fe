package lane

import (
	"encoding/binary"

	"google.golang.org/grpc/mem"
)

const (
	// maxParts is how many parts of a message may be in the lane's memory.
	maxParts = 4
	// partsHead and partSize are what a frame of kindParts has before the rest of its message.
	partsHead = 1 + 1
	partSize  = 4 + 4 + 4

	// flagAcknowledge: core says when it is done with the message.
	flagAcknowledge = 1
)

// Part is a piece of a message that lies in the memory of a lane.
//
// In core it is what a plugin may still be changing: what is looked at more than once must be copied first. It keeps the memory mapped.
type Part struct {
	mem.SliceBuffer
	memory *memory
	offset int // in memory
}

// Slice implements mem.Buffer. What it returns is a Part, too.
func (p Part) Slice(from, to int) mem.Buffer {
	return Part{p.SliceBuffer[from:to], p.memory, p.offset + from}
}

// Slot is room for a message of a request, or for parts of one of an answer, in the memory of a lane. It is valid until the message is sent, or the call ends.
type Slot struct {
	Room   []byte // as large as the slot; there may be anything in it
	memory *memory
	offset int
}

// Part returns a piece of the slot, as part of a message.
func (s *Slot) Part(from, to int) mem.Buffer {
	return Part{mem.SliceBuffer(s.Room[from:to]), s.memory, s.offset + from}
}

// appendParts appends a message to b whose parts are in the lane's memory. It returns where the flags are.
func appendParts(b []byte, call uint32, data mem.BufferSlice) (_ []byte, flags int) {
	start := len(b)
	b = appendAnswerHead(b, call, kindParts, 0)
	flags = len(b)
	b = append(b, 0, 0)
	at := 0
	for _, d := range data {
		p, ok := d.(Part)
		if !ok {
			at += d.Len()
			continue
		}
		b[flags+1]++
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
		b = binary.LittleEndian.AppendUint32(b, uint32(p.offset))
		b = binary.LittleEndian.AppendUint32(b, uint32(p.Len()))
	}
	for _, d := range data {
		if _, ok := d.(Part); !ok {
			b = append(b, d.ReadOnlyData()...)
		}
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-answerHead))
	return b, flags
}

// countParts returns how many parts there are, and how many bytes beside them.
func countParts(data mem.BufferSlice) (parts, rest int) {
	for _, d := range data {
		if _, ok := d.(Part); ok {
			parts++
		} else {
			rest += d.Len()
		}
	}
	return parts, rest
}

// parts decodes the payload of a frame of kindParts into bufs. m is nil if the lane has no memory.
func (m *memory) parts(payload []byte, bufs mem.BufferSlice) (_ mem.BufferSlice, acknowledge bool, err error) {
	if m == nil {
		return nil, false, broken("parts in a lane without memory")
	}
	if len(payload) < partsHead {
		return nil, false, broken("parts in %d bytes", len(payload))
	}
	flags, n := payload[0], int(payload[1])
	list := payload[partsHead:]
	if flags > flagAcknowledge || n == 0 || n > maxParts || len(list) < n*partSize {
		return nil, false, broken("flags %d and %d parts in %d bytes", flags, n, len(payload))
	}
	list, rest := list[:n*partSize], list[n*partSize:]
	size, at, all := len(rest), 0, uint64(len(m.b))
	for ; len(list) > 0; list = list[partSize:] {
		next, offset, length := uint64(binary.LittleEndian.Uint32(list)), uint64(binary.LittleEndian.Uint32(list[4:])), uint64(binary.LittleEndian.Uint32(list[8:]))
		if next < uint64(at) || next > uint64(len(rest)) || length == 0 || offset > all || length > all-offset {
			return nil, false, broken("part of %d bytes from %d on, at %d of %d", length, offset, next, len(rest))
		}
		if size += int(length); size > MaxMessage {
			return nil, false, broken("a message of more than %d bytes", MaxMessage)
		}
		if between := rest[at:next:next]; len(between) > 0 {
			bufs = append(bufs, mem.SliceBuffer(between))
		}
		bufs = append(bufs, Part{mem.SliceBuffer(m.b[offset:][:length:length]), m, int(offset)})
		m.used, at = max(m.used, int(offset+length)), int(next)
	}
	if at < len(rest) {
		bufs = append(bufs, mem.SliceBuffer(rest[at:]))
	}
	return bufs, flags&flagAcknowledge != 0, nil
}
