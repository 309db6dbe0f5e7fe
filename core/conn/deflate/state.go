package deflate

import (
	"encoding/binary"
	"errors"
)

// ErrState says that bytes are no state of a Decoder.
var ErrState = errors.New("deflate: damaged state")

const (
	stateHead  = 13
	stateCodes = 6

	// MaxState is the largest size of a state.
	MaxState = stateHead + stateCodes + (maxLenCodes+1)/2 + (maxLitCodes+maxDistCodes+1)/2 + WindowSize

	stateFinal = 1 << 0
	stateFixed = 1 << 1

	maxMatch = 258 // RFC 1951 §3.2.5
)

// maxHeld is how many bits can be read and not used between two calls: less than the phase's next element has, or what is left of
// an octet.
var maxHeld = [phases]uint{
	phaseBlock: 7, phaseStoredSize: 24, phaseStored: 0, phaseCounts: 13, phaseLenCodes: 7, phaseLengths: 13, phaseSymbols: 47,
	phaseEnd: 7, phaseCorrupt: 47,
}

// ownCodes reports whether the state of the stream has codes of the block's own.
func (d *Decoder) ownCodes() bool {
	return d.phase == phaseLenCodes || d.phase == phaseLengths || d.phase == phaseSymbols && !d.fixed
}

// AppendState appends the state of the stream to b, from which LoadState continues it. It has at most MaxState bytes, and in
// general 13 more than were decoded so far.
func (d *Decoder) AppendState(b []byte) []byte {
	flags := byte(0)
	if d.final {
		flags |= stateFinal
	}
	if d.fixed {
		flags |= stateFixed
	}
	b = append(b, byte(d.phase), flags, byte(d.nbits))
	var held [8]byte
	binary.LittleEndian.PutUint64(held[:], d.bits)
	b = append(b, held[:6]...)
	b = binary.LittleEndian.AppendUint16(b, uint16(d.left))
	b = binary.LittleEndian.AppendUint16(b, uint16(d.dist))
	if d.ownCodes() {
		b = binary.LittleEndian.AppendUint16(b, uint16(d.nlit))
		b = append(b, byte(d.ndist), byte(d.nlen))
		b = binary.LittleEndian.AppendUint16(b, uint16(d.have))
		if d.phase != phaseSymbols {
			b = appendNibbles(b, d.lenCodes[:])
		}
		if d.phase != phaseLenCodes {
			b = appendNibbles(b, d.lengths[:d.have])
		}
	}
	from := (d.pos - d.seen) & (WindowSize - 1)
	first := d.window[from:min(from+d.seen, WindowSize)]
	b = append(b, first...)
	return append(b, d.window[:d.seen-len(first)]...)
}

// LoadState makes d continue the stream whose state AppendState has appended to nothing. It returns ErrState, and d is at the beginning
// of a stream, if b is no such thing. b is not retained.
func (d *Decoder) LoadState(b []byte) error {
	if !d.load(b) {
		d.Reset()
		return ErrState
	}
	return nil
}

func (d *Decoder) load(b []byte) bool {
	if len(b) < stateHead {
		return false
	}
	d.Reset()
	d.made = madeForNothing
	flags := b[1]
	d.phase, d.final, d.fixed = phase(b[0]), flags&stateFinal != 0, flags&stateFixed != 0
	d.nbits = uint(b[2])
	d.bits = uint64(binary.LittleEndian.Uint32(b[3:])) | uint64(binary.LittleEndian.Uint16(b[7:]))<<32
	d.left, d.dist = int(binary.LittleEndian.Uint16(b[9:])), int(binary.LittleEndian.Uint16(b[11:]))
	b = b[stateHead:]
	ok := flags&^(stateFinal|stateFixed) == 0 && d.phase < phases &&
		d.nbits <= maxHeld[d.phase] && d.bits>>d.nbits == 0 && (d.phase != phaseStoredSize || d.nbits%8 == 0) &&
		(!d.fixed || d.phase == phaseSymbols)
	if !ok {
		return false
	}
	if d.ownCodes() {
		if b, ok = d.loadCodes(b); !ok {
			return false
		}
	}
	if len(b) > WindowSize {
		return false
	}
	d.remember(b)
	switch d.phase {
	case phaseStored:
		return d.left > 0 && d.dist == 0 && d.nbits == 0
	case phaseSymbols:
		return (d.dist == 0) == (d.left == 0) && d.left <= maxMatch && d.dist <= d.seen
	}
	return d.left == 0 && d.dist == 0
}

// loadCodes reads the codes of the block from the front of b, of which it returns the rest.
func (d *Decoder) loadCodes(b []byte) (rest []byte, ok bool) {
	if len(b) < stateCodes {
		return nil, false
	}
	d.nlit, d.ndist, d.nlen = int(binary.LittleEndian.Uint16(b)), int(b[2]), int(b[3])
	d.have = int(binary.LittleEndian.Uint16(b[4:]))
	b = b[stateCodes:]
	all := d.nlit + d.ndist
	if d.nlit < 257 || d.nlit > maxLitCodes || d.ndist < 1 || d.ndist > maxDistCodes || d.nlen < 4 || d.nlen > maxLenCodes {
		return nil, false
	}
	switch d.phase {
	case phaseLenCodes:
		ok = d.have <= d.nlen
	case phaseLengths:
		ok = d.have <= all
	default:
		ok = d.have == all
	}
	if ok && d.phase != phaseSymbols {
		b, ok = loadNibbles(d.lenCodes[:], b, 7)
	}
	if ok && d.phase != phaseLenCodes {
		b, ok = loadNibbles(d.lengths[:d.have], b, maxCodeBits)
	}
	return b, ok
}

// appendNibbles appends v, two in an octet.
func appendNibbles(b, v []byte) []byte {
	for i := 0; i+1 < len(v); i += 2 {
		b = append(b, v[i]|v[i+1]<<4)
	}
	if len(v)%2 != 0 {
		b = append(b, v[len(v)-1])
	}
	return b
}

// loadNibbles reads v, of values up to most, from the front of b, of which it returns the rest.
func loadNibbles(v, b []byte, most byte) (rest []byte, ok bool) {
	n := (len(v) + 1) / 2
	if len(b) < n {
		return nil, false
	}
	for i := range v {
		if v[i] = b[i/2] >> (i % 2 * 4) & 15; v[i] > most {
			return nil, false
		}
	}
	if len(v)%2 != 0 && b[n-1]>>4 != 0 {
		return nil, false
	}
	return b[n:], true
}
