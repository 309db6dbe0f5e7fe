package slab

// bucketLoad is how many entries a bucket has on average, after which one more is made.
const bucketLoad = 4

// Index finds records of a table by a hash: a hash table with chains that run through the records themselves, so an
// entry costs its link and one or two bytes. It grows by one bucket at a time (linear hashing), so no insertion has to wait for
// all the others to move. It is not kept in a memfd: who has attached a table adds its records anew. The caller locks.
type Index struct {
	heads   *Table[uint32] // bucket b is in slot b+1
	buckets uint32
	entries uint32
	link    func(slot uint32) (next *uint32, hash uint32)
}

// NewIndex returns an empty index of up to that many records. link returns where a record's link is, which nobody else changes, and its hash.
func NewIndex(records int, link func(slot uint32) (next *uint32, hash uint32)) (*Index, error) {
	t, err := New[uint32]("", max(records/bucketLoad, 1), 0)
	if err != nil {
		return nil, err
	}
	if _, _, err := t.Take(); err != nil {
		t.Close()
		return nil, err
	}
	return &Index{heads: t, buckets: 1, link: link}, nil
}

// head returns the bucket of a hash.
func (x *Index) head(hash uint32) *uint32 {
	low := uint32(1) // the largest power of two that is not above buckets
	for low <= x.buckets/2 {
		low *= 2
	}
	b := hash & (2*low - 1)
	if b >= x.buckets {
		b = hash & (low - 1)
	}
	return x.heads.At(b + 1)
}

// First returns the first record that may have a hash, 0 = none. The others follow by Next; they may have other hashes too.
func (x *Index) First(hash uint32) uint32 { return *x.head(hash) }

// Next returns the record that follows in a chain, 0 = none.
func (x *Index) Next(slot uint32) uint32 {
	next, _ := x.link(slot)
	return *next
}

// Add adds a record, which is not in the index.
func (x *Index) Add(slot uint32) {
	next, hash := x.link(slot)
	h := x.head(hash)
	*next, *h = *h, slot
	if x.entries++; x.entries/bucketLoad >= x.buckets {
		x.split()
	}
}

// split adds a bucket, and moves there what belongs to it. Without memory for it the chains just become longer.
func (x *Index) split() {
	if slot, h, err := x.heads.Take(); err != nil || slot == 0 {
		return
	} else {
		*h = 0
	}
	low := uint32(1)
	for low <= x.buckets/2 {
		low *= 2
	}
	from := x.heads.At(x.buckets - low + 1)
	x.buckets++
	chain := *from
	*from = 0
	for chain != 0 {
		slot := chain
		next, hash := x.link(slot)
		chain = *next
		h := x.head(hash)
		*next, *h = *h, slot
	}
}

// Remove removes a record; one that is not in the index is ignored.
func (x *Index) Remove(slot uint32) {
	next, hash := x.link(slot)
	for p := x.head(hash); *p != 0; p, _ = x.link(*p) {
		if *p == slot {
			*p, *next = *next, 0
			x.entries--
			return
		}
	}
}

// Len returns how many records are in the index.
func (x *Index) Len() int { return int(x.entries) }

// Clear forgets all records. Their links are not wiped.
func (x *Index) Clear() {
	for b := range x.buckets {
		*x.heads.At(b + 1) = 0
	}
	x.entries = 0
}

// Bytes returns how much is mapped.
func (x *Index) Bytes() int64 { return x.heads.Bytes() }

// Close gives the memory back.
func (x *Index) Close() { x.heads.Close() }
