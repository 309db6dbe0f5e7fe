package deflate

import (
	"encoding/binary"
	"errors"
	"io"
)

// WindowSize is how far back a match can reach, in octets (RFC 1951 §2).
const WindowSize = 32 << 10

// ErrCorrupt says that the input is no DEFLATE stream. The stream cannot be read any further.
var ErrCorrupt = errors.New("deflate: invalid stream")

// phase says what comes next in the stream. The numbers are those of the state.
type phase uint8

const (
	phaseBlock      phase = iota // the 3 bits before a block
	phaseStoredSize              // LEN and NLEN; the padding before them was dropped
	phaseStored                  // octets
	phaseCounts                  // HLIT, HDIST, HCLEN
	phaseLenCodes                // lengths of the code length codes
	phaseLengths                 // code lengths
	phaseSymbols                 // compressed data
	phaseEnd                     // nothing: the last block has ended
	phaseCorrupt                 // nothing: the stream was invalid
	phases
)

// Decoder decodes one stream. The zero value is at the beginning of a stream. It has some 38 KB, and is made for being
// lent to whichever stream has input just now. It is not safe for concurrent use.
type Decoder struct {
	phase phase
	final bool   // the block is the last one
	fixed bool   // its codes are the fixed ones
	bits  uint64 // read and not used, the first one lowest; above nbits there are zeroes
	nbits uint
	left  int // octets left of a stored block or a match
	dist  int // of that match; 0: there is none

	codes // of the block, unless they are fixed

	window [WindowSize]byte // a ring
	pos    int              // where its next octet goes
	seen   int              // how many octets are in it
}

// Reset puts d at the beginning of a stream.
func (d *Decoder) Reset() {
	d.phase, d.final, d.fixed = phaseBlock, false, false
	d.bits, d.nbits, d.left, d.dist, d.pos, d.seen = 0, 0, 0, 0, 0, 0
}

// Decode decodes src, which goes on where the last call stopped, into dst. It returns how much of dst it has
// filled and how much of src it has used. Unless dst is full or there is an error, it has used all of src, and every octet
// that src determines is in dst. If dst is full there may be more to come even without further input. Nothing is allocated,
// whatever src says.
//
// It returns io.EOF when the last block of the stream has ended, and ErrCorrupt, with what was decoded
// before, if the stream is invalid. Further calls return the same. src and dst are not retained, and must not overlap.
func (d *Decoder) Decode(dst, src []byte) (nd, ns int, err error) {
	in, out := input{src: src}, output{buf: dst}
	for d.step(&in, &out) {
	}
	switch d.phase {
	case phaseEnd:
		err = io.EOF
	case phaseCorrupt:
		err = ErrCorrupt
	}
	if err != nil || out.n == len(dst) {
		d.giveBack(&in)
	}
	d.remember(dst[:out.n])
	return out.n, in.n, err
}

// input is the src of a call, of which n octets were read.
type input struct {
	src []byte
	n   int
}

// output is the dst of a call, of which n octets are filled.
type output struct {
	buf []byte
	n   int
}

// refill reads until there are at least 56 bits, or all.
func (d *Decoder) refill(in *input) {
	if len(in.src)-in.n >= 8 && d.nbits < 56 {
		d.bits |= binary.LittleEndian.Uint64(in.src[in.n:]) << d.nbits
		k := (63 - d.nbits) >> 3
		in.n += int(k)
		d.nbits += k << 3
		d.bits &= 1<<d.nbits - 1
		return
	}
	for d.nbits < 56 && in.n < len(in.src) {
		d.bits |= uint64(in.src[in.n]) << d.nbits
		in.n++
		d.nbits += 8
	}
}

// giveBack undoes the reading of whole octets that were read in this call and not used.
func (d *Decoder) giveBack(in *input) {
	k := min(d.nbits>>3, uint(in.n))
	in.n -= int(k)
	d.nbits -= k << 3
	d.bits &= 1<<d.nbits - 1
}

// take uses n bits, which there must be.
func (d *Decoder) take(n uint) uint {
	v := uint(d.bits & (1<<n - 1))
	d.bits >>= n
	d.nbits -= n
	return v
}

// step goes on by one phase, or as far as it can. It reports whether to go on: not if it needs more input or room, or at an end.
func (d *Decoder) step(in *input, out *output) bool {
	if d.dist > 0 && !d.match(out) {
		return false
	}
	switch d.phase {
	case phaseBlock:
		return d.block(in)
	case phaseStoredSize:
		return d.storedSize(in)
	case phaseStored:
		return d.stored(in, out)
	case phaseCounts:
		return d.counts(in)
	case phaseLenCodes:
		return d.lenCode(in)
	case phaseLengths:
		return d.length(in)
	case phaseSymbols:
		return d.symbols(in, out)
	}
	return false
}

// corrupt ends the stream.
func (d *Decoder) corrupt() bool {
	d.phase, d.fixed, d.left, d.dist = phaseCorrupt, false, 0, 0
	return false
}

// ended goes on behind a block.
func (d *Decoder) ended() bool {
	d.phase, d.fixed = phaseBlock, false
	if d.final {
		d.phase = phaseEnd
	}
	return true
}

// block reads the beginning of a block (RFC 1951 §3.2.3).
func (d *Decoder) block(in *input) bool {
	if d.refill(in); d.nbits < 3 {
		return false
	}
	d.final = d.take(1) == 1
	switch d.take(2) {
	case 0:
		d.take(d.nbits & 7)
		d.phase = phaseStoredSize
	case 1:
		d.fixed = true
		d.phase = phaseSymbols
	case 2:
		d.phase = phaseCounts
	default:
		return d.corrupt()
	}
	return true
}

// storedSize reads the size of a stored block (RFC 1951 §3.2.4).
func (d *Decoder) storedSize(in *input) bool {
	if d.refill(in); d.nbits < 32 {
		return false
	}
	size, inverse := d.take(16), d.take(16)
	if size != ^inverse&0xffff {
		return d.corrupt()
	}
	d.giveBack(in) // all that is there: it was less than 32 bits before the call
	if size == 0 {
		return d.ended()
	}
	d.left = int(size)
	d.phase = phaseStored
	return true
}

// stored copies the octets of a stored block.
func (d *Decoder) stored(in *input, out *output) bool {
	n := copy(out.buf[out.n:], in.src[in.n:][:min(d.left, len(in.src)-in.n)])
	in.n += n
	out.n += n
	if d.left -= n; d.left > 0 {
		return false
	}
	return d.ended()
}

// symbols decodes compressed data (RFC 1951 §3.2.3, §3.2.5).
func (d *Decoder) symbols(in *input, out *output) bool {
	lits, dists := &fixedLitCode, &fixedDistCode
	if !d.fixed {
		if !d.makeSymbols() {
			return d.corrupt()
		}
		lits, dists = &d.lits, &d.dists
	}
	for {
		if d.nbits < 48 { // as many as a match takes
			d.refill(in)
		}
		sym, n, ok := lits.decode(d.bits, d.nbits)
		switch {
		case !ok || sym >= maxLitCodes:
			return d.corrupt()
		case n == 0:
			return false
		case sym < endOfBlock:
			if out.n == len(out.buf) {
				return false
			}
			out.buf[out.n] = byte(sym)
			out.n++
			d.take(n)
		case sym == endOfBlock:
			d.take(n)
			return d.ended()
		default:
			if !d.matchOf(sym, n, dists, out) || !d.match(out) {
				return false
			}
		}
	}
}

// matchOf reads the match that begins with length symbol sym, whose code has n bits. It returns false if not all of it is there, or
// if it is invalid.
func (d *Decoder) matchOf(sym int, n uint, dists *huffman, out *output) bool {
	length := lengthOf[sym-endOfBlock-1]
	at := n + uint(length.extra) // where the distance begins
	if at > d.nbits {
		return false
	}
	code, m, ok := dists.decode(d.bits>>at, d.nbits-at)
	if !ok || code >= maxDistCodes {
		return d.corrupt()
	}
	distance := distanceOf[code]
	if m == 0 || at+m+uint(distance.extra) > d.nbits {
		return false
	}
	d.take(n)
	left := int(length.base) + int(d.take(uint(length.extra)))
	d.take(m)
	dist := int(distance.base) + int(d.take(uint(distance.extra)))
	if dist > d.seen+out.n {
		return d.corrupt()
	}
	d.left, d.dist = left, dist
	return true
}

// match copies from what was decoded before, as far as there is room. It reports whether all of the match is copied.
func (d *Decoder) match(out *output) bool {
	for d.left > 0 && out.n < len(out.buf) {
		dst := out.buf[out.n:min(out.n+d.left, len(out.buf))]
		n := 0
		if back := d.dist - out.n; back > 0 { // from before this call
			from := (d.pos - back) & (WindowSize - 1)
			n = copy(dst, d.window[from:min(from+back, WindowSize)])
		} else {
			n = copy(dst, out.buf[-back:out.n])
		}
		out.n += n
		d.left -= n
	}
	if d.left > 0 {
		return false
	}
	d.dist = 0
	return true
}

// remember takes p, which was decoded, into the window.
func (d *Decoder) remember(p []byte) {
	p = p[max(0, len(p)-WindowSize):]
	d.seen = min(d.seen+len(p), WindowSize)
	for len(p) > 0 {
		n := copy(d.window[d.pos:], p)
		d.pos = (d.pos + n) & (WindowSize - 1)
		p = p[n:]
	}
}
