package session

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"
)

// chunkRecords is how many records one mapping holds: 1 MiB.
const chunkRecords = 8192

// chunk is one mapping.
type chunk [chunkRecords]record

// slab is the table of records: memory mapped in chunks that never move, so that a *record stays
// valid as long as the slab. Slot 0 is not used; it stands for "none" in links and handles.
type slab struct {
	chunks []atomic.Pointer[chunk] // by slot / chunkRecords; nil: not mapped yet

	use sync.RWMutex // held for reading while somebody may look at any record (hold)

	mu     sync.Mutex // guards what follows, and mboxNext of free records
	free   uint32     // the first free slot that was in use before, linked by mboxNext; 0: none
	next   uint32     // the first slot that was never in use
	mapped int        // chunks
}

// newSlab makes a table for up to sessions records. Address space is taken as it grows.
func newSlab(sessions int) *slab {
	n := (sessions + 1 + chunkRecords - 1) / chunkRecords
	return &slab{chunks: make([]atomic.Pointer[chunk], n), next: 1}
}

// at returns the record of a slot that was handed out by take at some time, or nil for any other.
func (s *slab) at(slot uint32) *record {
	i := slot / chunkRecords
	if slot == 0 || int(i) >= len(s.chunks) {
		return nil
	}
	c := s.chunks[i].Load()
	if c == nil {
		return nil
	}
	return &c[slot%chunkRecords]
}

// take returns a free slot, whose record is zero but for its word. It fails when the table is full
// (slot 0 and no error) or when the system refuses memory.
func (s *slab) take() (slot uint32, r *record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot = s.free; slot != 0 {
		r = s.at(slot)
		s.free, r.mboxNext = r.mboxNext, 0
		return slot, r, nil
	}
	slot = s.next
	if int(slot/chunkRecords) >= len(s.chunks) {
		return 0, nil, nil
	}
	if err := s.grow(slot / chunkRecords); err != nil {
		return 0, nil, err
	}
	s.next++
	return slot, s.at(slot), nil
}

// grow maps chunk i if it is not there. s.mu is held.
func (s *slab) grow(i uint32) error {
	if s.chunks[i].Load() != nil {
		return nil
	}
	c, err := mapChunk()
	if err != nil {
		return fmt.Errorf("session: mapping the session table: %w", err)
	}
	s.mapped++
	s.chunks[i].Store(c)
	return nil
}

// give puts a slot back whose session has ended (word.end). Everything but its word is wiped.
func (s *slab) give(slot uint32) {
	r := s.at(slot)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.wipe()
	r.mboxNext, s.free = s.free, slot
}

// wipe zeroes everything but the word.
func (r *record) wipe() {
	b := unsafe.Slice((*byte)(unsafe.Pointer(r)), recordSize)
	clear(b[unsafe.Sizeof(r.word):])
}

// hold returns the record and the generation of the session in slot, or nil if there is none. The table is not
// unmapped before letGo. It is for those who neither own the session nor are waited for by Engine.Close.
func (s *slab) hold(slot uint32) (r *record, gen uint32) {
	s.use.RLock()
	if r = s.at(slot); r == nil {
		return nil, 0
	}
	gen, live := r.word.current()
	if !live {
		return nil, 0
	}
	return r, gen
}

// letGo ends hold, whatever it returned.
func (s *slab) letGo() { s.use.RUnlock() }

// bytes returns how much is mapped.
func (s *slab) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.mapped) * chunkRecords * recordSize
}

// slots returns how many slots were ever in use; they are 1 to the result.
func (s *slab) slots() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next - 1
}

// close unmaps the table, once nobody holds it. Nobody may use a record afterwards.
func (s *slab) close() {
	s.use.Lock()
	defer s.use.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.chunks {
		if c := s.chunks[i].Swap(nil); c != nil {
			unmapChunk(c)
		}
	}
	s.mapped = 0
}
