package deflate

import "math/bits"

const (
	maxCodeBits = 15  // RFC 1951 §3.2.7
	fixedLits   = 288 // symbols of the largest code

	// rootBits is how many bits of a code are looked up at once. Longer codes are rare, and found bit by bit.
	rootBits = 9
)

// huffman decodes a prefix code that is given by the lengths of its codes (RFC 1951 §3.2.2).
type huffman struct {
	// root is indexed by the next rootBits bits, the first one lowest: symbol<<4 | length, or long, or 0 if no
	// code begins like this.
	root   [1 << rootBits]uint16
	counts [maxCodeBits + 1]uint16 // number of codes by length
	sorted [fixedLits]uint16       // symbols by length and number
}

// long is an entry of root for the codes that do not fit: its length is none.
const long = 0xffff

// init makes h decode the code with these lengths. It reports whether there is such a code: one that is neither
// over-subscribed nor incomplete, but for codes with no symbol or a single one of length 1, which zlib accepts too.
func (h *huffman) init(lengths []byte) bool {
	clear(h.counts[:])
	for _, n := range lengths {
		h.counts[n]++
	}
	h.counts[0] = 0
	var next, at [maxCodeBits + 2]uint16 // code and place in sorted of the next symbol, by length
	code, used := 0, uint16(0)
	longest := 0
	for n := 1; n <= maxCodeBits; n++ {
		code <<= 1
		next[n], at[n] = uint16(code), used
		code += int(h.counts[n])
		used += h.counts[n]
		if code > 1<<n {
			return false
		}
		if h.counts[n] > 0 {
			longest = n
		}
	}
	complete := code == 1<<maxCodeBits
	if !complete && used > 0 && !(used == 1 && longest == 1) {
		return false
	}
	if !complete {
		clear(h.root[:])
	}
	for sym, n := range lengths {
		if n == 0 {
			continue
		}
		h.sorted[at[n]] = uint16(sym)
		at[n]++
		c := bits.Reverse16(next[n]) >> (16 - n)
		next[n]++
		if n > rootBits {
			h.root[c&(1<<rootBits-1)] = long
			continue
		}
		for i := int(c); i < len(h.root); i += 1 << n {
			h.root[i] = uint16(sym)<<4 | uint16(n)
		}
	}
	return true
}

// decode finds the code at the low end of b, of which the first avail bits are known and the others 0. n is its
// length, 0 if more bits must be known. ok is false if no code begins with these bits.
func (h *huffman) decode(b uint64, avail uint) (sym int, n uint, ok bool) {
	e := h.root[b&(1<<rootBits-1)]
	if e != long {
		n = uint(e & 15)
		if n > avail {
			n = 0
		}
		return int(e >> 4), n, e != 0
	}
	code, first, index := 0, 0, 0
	for n := uint(1); n <= min(avail, maxCodeBits); n++ {
		code |= int(b & 1)
		b >>= 1
		count := int(h.counts[n])
		if code-first < count {
			return int(h.sorted[index+code-first]), n, true
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, 0, avail < maxCodeBits
}
