package index

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

// cutDoomed removes the doomed messages from all columns.
func (s *State) cutDoomed() {
	if s.doomed.count == 0 {
		return
	}
	for _, e := range s.exts {
		size, n := int(e.RecordSize), 0
		s.eachKept(func(from, to int) {
			n += copy(e.column[n:], e.column[from*size:to*size])
		})
		e.column = e.column[:n]
	}
	n := 0 // UIDs last: eachKept goes by their number
	s.eachKept(func(from, to int) {
		copy(s.uids[n:], s.uids[from:to])
		copy(s.flags[n:], s.flags[from:to])
		n += to - from
	})
	s.uids, s.flags = s.uids[:n], s.flags[:n]
	s.doomed = doomed{}
}

// eachKept calls f for the ranges [from, to) of message numbers between the doomed ones.
func (s *State) eachKept(f func(from, to int)) {
	from := 0
	for i := range s.uids {
		if s.doomed.has(i) {
			if from < i {
				f(from, i)
			}
			from = i + 1
		}
	}
	if from < len(s.uids) {
		f(from, len(s.uids))
	}
}
