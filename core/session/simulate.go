package session

import "fmt"

// Simulation is the table of sessions, filled without sockets: what the engine holds for that many sleeping sessions that need no
// extra, at a size for which a machine has no descriptors. It is for benchmarks.
type Simulation struct {
	records *records
	lists   *lists
	wheel   *wheel
}

// Simulate fills a table with n sessions. Every one has a mailbox of its own and a deadline within half an hour. It fails when the
// system refuses the memory. The caller closes the result.
func Simulate(n int) (*Simulation, error) {
	s, err := newRecords(n, 0)
	if err != nil {
		return nil, err
	}
	l, err := newLists(s)
	if err != nil {
		s.close()
		return nil, err
	}
	sim := &Simulation{records: s, lists: l, wheel: &wheel{slab: s, wake: func() {}}}
	for i := range n {
		slot, r, err := s.take()
		if err == nil && slot == 0 {
			err = fmt.Errorf("session: the table is full at %d of %d", i, n)
		}
		if err != nil {
			sim.Close()
			return nil, err
		}
		r.word.create()
		sim.lists.move(slot, r, uint32(i+1))
		sim.wheel.set(slot, r, uint32(1+i%1800))
		r.release()
	}
	return sim, nil
}

// Close gives the memory back.
func (s *Simulation) Close() { s.records.close() }
