// Package tally counts by key, in memory that is in proportion to the keys whose count is not 0: 8 bytes for each, at a
// load between 7/10 and 7/8, and nothing that the garbage collector looks into.
package tally

import (
	"hash/maphash"
	"math/bits"
	"sync"
)

// Max is the largest count.
const Max = 1<<countBits - 1

// A cell is 0, or the count in the low bits and a part of the key's hash above: the rest of the hash is the shard. Keys
// are told apart by these 48 bits only. Two that agree in them are counted together, which makes a limit of either a little
// stricter; nobody can bring that about, since the hash has a secret seed.
const (
	countBits  = 20
	shardCount = 16
	firstCells = 8
)

// Table is a table of counts. Use New. It is safe for concurrent use.
type Table struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

type shard struct {
	mu    sync.Mutex
	cells []uint64
	used  int
	first [firstCells]uint64 // the cells of a small shard
}

// New returns an empty table.
func New() *Table { return &Table{seed: maphash.MakeSeed()} }

func (t *Table) shard(key Key) (*shard, uint64) {
	h := maphash.Comparable(t.seed, key)
	return &t.shards[h%shardCount], h / shardCount << countBits
}

// Key is what is counted by: an address, and a user's number or 0.
type Key struct {
	Address uint64
	User    uint32
}

// Add counts key once more, unless its count is max (at most Max) or above. It reports whether it did.
func (t *Table) Add(key Key, max int) bool {
	sh, id := t.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.used >= len(sh.cells)*7/8 {
		sh.resize(len(sh.cells) + len(sh.cells)/4) // by little: most of the time a table is between two sizes
	}
	i := sh.find(id)
	n := sh.cells[i] & Max
	if n >= uint64(min(max, Max)) {
		return false
	}
	if n == 0 {
		sh.used++
	}
	sh.cells[i] = id | (n + 1)
	return true
}

// Done takes one off the count of key. A key whose count is 0 is left so.
func (t *Table) Done(key Key) {
	sh, id := t.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.used == 0 {
		return
	}
	i := sh.find(id)
	switch n := sh.cells[i] & Max; n {
	case 0:
	case 1:
		sh.remove(i)
	default:
		sh.cells[i] = id | (n - 1)
	}
}

// Count returns the count of key.
func (t *Table) Count(key Key) int {
	sh, id := t.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.used == 0 {
		return 0
	}
	return int(sh.cells[sh.find(id)] & Max)
}

// Len returns the number of keys whose count is not 0.
func (t *Table) Len() (keys int) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		keys += sh.used
		sh.mu.Unlock()
	}
	return keys
}

// Bytes returns the memory of the cells.
func (t *Table) Bytes() (bytes int64) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		bytes += int64(len(sh.cells)) * 8
		sh.mu.Unlock()
	}
	return bytes
}

// home is where the cell of id would be if all were empty.
func (sh *shard) home(id uint64) int {
	i, _ := bits.Mul64(id, uint64(len(sh.cells)))
	return int(i)
}

// next returns the cell after cell i.
func (sh *shard) next(i int) int {
	if i++; i < len(sh.cells) {
		return i
	}
	return 0
}

// distance returns how many cells after cell i cell j is.
func (sh *shard) distance(i, j int) int {
	if j >= i {
		return j - i
	}
	return j - i + len(sh.cells)
}

// find returns the cell of id, or the empty one where it belongs. There is one.
func (sh *shard) find(id uint64) int {
	i := sh.home(id)
	for sh.cells[i] != 0 && sh.cells[i]&^Max != id {
		i = sh.next(i)
	}
	return i
}

// remove empties cell i, and moves those behind it that would not be found any more.
func (sh *shard) remove(i int) {
	sh.used--
	for j := sh.next(i); sh.cells[j] != 0; j = sh.next(j) {
		if sh.distance(sh.home(sh.cells[j]&^Max), j) >= sh.distance(i, j) {
			sh.cells[i] = sh.cells[j]
			i = j
		}
	}
	sh.cells[i] = 0
	if len(sh.cells) > firstCells && sh.used < len(sh.cells)/8 {
		sh.resize(len(sh.cells) / 2)
	}
}

func (sh *shard) resize(n int) {
	old := sh.cells
	if n > firstCells {
		sh.cells = make([]uint64, n)
	} else { // these were in use before, perhaps, and are not now
		sh.cells = sh.first[:]
		clear(sh.cells)
	}
	for _, c := range old {
		if c != 0 {
			sh.cells[sh.find(c&^Max)] = c
		}
	}
}
