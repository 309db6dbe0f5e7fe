//go:build race

package slab

import "unsafe"

const canShare = false

// mapMemory takes the chunk from Go's heap: the race detector follows neither memory accesses nor the
// synchronization by atomic words outside of it.
func mapMemory[T any](t *Table[T], _ int) (*T, error) {
	return unsafe.SliceData(make([]T, t.per)), nil
}

// unmapMemory leaves the chunk to the garbage collector.
func unmapMemory[T any](*Table[T], *T) {}
