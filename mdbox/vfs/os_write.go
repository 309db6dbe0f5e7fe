package vfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func (osFS) OpenWrite(name string, how How, perm fs.FileMode) (WritableFile, error) {
	flags := unix.O_RDWR | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if how&Append != 0 {
		flags |= unix.O_APPEND
	}
	if how&Create == 0 {
		return writable(openFile(name, flags, 0))
	}
	// A file that is there keeps its permissions; only one that this call makes gets perm, past the umask.
	if how&Exclusive == 0 {
		if f, err := openFile(name, flags, 0); !errors.Is(err, fs.ErrNotExist) {
			return writable(f, err)
		}
	}
	f, err := openFile(name, flags|unix.O_CREAT|unix.O_EXCL, perm.Perm())
	if errors.Is(err, fs.ErrExist) && how&Exclusive == 0 { // made by somebody else meanwhile
		return writable(openFile(name, flags, 0))
	}
	if err == nil {
		if err = f.Chmod(perm.Perm()); err != nil {
			f.Close()
		}
	}
	return writable(f, err)
}

func writable(f *os.File, err error) (WritableFile, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Mkdir sets the permissions after the directory was made: the umask cuts those of mkdir(2), which knows no set-group-ID bit either.
func (osFS) Mkdir(name string, perm fs.FileMode) error {
	if err := os.Mkdir(name, perm.Perm()&0o700); err != nil {
		return err
	}
	return os.Chmod(name, perm&(fs.ModePerm|fs.ModeSetgid))
}

func (osFS) SetOwner(name string, gid int, perm fs.FileMode) error {
	if gid >= 0 {
		if err := os.Chown(name, -1, gid); err != nil {
			return err
		}
	}
	return os.Chmod(name, perm&(fs.ModePerm|fs.ModeSetgid))
}

func (osFS) Rename(from, to string) error {
	// os.Rename looks at the target first, which costs a call and changes nothing here.
	return retry("rename", to, func() error { return unix.Rename(from, to) })
}

func (osFS) Link(from, to string) error { return os.Link(from, to) }

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Write is one system call, since other processes read what it has written so far at any moment.
func (f osFile) Write(p []byte) (n int, err error) {
	err = retry("write", f.Name(), func() error {
		n, err = unix.Write(int(f.Fd()), p)
		return err
	})
	n = max(n, 0)
	if err == nil && n < len(p) {
		err = &fs.PathError{Op: "write", Path: f.Name(), Err: unix.ENOSPC}
	}
	return n, err
}

func (f osFile) Allocate(size int64) error {
	err := retry("fallocate", f.Name(), func() error { return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

func (f osFile) Sync() error {
	return retry("fdatasync", f.Name(), func() error { return unix.Fdatasync(int(f.Fd())) })
}

func (f osFile) SetOwner(gid int, perm fs.FileMode) error {
	if gid >= 0 {
		if err := f.Chown(-1, gid); err != nil {
			return err
		}
	}
	return f.Chmod(perm & (fs.ModePerm | fs.ModeSetgid))
}

func (f osFile) SetMtime(t int64) error {
	times := []unix.Timeval{unix.NsecToTimeval(t), unix.NsecToTimeval(t)}
	return retry("futimes", f.Name(), func() error { return unix.Futimes(int(f.Fd()), times) })
}

func (f osFile) TryLock(kind LockKind) (bool, error) {
	var err error
	if kind == LockFlock {
		err = retry("flock", f.Name(), func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	} else {
		err = f.ofd(unix.F_OFD_SETLK, unix.F_WRLCK)
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) && kind == LockFcntl {
		return false, nil
	}
	return err == nil, err
}

func (f osFile) Unlock(kind LockKind) error {
	if kind == LockFlock {
		return retry("flock", f.Name(), func() error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) })
	}
	return f.ofd(unix.F_OFD_SETLK, unix.F_UNLCK)
}

// WaitLock holds the descriptor open while it waits: Close closes it when the lock was had, and so releases that.
func (f osFile) WaitLock(kind LockKind) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	failed := conn.Control(func(fd uintptr) {
		if kind == LockFlock {
			err = retry("flock", f.Name(), func() error { return unix.Flock(int(fd), unix.LOCK_EX) })
		} else {
			err = ofd(f.Name(), fd, unix.F_OFD_SETLKW, unix.F_WRLCK)
		}
	})
	return errors.Join(failed, err)
}

// ofd sets an open file description lock on the whole file.
func (f osFile) ofd(command int, kind int16) error { return ofd(f.Name(), f.Fd(), command, kind) }

func ofd(name string, fd uintptr, command int, kind int16) error {
	return retry("fcntl", name, func() error { return unix.FcntlFlock(fd, command, &unix.Flock_t{Type: kind}) })
}

// retry calls f until it is not interrupted, and adds what failed to its error.
func retry(op, name string, f func() error) error {
	for {
		err := f()
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
		return nil
	}
}
