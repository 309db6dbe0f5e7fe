package slab

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
)

// name is an interned string.
type name struct {
	Refs uint32 // 0 = the slot is free
	Next uint32 // in the index
	Hash uint32 // by the seed of this process
	Blob uint32
}

// Names interns byte strings: equal ones have one id, as long as somebody refers to it. The methods are safe for concurrent use.
type Names struct {
	table *Table[name]
	blobs *Blobs
	seed  maphash.Seed

	mu    sync.RWMutex // guards the records and what follows
	index *Index
}

// NewNames returns an empty table for up to that many different strings, whose bytes are kept in blobs.
func NewNames(title string, names int, blobs *Blobs, o Option) (*Names, error) {
	t, err := New[name](title, names, o)
	if err != nil {
		return nil, err
	}
	return newNames(t, names, blobs)
}

func newNames(t *Table[name], names int, blobs *Blobs) (*Names, error) {
	n := &Names{table: t, blobs: blobs, seed: maphash.MakeSeed()}
	var err error
	n.index, err = NewIndex(names, func(slot uint32) (*uint32, uint32) {
		r := t.At(slot)
		return &r.Next, r.Hash
	})
	if err != nil {
		t.Close()
		return nil, err
	}
	return n, nil
}

func (n *Names) hash(b []byte) uint32 { return uint32(maphash.Bytes(n.seed, b)) }

// find returns the id of b, or 0. The caller holds mu.
func (n *Names) find(b []byte, hash uint32) uint32 {
	for id := n.index.First(hash); id != 0; {
		r := n.table.At(id)
		if r.Hash == hash && n.blobs.equal(r.Blob, b) {
			return id
		}
		id = r.Next
	}
	return 0
}

// Find returns the id of b, or 0 if nobody refers to it.
func (n *Names) Find(b []byte) uint32 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.find(b, n.hash(b))
}

// HashOf returns the hash of a string that the caller has a reference to: equal ones have the same one as long as the process runs.
func (n *Names) HashOf(id uint32) uint32 { return n.table.At(id).Hash }

// Hold returns the id of b, which is never 0, with one more reference.
func (n *Names) Hold(b []byte) (uint32, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	hash := n.hash(b)
	if id := n.find(b, hash); id != 0 {
		n.table.At(id).Refs++
		return id, nil
	}
	blob, err := n.blobs.Put(b)
	if err != nil {
		return 0, err
	}
	id, r, err := n.table.Take()
	if err == nil && id == 0 {
		err = errFull
	}
	if err != nil {
		n.blobs.Free(blob)
		return 0, err
	}
	*r = name{Refs: 1, Hash: hash, Blob: blob}
	n.index.Add(id)
	return id, nil
}

// Drop gives back one reference; 0 is ignored.
func (n *Names) Drop(id uint32) {
	if id == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.table.At(id)
	if r == nil || r.Refs == 0 {
		return
	}
	if r.Refs--; r.Refs > 0 {
		return
	}
	n.index.Remove(id)
	n.blobs.Free(r.Blob)
	*r = name{}
	n.table.Give(id)
}

// Append appends the bytes of an id that the caller has a reference to.
func (n *Names) Append(b []byte, id uint32) []byte {
	n.mu.RLock()
	defer n.mu.RUnlock()
	r := n.table.At(id)
	if r == nil || r.Refs == 0 {
		return b
	}
	return n.blobs.Append(b, r.Blob)
}

// Text returns the bytes of an id as a string.
func (n *Names) Text(id uint32) string { return string(n.Append(nil, id)) }

// Len returns how many strings there are.
func (n *Names) Len() int { return n.table.Used() }

// Bytes returns how much is mapped, without the blobs.
func (n *Names) Bytes() int64 { return n.table.Bytes() + n.index.Bytes() }

// FD is Table.FD.
func (n *Names) FD() int { return n.table.FD() }

// Close is Table.Close.
func (n *Names) Close() {
	n.table.Close()
	n.index.Close()
}

// AttachNames returns the names that another process has left, each with as many references as refs says: those
// without any are forgotten. blobs is attached; the caller restores it with what Each tells, and its own, before anything is added.
func AttachNames(fd, names int, blobs *Blobs, o Option, refs func(id uint32) uint32) (*Names, error) {
	t, err := Attach[name](fd, names, o)
	if err != nil {
		return nil, err
	}
	n, err := newNames(t, names, blobs)
	if err != nil {
		return nil, err
	}
	t.Restore(func(id uint32, r *name) bool {
		if r.Refs == 0 { // most of a chunk: it is left as it is
			return false
		}
		count := refs(id)
		if count == 0 {
			*r = name{}
			return false
		}
		*r = name{Refs: count, Blob: r.Blob, Hash: n.hash(blobs.Append(nil, r.Blob))}
		n.index.Add(id)
		return true
	})
	return n, nil
}

// Each calls f with the blob of every name, for Blobs.Restore.
func (n *Names) Each(f func(blob uint32) bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for id := uint32(1); id <= n.table.Slots(); id++ {
		if r := n.table.At(id); r.Refs != 0 && !f(r.Blob) {
			return
		}
	}
}

// equal reports whether a blob has the bytes b.
func (s *Blobs) equal(id uint32, b []byte) bool {
	var buf [256]byte
	return bytes.Equal(s.Append(buf[:0], id), b)
}

// Discard forgets, after AttachNames, the names whose blobs are damaged (Blobs.Restore). Whoever refers to one must forget it too.
func (n *Names) Discard(damaged []uint32) (ids []uint32) {
	if len(damaged) == 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := uint32(1); id <= n.table.Slots(); id++ {
		if r := n.table.At(id); r.Refs != 0 && slices.Contains(damaged, r.Blob) {
			n.index.Remove(id)
			*r = name{}
			n.table.Give(id)
			ids = append(ids, id)
		}
	}
	return ids
}
