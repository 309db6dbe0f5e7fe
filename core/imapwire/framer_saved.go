package imapwire

import (
	"encoding/binary"
	"errors"
)

// A saved Framer: pos, start, text, lit and the tail's size as uvarints, then phase, the tail's state, and whether it saw "+".

var errSavedFramer = errors.New("imapwire: not a saved framer")

// Append appends the framer's place in the input, for ParseFramer in a later process.
func (f *Framer) Append(b []byte) []byte {
	for _, v := range [...]uint64{uint64(f.pos), uint64(f.start), uint64(f.text), f.lit, f.tail.size} {
		b = binary.AppendUvarint(b, v)
	}
	plus := byte(0)
	if f.tail.plus {
		plus = 1
	}
	return append(b, byte(f.phase), byte(f.tail.state), plus)
}

// ParseFramer reads what Append has written, for a buffer of n bytes, and returns what follows it. A framer that
// would look beyond the buffer, or that no input leads to, is an error.
func ParseFramer(b []byte, n int) (f Framer, rest []byte, err error) {
	var v [5]uint64
	for i := range v {
		k := 0
		if v[i], k = binary.Uvarint(b); k <= 0 {
			return Framer{}, nil, errSavedFramer
		}
		b = b[k:]
	}
	if len(b) < 3 || v[0] > uint64(n) || v[1] > v[0] || v[2] > v[0] || v[3] >= 1<<63 {
		return Framer{}, nil, errSavedFramer
	}
	f = Framer{pos: uint32(v[0]), start: uint32(v[1]), text: uint32(v[2]), lit: v[3], phase: framePhase(b[0]),
		tail: tailScan{size: v[4], state: tailState(b[1]), plus: b[2] != 0}}
	if f.phase > phaseDropLiteral || f.tail.state > tailCR || b[2] > 1 {
		return Framer{}, nil, errSavedFramer
	}
	if f.Dropping() && f.pos != 0 || f.lit > 0 && f.phase == phaseLine {
		return Framer{}, nil, errSavedFramer
	}
	return f, b[3:], nil
}
