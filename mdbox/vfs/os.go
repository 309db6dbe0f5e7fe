package vfs

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// OS is the file system of the machine.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Open(name string) (File, error) {
	f, err := openFile(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// openFile uses the system call itself: os.OpenFile makes five more to find out that a file on disk can not be polled.
func openFile(name string, flags int, perm fs.FileMode) (*os.File, error) {
	fd, err := openNoIntr(name, flags, uint32(perm.Perm()))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openNoIntr is open(2), again after a signal.
func openNoIntr(name string, flags int, perm uint32) (fd int, err error) {
	for {
		if fd, err = unix.Open(name, flags, perm); err != unix.EINTR {
			return fd, err
		}
	}
}

// Stat uses the system call itself: it runs once for every message read, and
// os.Stat allocates.
func (osFS) Stat(name string) (Info, error) {
	var st unix.Stat_t
	for {
		err := unix.Stat(name, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Info{}, &fs.PathError{Op: "stat", Path: name, Err: err}
		}
		return infoOf(&st), nil
	}
}

type osFile struct{ *os.File }

func (f osFile) Stat() (Info, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstat(int(f.Fd()), &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Info{}, &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
		}
		return infoOf(&st), nil
	}
}

func infoOf(st *unix.Stat_t) Info {
	return Info{
		Size:    st.Size,
		Mtime:   st.Mtim.Nano(),
		Ctime:   st.Ctim.Nano(),
		Dev:     uint64(st.Dev),
		Ino:     st.Ino,
		Dir:     st.Mode&unix.S_IFMT == unix.S_IFDIR,
		Special: st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Mode&unix.S_IFMT != unix.S_IFREG,
		UID:     st.Uid,
		GID:     st.Gid,
		Perm:    permOf(st.Mode),
		Links:   uint64(st.Nlink),
	}
}

func permOf(mode uint32) fs.FileMode {
	perm := fs.FileMode(mode & 0o777)
	if mode&unix.S_ISGID != 0 {
		perm |= fs.ModeSetgid
	}
	return perm
}
