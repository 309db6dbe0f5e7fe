package pluginrpc

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// Compact columns on the wire (roost.storage.v1.Columns): UIDs as runs, and keywords in as many bytes as there are.

// appendRuns appends ascending UIDs as runs, or nothing if that were longer than the UIDs are, or they do not ascend.
func appendRuns(dst []byte, uids []uint32) []byte {
	start, last := len(dst), uint32(0)
	for i := 0; i < len(uids); {
		n := 1
		for i+n < len(uids) && uids[i+n] == uids[i]+uint32(n) {
			n++
		}
		if uids[i] <= last {
			return dst[:start]
		}
		dst = binary.AppendUvarint(dst, uint64(uids[i]-last))
		dst = binary.AppendUvarint(dst, uint64(n))
		if len(dst)-start > 4*len(uids) {
			return dst[:start]
		}
		last = uids[i] + uint32(n-1)
		i += n
	}
	return dst
}

// countRuns checks runs, and returns how many UIDs they have: at most most.
func countRuns(b []byte, most int) (n int, err error) {
	last := uint64(0)
	for len(b) > 0 {
		gap, length, size := nextRun(b)
		switch {
		case size == 0 || gap == 0 || length == 0:
			return 0, fmt.Errorf("column uid_runs is broken after UID %d", last)
		case gap > math.MaxUint32 || length > math.MaxUint32 || last+gap+length-1 > math.MaxUint32:
			return 0, fmt.Errorf("column uid_runs goes beyond the last possible UID, after UID %d", last)
		case length > uint64(most-n):
			return 0, fmt.Errorf("more messages than announced: %d are left, a run has %d", most-n, length)
		}
		n += int(length)
		last += gap + length - 1
		b = b[size:]
	}
	return n, nil
}

// decodeRuns appends the UIDs of runs that countRuns has checked.
func decodeRuns(dst []uint32, b []byte) []uint32 {
	last := uint32(0)
	for len(b) > 0 {
		gap, length, size := nextRun(b)
		last += uint32(gap) - 1
		for range length {
			last++
			dst = append(dst, last)
		}
		b = b[size:]
	}
	return dst
}

// nextRun decodes the first run; size 0: there is none.
func nextRun(b []byte) (gap, length uint64, size int) {
	gap, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, 0, 0
	}
	length, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return 0, 0, 0
	}
	return gap, length, n + m
}

// wordBytes returns how many low bytes of each word are enough for all, at least 1; 0: all eight are needed.
func wordBytes(words []uint64) uint32 {
	var all uint64
	for _, w := range words {
		all |= w
	}
	if n := max(1, (bits.Len64(all)+7)/8); n < 8 {
		return uint32(n)
	}
	return 0
}

// appendLowBytes appends the n low bytes of each word.
func appendLowBytes(dst []byte, words []uint64, n int) []byte {
	for _, w := range words {
		for range n {
			dst = append(dst, byte(w))
			w >>= 8
		}
	}
	return dst
}

// decodeLowBytes is the inverse of appendLowBytes. The length of b is a multiple of n.
func decodeLowBytes(dst []uint64, b []byte, n int) []uint64 {
	if n == 1 { // the usual case
		for _, c := range b {
			dst = append(dst, uint64(c))
		}
		return dst
	}
	for ; len(b) >= n; b = b[n:] {
		var w uint64
		for i, c := range b[:n] {
			w |= uint64(c) << (8 * i)
		}
		dst = append(dst, w)
	}
	return dst
}
