package imapwire

import (
	"iter"
	"slices"
	"strconv"
)

// Star is "*" in a NumRange: the largest number in use. (0 is no message number.)
const Star uint32 = 0

// NumRange is start:stop, either of which may be Star, in any order.
type NumRange struct{ Start, Stop uint32 }

// NumSet is a sequence set (RFC 3501 §9: sequence-set) of message sequence
// numbers or UIDs, in the order in which it was sent. Which of the two it means is the command's to
// say; core/mailbox.View resolves it to messages.
type NumSet []NumRange

// NumSet reads a sequence set. It never returns an empty set without an error.
func (d *Decoder) NumSet() NumSet {
	var s NumSet
	for d.err == nil {
		if len(s) >= d.limits.Items {
			d.Failf("sequence set exceeds [limits] list_items = %d", d.limits.Items)
			return nil
		}
		r := NumRange{Start: d.seqNumber()}
		r.Stop = r.Start
		if d.TryByte(':') {
			r.Stop = d.seqNumber()
		}
		s = append(s, r)
		if !d.TryByte(',') {
			break
		}
	}
	if d.err != nil {
		return nil
	}
	return s
}

// seqNumber reads nz-number / "*" (RFC 3501 §9: seq-number).
func (d *Decoder) seqNumber() uint32 {
	if d.TryByte('*') {
		return Star
	}
	if c := d.Peek(); c < '0' || c > '9' {
		d.Fail("expected sequence number or *")
		return 0
	}
	return d.NZNumber()
}

// Ranges returns the set with Star replaced by largest, each range ascending,
// sorted, and overlapping or touching ranges joined. largest = 0 (an empty
// mailbox) takes out ranges that contain Star only. The order "4:2" or "*:4"
// does not matter (RFC 3501 §9: seq-range), so 559:* always holds the largest.
func (s NumSet) Ranges(largest uint32) []NumRange {
	out := make([]NumRange, 0, len(s))
	for _, r := range s {
		if r.Start == Star {
			r.Start = largest
		}
		if r.Stop == Star {
			r.Stop = largest
		}
		if r.Start > r.Stop {
			r.Start, r.Stop = r.Stop, r.Start
		}
		if r.Stop == 0 {
			continue
		}
		r.Start = max(r.Start, 1)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b NumRange) int {
		if a.Start != b.Start {
			return cmpUint32(a.Start, b.Start)
		}
		return cmpUint32(a.Stop, b.Stop)
	})
	return joinRanges(out)
}

func cmpUint32(a, b uint32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// joinRanges joins sorted ranges in place.
func joinRanges(rs []NumRange) []NumRange {
	n := 0
	for _, r := range rs {
		if n > 0 && (r.Start <= rs[n-1].Stop || r.Start-1 == rs[n-1].Stop) {
			rs[n-1].Stop = max(rs[n-1].Stop, r.Stop)
			continue
		}
		rs[n] = r
		n++
	}
	return rs[:n]
}

// Count returns how many different numbers the set has. "*" counts for nothing.
func (s NumSet) Count() (n uint64) {
	for _, r := range s.Ranges(0) {
		n += uint64(r.Stop-r.Start) + 1
	}
	return n
}

// RangesOf returns ascending numbers as ranges, as AppendNumSet takes them. None of the numbers is 0.
func RangesOf(numbers []uint32) []NumRange {
	var rs []NumRange
	for _, n := range numbers {
		if k := len(rs); k > 0 && rs[k-1].Stop == n-1 {
			rs[k-1].Stop = n
			continue
		}
		rs = append(rs, NumRange{n, n})
	}
	return rs
}

// Numbers iterates over the numbers of canonical ranges (see NumSet.Ranges),
// ascending. It can be long: bound the ranges by what exists first.
func Numbers(rs []NumRange) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, r := range rs {
			for n := r.Start; ; n++ {
				if !yield(n) {
					return
				}
				if n == r.Stop {
					break
				}
			}
		}
	}
}

// AppendNumSet appends ranges as a sequence set. An empty set has no text form
// and appends nothing.
func AppendNumSet(b []byte, rs []NumRange) []byte {
	for i, r := range rs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSeqNumber(b, r.Start)
		if r.Stop != r.Start {
			b = append(b, ':')
			b = appendSeqNumber(b, r.Stop)
		}
	}
	return b
}

func appendSeqNumber(b []byte, n uint32) []byte {
	if n == Star {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}
