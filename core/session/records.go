package session

import (
	"sync"
	"unsafe"

	"github.com/roostmail/roost/core/slab"
)

// records is the table of sessions. A record is zero but for its word while its slot is free.
type records struct {
	table *slab.Table[record]

	use sync.RWMutex // held for reading while somebody may look at any record (hold)
}

func newRecords(sessions int, o slab.Option) (*records, error) {
	t, err := slab.New[record](TableSessions, sessions, o)
	if err != nil {
		return nil, err
	}
	return &records{table: t}, nil
}

// at returns the record of a slot that was handed out by take at some time, or nil for any other.
func (s *records) at(slot uint32) *record { return s.table.At(slot) }

// take returns a free slot. It fails when the table is full (slot 0 and no error) or when the system refuses memory.
func (s *records) take() (slot uint32, r *record, err error) { return s.table.Take() }

// give puts a slot back whose session has ended (word.end). Everything but its word is wiped.
func (s *records) give(slot uint32) {
	s.at(slot).wipe()
	s.table.Give(slot)
}

// wipe zeroes everything but the word.
func (r *record) wipe() {
	b := unsafe.Slice((*byte)(unsafe.Pointer(r)), recordSize)
	clear(b[unsafe.Sizeof(r.word):])
}

// hold returns the record and the generation of the session in slot, or nil if there is none. The table is not
// unmapped before letGo. It is for those who neither own the session nor are waited for by Engine.Close.
func (s *records) hold(slot uint32) (r *record, gen uint32) {
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
func (s *records) letGo() { s.use.RUnlock() }

// bytes returns how much is mapped.
func (s *records) bytes() int64 { return s.table.Bytes() }

// slots returns how many slots were ever in use; they are 1 to the result.
func (s *records) slots() uint32 { return s.table.Slots() }

// close unmaps the table, once nobody holds it. Nobody may use a record afterwards.
func (s *records) close() {
	s.use.Lock()
	defer s.use.Unlock()
	s.table.Close()
}
