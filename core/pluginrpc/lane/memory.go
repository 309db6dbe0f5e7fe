package lane

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	// memorySize is how large the memory of a lane is, in bytes. Only what is used of it takes memory.
	memorySize = slots * slotSize
	// slots is how many messages of an answer can be in it at once: while core passes one on, the plugin makes the next.
	slots = 2
	// slotSize holds a message of usual size (256 KiB of mail).
	slotSize = 256 << 10
	// largestMemory is what a plugin maps at most.
	largestMemory = 64 << 20

	// seals keep the memory from being made smaller, which would end whoever reads it (SIGBUS).
	seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
)

// memory is what both ends of a lane have mapped. Core puts requests into it, and the plugin the answers to those that have nothing there. What core reads may be
// something else each time.
type memory struct {
	b    []byte
	used int // core's: how much of it, from its start, had messages since it was given back last
}

// makeMemory makes the memory of a lane, on core's side. It is unmapped when nothing refers to it any more. The file is for the plugin, and the caller's.
func makeMemory() (*memory, *os.File, error) {
	fd, err := unix.MemfdCreate("roost-lane", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // Linux before 6.3
		fd, err = unix.MemfdCreate("roost-lane", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "lane memory")
	m, err := sealAndMap(file)
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return m, file, nil
}

func sealAndMap(file *os.File) (*memory, error) {
	if err := file.Truncate(memorySize); err != nil {
		return nil, err
	}
	fd := int(file.Fd())
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	b, err := unix.Mmap(fd, 0, memorySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	m := &memory{b: b}
	runtime.AddCleanup(m, unmap, b)
	return m, nil
}

// takeMemory maps the memory of a lane, on the plugin's side. It takes fd over; unmap is the caller's.
func takeMemory(fd int) (*memory, error) {
	defer unix.Close(fd)
	has, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if has&unix.F_SEAL_SHRINK == 0 || st.Size < slotSize || st.Size > largestMemory {
		return nil, fmt.Errorf("lane: memory of %d bytes, seals %#x", st.Size, has)
	}
	b, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &memory{b: b}, nil
}

func unmap(b []byte) { _ = unix.Munmap(b) }

// size returns how much of it is in use, as far as core knows. m may be nil.
func (m *memory) size() int {
	if m == nil {
		return 0
	}
	return m.used
}

// giveBack gives all of it back to the system, on core's side, also what no message was in. The plugin must not be in a call. m may be nil.
func (m *memory) giveBack() {
	if m == nil {
		return
	}
	_ = unix.Madvise(m.b, unix.MADV_REMOVE) // an error leaves the pages in use, and changes nothing else
	m.used = 0
}
