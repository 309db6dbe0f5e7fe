//go:build !race

package session

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapChunk returns zeroed records outside of Go's heap, where they count neither for the garbage collector's work
// nor for its pacing (a heap of 10 million records would let it run at twice their size).
func mapChunk() (*chunk, error) {
	mem, err := unix.Mmap(-1, 0, chunkRecords*recordSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	return (*chunk)(unsafe.Pointer(&mem[0])), nil
}

// unmapChunk gives a chunk back.
func unmapChunk(c *chunk) {
	// It cannot fail for a mapping that Mmap returned.
	_ = unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(c)), chunkRecords*recordSize))
}
