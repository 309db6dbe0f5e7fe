package vfs

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Names returns the names in a directory, in any order. Like Stat it does not take an identity unless the process itself may not look:
// it is for what goes no further than to the caller.
func Names(fsys FS, dir string) ([]string, error) {
	if x, ok := fsys.(*identity); ok {
		names, err := Names(x.fs, dir)
		if !errors.Is(err, fs.ErrPermission) {
			return names, err
		}
	} else if o, ok := fsys.(osFS); ok {
		return o.names(dir)
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// names uses the system calls themselves: os.ReadDir makes an object of each entry, and sorts them.
func (osFS) names(dir string) (names []string, err error) {
	fd, err := openNoIntr(dir, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	var buf [4096]byte
	for {
		n, err := unix.ReadDirent(fd, buf[:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, &fs.PathError{Op: "readdir", Path: dir, Err: err}
		case n == 0:
			return names, nil
		default:
			_, _, names = unix.ParseDirent(buf[:n], -1, names)
		}
	}
}
