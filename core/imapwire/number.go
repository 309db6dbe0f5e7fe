package imapwire

import "math"

// Number reads a number (RFC 3501 §9: number, 0 <= n < 4,294,967,296).
func (d *Decoder) Number() uint32 {
	return uint32(d.number(math.MaxUint32, "expected number"))
}

// NZNumber reads a number that is not 0 (RFC 3501 §9: nz-number).
func (d *Decoder) NZNumber() uint32 {
	at := d.pos
	n := d.Number()
	if n == 0 && d.err == nil {
		d.failAt(at, "expected a number above 0")
	}
	return n
}

// Number64 reads a number below 2^63 (RFC 9051 §9: number64; RFC 7162 §7: mod-sequence-valzer).
func (d *Decoder) Number64() uint64 {
	return d.number(math.MaxInt64, "expected number")
}

// number reads digits. It fails on more than limit without reading further.
func (d *Decoder) number(limit uint64, what string) uint64 {
	if d.err != nil {
		return 0
	}
	start, n := d.pos, uint64(0)
	for ; d.pos < len(d.b); d.pos++ {
		c := d.b[d.pos]
		if c < '0' || c > '9' {
			break
		}
		v := uint64(c - '0')
		if n > (limit-v)/10 {
			d.failAt(start, "number is too large")
			return 0
		}
		n = n*10 + v
	}
	if d.pos == start {
		d.Fail(what)
	}
	return n
}
