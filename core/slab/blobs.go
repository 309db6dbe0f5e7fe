package slab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

var errFull = errors.New("slab: a table is full")

// MaxBlob is how many bytes a blob may have.
const MaxBlob = 16 << 20

const (
	cellData = 28
	cellSize = cellData + 4
)

// cell is a piece of a blob. The data of all its cells is the length, as a uvarint, and the bytes.
type cell struct {
	Next uint32 // 0 = the last one
	Data [cellData]byte
}

// Blobs keeps byte strings in chains of cells of 32 bytes. A blob never changes, so it may be read by anybody as long as its
// owner has not freed it. The methods are safe for concurrent use.
type Blobs struct{ cells *Table[cell] }

// NewBlobs returns an empty store for up to that many cells.
func NewBlobs(name string, cells int, o Option) (*Blobs, error) {
	t, err := New[cell](name, cells, o)
	if err != nil {
		return nil, err
	}
	return &Blobs{t}, nil
}

// AttachBlobs is Attach for a store. Restore must follow.
func AttachBlobs(fd, cells int, o Option) (*Blobs, error) {
	t, err := Attach[cell](fd, cells, o)
	if err != nil {
		return nil, err
	}
	return &Blobs{t}, nil
}

// Put keeps a copy of b, and returns its id, which is never 0.
func (s *Blobs) Put(b []byte) (id uint32, err error) {
	if len(b) > MaxBlob {
		return 0, fmt.Errorf("slab: blob of %d bytes", len(b))
	}
	var head [cellData]byte
	n := binary.PutUvarint(head[:], uint64(len(b)))
	k := copy(head[n:], b)
	id, c, err := s.take()
	if err != nil {
		return 0, err
	}
	c.Data = head
	for b = b[k:]; len(b) > 0; b = b[k:] {
		next, r, err := s.take()
		if err != nil {
			s.Free(id)
			return 0, err
		}
		k = copy(r.Data[:], b)
		c.Next, c = next, r
	}
	return id, nil
}

func (s *Blobs) take() (uint32, *cell, error) {
	id, c, err := s.cells.Take()
	if err == nil && id == 0 {
		err = errFull
	}
	if err != nil {
		return 0, nil, err
	}
	c.Next = 0
	return id, c, nil
}

// Append appends the bytes of a blob to b. What is no blob gives nothing.
func (s *Blobs) Append(b []byte, id uint32) []byte {
	c := s.cells.At(id)
	if c == nil {
		return b
	}
	size, n := binary.Uvarint(c.Data[:])
	if n <= 0 || size > MaxBlob {
		return b
	}
	left := int(size)
	for d := c.Data[n:]; ; d = c.Data[:] {
		d = d[:min(len(d), left)]
		b = append(b, d...)
		if left -= len(d); left == 0 {
			return b
		}
		if c = s.cells.At(c.Next); c == nil {
			return b
		}
	}
}

// Free gives a blob back; 0 is ignored.
func (s *Blobs) Free(id uint32) {
	for id != 0 {
		c := s.cells.At(id)
		if c == nil {
			return
		}
		next := c.Next
		s.cells.Give(id)
		id = next
	}
}

// Restore frees, after AttachBlobs, all cells but those of the given blobs, whose order does not matter. It returns those that
// are damaged or share cells with one before, of which nothing is kept.
func (s *Blobs) Restore(ids iter.Seq[uint32]) (bad []uint32) {
	used := make([]uint64, s.cells.Slots()/64+1)
	for id := range ids {
		chain, ok := s.chain(id, used)
		for _, c := range chain {
			if ok {
				used[c/64] |= 1 << (c % 64)
			}
		}
		if !ok {
			bad = append(bad, id)
		}
	}
	s.cells.Restore(func(slot uint32, _ *cell) bool { return used[slot/64]>>(slot%64)&1 != 0 })
	return bad
}

// chain returns the cells of a blob; ok is false if they are not one that Put has made, or used already.
func (s *Blobs) chain(id uint32, used []uint64) (cells []uint32, ok bool) {
	c := s.cells.At(id)
	if c == nil {
		return nil, false
	}
	size, n := binary.Uvarint(c.Data[:])
	if n <= 0 || size > MaxBlob {
		return nil, false
	}
	for want := (n + int(size) + cellData - 1) / cellData; want > 0; want-- {
		if c = s.cells.At(id); c == nil || int64(id/64) >= int64(len(used)) || used[id/64]>>(id%64)&1 != 0 {
			return nil, false
		}
		cells = append(cells, id)
		id = c.Next
	}
	return cells, id == 0
}

// Bytes returns how much is mapped.
func (s *Blobs) Bytes() int64 { return s.cells.Bytes() }

// Size returns how many bytes of memory a blob takes.
func (s *Blobs) Size(id uint32) int {
	c := s.cells.At(id)
	if c == nil {
		return 0
	}
	size, n := binary.Uvarint(c.Data[:])
	if n <= 0 || size > MaxBlob {
		return 0
	}
	return (n + int(size) + cellData - 1) / cellData * cellSize
}

// UsedBytes returns how many bytes of memory all blobs take.
func (s *Blobs) UsedBytes() int64 { return int64(s.cells.Used()) * cellSize }

// Used returns how many cells are in use.
func (s *Blobs) Used() int { return s.cells.Used() }

// FD is Table.FD.
func (s *Blobs) FD() int { return s.cells.FD() }

// Close is Table.Close.
func (s *Blobs) Close() { s.cells.Close() }
