package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// runDirPrefix begins the name of every run directory.
const runDirPrefix = "roost-plugins-"

// lockName is the file in a run directory that its core holds a lock on. It
// appears there locked: a directory with an unlocked one belongs to a dead core.
const lockName = "lock"

// runDir is the directory of this core process for the sockets of its plugins.
type runDir struct {
	path string
	lock *os.File
}

// newRunDir removes the run directories of dead cores below parent, and makes a new one.
func newRunDir(parent string) (*runDir, error) {
	removeDead(parent)
	path, err := os.MkdirTemp(parent, runDirPrefix)
	if err != nil {
		return nil, fmt.Errorf("host: run directory: %w", err)
	}
	d := &runDir{path: path}
	if err := d.init(); err != nil {
		os.RemoveAll(path)
		return nil, fmt.Errorf("host: run directory: %w", err)
	}
	return d, nil
}

func (d *runDir) init() error {
	// Plugins under another user must get through to their own directory, and can not list this one.
	if err := os.Chmod(d.path, 0o711); err != nil {
		return err
	}
	fresh := filepath.Join(d.path, lockName+".new")
	lock, err := os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return err
	}
	if err := os.Rename(fresh, filepath.Join(d.path, lockName)); err != nil {
		lock.Close()
		return err
	}
	d.lock = lock
	return nil
}

// sub makes a directory for one instance of a plugin.
func (d *runDir) sub() (string, error) { return os.MkdirTemp(d.path, "p") }

func (d *runDir) close() error {
	err := os.RemoveAll(d.path)
	return errors.Join(err, d.lock.Close())
}

// removeDead removes the run directories below parent whose core is dead. Only
// directories of our own user count, and errors do not: somebody else's core may be doing the same.
func removeDead(parent string) {
	paths, err := filepath.Glob(filepath.Join(parent, runDirPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range paths {
		st, err := os.Lstat(path)
		if err != nil || !st.IsDir() {
			continue
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); !ok || int(sys.Uid) != os.Geteuid() {
			continue
		}
		if lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|syscall.O_NOFOLLOW, 0); err == nil {
			if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
				os.RemoveAll(path)
			}
			lock.Close()
		}
	}
}
