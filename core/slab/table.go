package slab

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"
)

// chunkBytes is about how large one mapping is.
const chunkBytes = 1 << 20

// maxChunkRecords bounds a chunk of tiny records.
const maxChunkRecords = 1 << 16

// Table is a table of records of type T, which must hold no pointers. The methods are safe for concurrent use; the
// records themselves are guarded by their owners.
type Table[T any] struct {
	per    uint32              // records in a chunk, a power of two
	chunks []atomic.Pointer[T] // the first record of each chunk; nil: not mapped yet
	secret bool
	file   *file // nil: anonymous memory

	mu     sync.Mutex // guards what follows
	free   []uint32
	next   uint32 // the first slot that was never in use
	mapped int
}

// Option says what kind of memory a table is in.
type Option uint8

// Options.
const (
	// Shared: in a memfd, see FD. Without it the memory is anonymous.
	Shared Option = 1 << iota
	// Secret: left out of core dumps.
	Secret
)

// New returns an empty table for up to that many records. Address space and memory are taken as it grows; name is shown
// by the system (/proc/PID/maps, lsof) for a Shared one.
func New[T any](name string, records int, options Option) (*Table[T], error) {
	t, err := newTable[T](records, options)
	if err != nil {
		return nil, err
	}
	if options&Shared != 0 && canShare {
		if t.file, err = createFile(name); err != nil {
			return nil, err
		}
		if err := t.file.writeHeader(t.header()); err != nil {
			t.file.close()
			return nil, err
		}
	}
	return t, nil
}

// Attach returns the table that another process has left in a memfd, and takes over fd, also if it fails. No slot
// is free, and those up to Slots may be in use, until the owner has called Restore. More records than before are allowed.
//
// It fails if fd is not a table of such records: then nothing of it may be used.
func Attach[T any](fd, records int, options Option) (*Table[T], error) {
	f := &file{fd: fd}
	t, err := newTable[T](records, options)
	if err != nil {
		f.close()
		return nil, err
	}
	t.file = f
	n, err := f.chunks(t.header(), t.chunkSize())
	if err == nil && n > len(t.chunks) {
		err = fmt.Errorf("slab: table of %d chunks, of which %d are allowed", n, len(t.chunks))
	}
	for i := 0; err == nil && i < n; i++ {
		err = t.mapChunk(uint32(i))
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	t.next = max(uint32(n)*t.per, 1)
	return t, nil
}

func newTable[T any](records int, options Option) (*Table[T], error) {
	typ := reflect.TypeFor[T]()
	if hasPointers(typ) || typ.Size() == 0 || typ.Size() > chunkBytes {
		return nil, fmt.Errorf("slab: %s can not be a record", typ)
	}
	if records < 1 || records >= 1<<32-1 {
		return nil, fmt.Errorf("slab: %d records", records)
	}
	per := uint32(1)
	for uintptr(per)*2*typ.Size() <= chunkBytes && per < maxChunkRecords {
		per *= 2
	}
	return &Table[T]{
		per:    per,
		chunks: make([]atomic.Pointer[T], (uint64(records)+uint64(per))/uint64(per)),
		secret: options&Secret != 0,
		next:   1,
	}, nil
}

func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return hasPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return false
	}
	return true
}

func (t *Table[T]) recordSize() uintptr {
	var r T
	return unsafe.Sizeof(r)
}

// chunkSize is the size of a mapping: the records, and what is left of the last page.
func (t *Table[T]) chunkSize() int {
	return (int(t.recordSize())*int(t.per) + pageSize - 1) &^ (pageSize - 1)
}

func (t *Table[T]) header() header {
	return header{Magic: magic, Record: uint32(t.recordSize()), Per: t.per}
}

// mapChunk maps chunk i. The caller is alone with the table, or holds t.mu.
func (t *Table[T]) mapChunk(i uint32) error {
	c, err := mapMemory[T](t, int(i))
	if err != nil {
		return fmt.Errorf("slab: mapping %d bytes: %w", t.chunkSize(), err)
	}
	t.mapped++
	t.chunks[i].Store(c)
	return nil
}

// At returns the record of a slot that was given out at some time, or nil for any other.
func (t *Table[T]) At(slot uint32) *T {
	i := slot / t.per
	if slot == 0 || int64(i) >= int64(len(t.chunks)) {
		return nil
	}
	c := t.chunks[i].Load()
	if c == nil {
		return nil
	}
	return (*T)(unsafe.Add(unsafe.Pointer(c), uintptr(slot%t.per)*t.recordSize()))
}

// Take returns a free slot, with its record as Give was given it, or zero if it was never in use. Slot 0 without an
// error: the table is full. An error: the system refuses memory.
func (t *Table[T]) Take() (slot uint32, r *T, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		slot = t.free[n-1]
		t.free = t.free[:n-1]
		return slot, t.At(slot), nil
	}
	slot = t.next
	i := slot / t.per
	if int64(i) >= int64(len(t.chunks)) {
		return 0, nil, nil
	}
	if t.chunks[i].Load() == nil {
		if err := t.mapChunk(i); err != nil {
			return 0, nil, err
		}
	}
	t.next++
	return slot, t.At(slot), nil
}

// Give puts a slot back that Take has returned. What it was used for must be wiped before, if it is to be.
func (t *Table[T]) Give(slot uint32) {
	t.mu.Lock()
	t.free = append(t.free, slot)
	t.mu.Unlock()
}

// Restore asks the owner about each slot up to Slots, once, after Attach and before any Take, and frees those that are not used.
func (t *Table[T]) Restore(used func(slot uint32, r *T) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free = t.free[:0]
	for slot, end := t.next-1, true; slot > 0; slot-- {
		switch {
		case used(slot, t.At(slot)):
			end = false
		case end:
			t.next = slot // was never in use, for all that matters
		default:
			t.free = append(t.free, slot) // the lowest comes last, and is taken first
		}
	}
}

// Slots returns how many slots were ever in use; they are 1 to the result.
func (t *Table[T]) Slots() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next - 1
}

// Used returns how many slots are given out.
func (t *Table[T]) Used() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(t.next) - 1 - len(t.free)
}

// Bytes returns how much is mapped.
func (t *Table[T]) Bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(t.mapped) * int64(t.chunkSize())
}

// FD returns the table's memfd, which the table keeps, or -1 if it has none. With the race detector, which does not follow
// accesses to memory outside of Go's heap, there is none.
func (t *Table[T]) FD() int {
	if t.file == nil {
		return -1
	}
	return t.file.fd
}

// Close unmaps the table. Nobody may use a record afterwards. What is in a memfd stays there for others who have it.
func (t *Table[T]) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.chunks {
		if c := t.chunks[i].Swap(nil); c != nil {
			unmapMemory(t, c)
		}
	}
	t.mapped, t.next, t.free = 0, 1, nil
	if t.file != nil {
		t.file.close()
		t.file = nil
	}
}
