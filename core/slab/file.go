package slab

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

const pageSize = 4096

// magic is at the start of every table in a memfd; its last byte is the version of the layout.
const magic = 0x726f6f73_74534c01

// header is at the start of the file; the chunks follow, from pageSize on.
type header struct {
	Magic  uint64
	Record uint32 // bytes
	Per    uint32 // records in a chunk
}

// file is a memfd.
type file struct{ fd int }

func createFile(name string) (*file, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("slab: memfd_create: %w", err)
	}
	return &file{fd: fd}, nil
}

func (f *file) close() { unix.Close(f.fd) }

func (f *file) writeHeader(h header) error {
	var b [16]byte
	if _, err := binary.Encode(b[:], binary.LittleEndian, h); err != nil {
		return fmt.Errorf("slab: header: %w", err)
	}
	if err := unix.Ftruncate(f.fd, pageSize); err != nil {
		return fmt.Errorf("slab: memfd: %w", err)
	}
	if _, err := unix.Pwrite(f.fd, b[:], 0); err != nil {
		return fmt.Errorf("slab: memfd: %w", err)
	}
	// The file may grow, but nobody can cut off what somebody has mapped.
	if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK); err != nil {
		return fmt.Errorf("slab: memfd: seal: %w", err)
	}
	return nil
}

// chunks returns how many chunks the file has, if it is a table with this header.
func (f *file) chunks(want header, chunkSize int) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return 0, fmt.Errorf("slab: memfd: %w", err)
	}
	if seals, err := unix.FcntlInt(uintptr(f.fd), unix.F_GET_SEALS, 0); err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return 0, fmt.Errorf("slab: not a table: no sealed memfd")
	}
	var b [16]byte
	var h header
	if n, err := unix.Pread(f.fd, b[:], 0); err != nil || n != len(b) {
		return 0, fmt.Errorf("slab: not a table: %d bytes, %v", n, err)
	}
	if _, err := binary.Decode(b[:], binary.LittleEndian, &h); err != nil || h != want {
		return 0, fmt.Errorf("slab: not a table of such records: %+v, want %+v", h, want)
	}
	body := st.Size - pageSize
	if body < 0 || body%int64(chunkSize) != 0 || body/int64(chunkSize) > 1<<31 {
		return 0, fmt.Errorf("slab: table of %d bytes", st.Size)
	}
	return int(body / int64(chunkSize)), nil
}
