package index

import "math/bits"

// doomed is a set of message numbers whose messages are expunged but still in
// the columns. Cutting them out costs as much as there are messages, so it is
// done once for all expunges of a refresh.
type doomed struct {
	bits  []uint64 // nil: none
	count int
}

func (d *doomed) has(i int) bool {
	return i/64 < len(d.bits) && d.bits[i/64]&(1<<(i%64)) != 0
}

func (d *doomed) add(i int) {
	for i/64 >= len(d.bits) {
		d.bits = append(d.bits, make([]uint64, i/64+1-len(d.bits))...)
	}
	d.bits[i/64] |= 1 << (i % 64)
	d.count++
}

// numbers returns the numbers in the set, ascending.
func (d *doomed) numbers() []int {
	all := make([]int, 0, d.count)
	for w, set := range d.bits {
		for ; set != 0; set &= set - 1 {
			all = append(all, w*64+bits.TrailingZeros64(set))
		}
	}
	return all
}

// cutDoomed removes the doomed messages from all columns.
func (s *State) cutDoomed() {
	if s.doomed.count == 0 {
		return
	}
	gone := s.doomed.numbers()
	for _, e := range s.exts {
		e.column.cut(gone, int(e.RecordSize))
	}
	s.uids, s.flags = cut(s.uids, gone, 1), cut(s.flags, gone, 1)
	s.doomed = doomed{}
}

// cut removes the messages gone, ascending, from a column in which each has size elements: what is behind the first of them moves to the front, or what is before
// the last one to the end, whichever is less.
func cut[T any](column []T, gone []int, size int) []T {
	if before := (gone[len(gone)-1] + 1) * size; before < len(column)-gone[0]*size {
		to := before
		for k := len(gone) - 1; k >= 0; k-- {
			from := 0
			if k > 0 {
				from = (gone[k-1] + 1) * size
			}
			n := gone[k]*size - from
			copy(column[to-n:to], column[from:from+n])
			to -= n
		}
		return column[to:]
	}
	for k, i := range gone {
		next := len(column)
		if k+1 < len(gone) {
			next = gone[k+1] * size
		}
		copy(column[(i-k)*size:], column[(i+1)*size:next])
	}
	return column[:len(column)-len(gone)*size]
}
