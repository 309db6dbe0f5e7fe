package deflate

const (
	maxLitCodes  = 286 // symbols 286 and 287 take part in the fixed code, but are not used (RFC 1951 §3.2.6)
	maxDistCodes = 30
	maxLenCodes  = 19
	endOfBlock   = 256
)

// codes are the codes of a block with dynamic codes (RFC 1951 §3.2.7).
type codes struct {
	nlit, ndist, nlen int                              // numbers of codes
	have              int                              // how many of lenCodes (phaseLenCodes, in their order) or lengths (phaseLengths) are known
	lenCodes          [maxLenCodes]byte                // lengths of the code length codes, by symbol
	lengths           [maxLitCodes + maxDistCodes]byte // nlit literal and length codes, then ndist distance codes

	made        tables  // what the tables were made for
	lits, dists huffman // in phaseLengths lits decodes code lengths
}

// tables says what the tables of codes were made for.
type tables uint8

const (
	madeForNothing tables = iota
	madeForLengths
	madeForSymbols
)

// lenOrder is the order in which the lengths of the code length codes are sent.
var lenOrder = [maxLenCodes]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// extended is a number that a symbol and some bits behind it make (RFC 1951 §3.2.5).
type extended struct {
	base  uint16
	extra uint8 // number of bits that are added to base
}

var lengthOf = func() (t [maxLitCodes - endOfBlock - 1]extended) {
	base := uint16(3)
	for i := range t {
		extra := uint8(max(0, i/4-1))
		t[i] = extended{base, extra}
		base += 1 << extra
	}
	t[len(t)-1] = extended{258, 0}
	return t
}()

var distanceOf = func() (t [maxDistCodes]extended) {
	base := uint16(1)
	for i := range t {
		extra := uint8(max(0, i/2-1))
		t[i] = extended{base, extra}
		base += 1 << extra
	}
	return t
}()

// The fixed codes (RFC 1951 §3.2.6).
var fixedLitCode, fixedDistCode = func() (lits, dists huffman) {
	var l [fixedLits]byte
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 8
		}
	}
	var ds [32]byte
	for i := range ds {
		ds[i] = 5
	}
	lits.init(l[:])
	dists.init(ds[:])
	return lits, dists
}()

// counts reads the numbers of codes.
func (d *Decoder) counts(in *input) bool {
	if d.refill(in); d.nbits < 14 {
		return false
	}
	d.nlit, d.ndist, d.nlen = int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if d.nlit > maxLitCodes || d.ndist > maxDistCodes {
		return d.corrupt()
	}
	clear(d.lenCodes[:])
	d.phase, d.have = phaseLenCodes, 0
	return true
}

// lenCode reads the lengths of the code length codes.
func (d *Decoder) lenCode(in *input) bool {
	for ; d.have < d.nlen; d.have++ {
		if d.refill(in); d.nbits < 3 {
			return false
		}
		d.lenCodes[lenOrder[d.have]] = byte(d.take(3))
	}
	d.phase, d.have, d.made = phaseLengths, 0, madeForNothing
	return true
}

// length reads code lengths.
func (d *Decoder) length(in *input) bool {
	if d.made != madeForLengths {
		d.made = madeForNothing
		if !d.lits.init(d.lenCodes[:]) {
			return d.corrupt()
		}
		d.made = madeForLengths
	}
	for d.have < d.nlit+d.ndist {
		if d.nbits < 14 { // as many as a repetition takes
			d.refill(in)
		}
		sym, n, ok := d.lits.decode(d.bits, d.nbits)
		if !ok {
			return d.corrupt()
		}
		repeat, extra, value := 1, uint(0), byte(sym)
		switch sym {
		case 16:
			if repeat, extra = 3, 2; n > 0 && d.have == 0 {
				return d.corrupt()
			}
			if d.have > 0 {
				value = d.lengths[d.have-1]
			}
		case 17:
			repeat, extra, value = 3, 3, 0
		case 18:
			repeat, extra, value = 11, 7, 0
		}
		if n == 0 || n+extra > d.nbits {
			return false
		}
		d.take(n)
		repeat += int(d.take(extra))
		if repeat > d.nlit+d.ndist-d.have {
			return d.corrupt()
		}
		for range repeat {
			d.lengths[d.have] = value
			d.have++
		}
	}
	d.phase, d.made = phaseSymbols, madeForNothing
	return true
}

// makeSymbols makes the tables for the block's symbols, unless they are there. It reports whether there are such codes.
func (d *Decoder) makeSymbols() bool {
	if d.made == madeForSymbols {
		return true
	}
	d.made = madeForNothing
	if !d.lits.init(d.lengths[:d.nlit]) || !d.dists.init(d.lengths[d.nlit:][:d.ndist]) {
		return false
	}
	d.made = madeForSymbols
	return true
}
