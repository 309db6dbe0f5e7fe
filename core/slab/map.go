//go:build !race

package slab

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// canShare: tables can be in a memfd.
const canShare = true

// mapMemory maps chunk i outside of Go's heap, where it counts neither for the garbage collector's work
// nor for its pacing (a heap of 10 million records would let it run at twice their size).
func mapMemory[T any](t *Table[T], i int) (*T, error) {
	size := t.chunkSize()
	fd, off, flags := -1, int64(0), unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE
	if t.file != nil {
		fd, off, flags = t.file.fd, pageSize+int64(i)*int64(size), unix.MAP_SHARED
		if err := growFile(fd, off+int64(size)); err != nil {
			return nil, err
		}
	}
	mem, err := unix.Mmap(fd, off, size, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return nil, err
	}
	if t.secret {
		if err := unix.Madvise(mem, unix.MADV_DONTDUMP); err != nil {
			return nil, err
		}
	}
	return (*T)(unsafe.Pointer(&mem[0])), nil
}

// growFile makes the file size bytes long if it is shorter.
func growFile(fd int, size int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Size >= size {
		return nil
	}
	return unix.Ftruncate(fd, size)
}

// unmapMemory gives a chunk back.
func unmapMemory[T any](t *Table[T], c *T) {
	// It cannot fail for a mapping that Mmap returned.
	_ = unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(c)), t.chunkSize()))
}
