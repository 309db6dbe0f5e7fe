package vfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ReadDir uses the system calls themselves, four for a small directory: os.ReadDir makes nine, most of them to find out that a directory can not be polled.
func (osFS) ReadDir(name string) ([]fs.DirEntry, error) {
	var entries []fs.DirEntry
	err := eachDirent(name, func(base []byte, kind byte) error {
		e := dirEntry{dir: name, name: string(base), mode: modeOf(kind)}
		if kind == unix.DT_UNKNOWN { // the file system does not say
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			e.mode = info.Mode().Type()
		}
		entries = append(entries, e)
		return nil
	})
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// direntBuffers are what eachDirent reads into: a store is opened with every login.
var direntBuffers = sync.Pool{New: func() any { return new([direntBuffer]byte) }}

const direntBuffer = 4096

// eachDirent calls f with the name and type (DT_…) of each entry of a directory but "." and "..". The name is valid only until f returns.
//
// Format: struct linux_dirent64 of getdents64(2).
func eachDirent(dir string, f func(name []byte, kind byte) error) error {
	fd, err := openNoIntr(dir, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	const lengthAt, kindAt, nameAt = 16, 18, 19
	buf := direntBuffers.Get().(*[direntBuffer]byte)
	defer direntBuffers.Put(buf)
	for {
		n, err := unix.Getdents(fd, buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return &fs.PathError{Op: "readdir", Path: dir, Err: err}
		case n == 0:
			return nil
		}
		for b := buf[:n]; len(b) > nameAt; {
			length := int(binary.NativeEndian.Uint16(b[lengthAt:]))
			if length <= nameAt || length > len(b) {
				return &fs.PathError{Op: "readdir", Path: dir, Err: unix.EIO}
			}
			name, _, _ := bytes.Cut(b[nameAt:length], []byte{0})
			if s := string(name); s != "." && s != ".." {
				if err := f(name, b[kindAt]); err != nil {
					return err
				}
			}
			b = b[length:]
		}
	}
}

// modeOf returns the type bits for a DT_… value.
func modeOf(kind byte) fs.FileMode {
	switch kind {
	case unix.DT_REG:
		return 0
	case unix.DT_DIR:
		return fs.ModeDir
	case unix.DT_LNK:
		return fs.ModeSymlink
	case unix.DT_FIFO:
		return fs.ModeNamedPipe
	case unix.DT_SOCK:
		return fs.ModeSocket
	case unix.DT_CHR:
		return fs.ModeDevice | fs.ModeCharDevice
	case unix.DT_BLK:
		return fs.ModeDevice
	}
	return fs.ModeIrregular
}

// dirEntry is an entry of a directory.
type dirEntry struct {
	dir, name string
	mode      fs.FileMode // type bits
}

func (e dirEntry) Name() string               { return e.name }
func (e dirEntry) IsDir() bool                { return e.mode.IsDir() }
func (e dirEntry) Type() fs.FileMode          { return e.mode }
func (e dirEntry) Info() (fs.FileInfo, error) { return os.Lstat(filepath.Join(e.dir, e.name)) }
func (e dirEntry) String() string             { return fs.FormatDirEntry(e) }
