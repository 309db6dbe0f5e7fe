package mdbox

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
)

// watchName is the prefix of the names whose events mean a change: the log, its
// successor while it is being rotated (.newlock), and .log.2.
const watchName = "dovecot.index.log"

// watchMask: writes to the log, its rotation, and the end or renaming of the mailbox.
const watchMask = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// removals are the events of files that other programs take away.
const removals = unix.IN_DELETE | unix.IN_MOVED_FROM

// watches is the plugin's inotify instance and its watches, counted by users.
// The kernel gives one directory one number, however often it is asked; so each Open and
// Status of a mailbox counts, and each Unwatch takes one count back.
type watches struct {
	log    *slog.Logger
	file   *os.File // non-blocking; nil if inotify is not to be had. Never read here
	limits sync.Once

	mu   sync.Mutex
	refs watchCounts
}

func newWatches(log *slog.Logger) *watches {
	w := &watches{log: log, refs: newWatchCounts()}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		log.Warn("no inotify instance: changes are found by asking", "err", err, "limit", "fs.inotify.max_user_instances")
		return w
	}
	w.file = os.NewFile(uintptr(fd), "inotify")
	return w
}

// add watches a directory. It returns 0 if that is not possible; the caller then lives without.
func (w *watches) add(dir string) int32 { return w.addMask(dir, watchMask) }

// addDir is add for one of the directories that mdbox names. (The kernel has one mask for a directory, which is always the same here.)
func (w *watches) addDir(d mdbox.WatchDir) int32 {
	if d.Removals {
		return w.addMask(d.Path, watchMask|removals)
	}
	return w.add(d.Path)
}

func (w *watches) addMask(dir string, mask uint32) int32 {
	if w.file == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var wd int
	err := w.control(func(fd int) (err error) {
		wd, err = unix.InotifyAddWatch(fd, dir, mask)
		return err
	})
	switch {
	case err == nil:
		w.refs.add(int32(wd))
		return int32(wd)
	case errors.Is(err, unix.ENOSPC):
		w.limits.Do(func() {
			w.log.Warn("no more inotify watches: changes of further mailboxes are found by asking",
				"limit", "fs.inotify.max_user_watches", "watches", w.refs.watches, "dir", dir)
		})
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, os.ErrClosed):
		w.log.Warn("cannot watch a mailbox", "dir", dir, "err", err)
	}
	return 0
}

// remove takes back one count of each watch.
func (w *watches) remove(ids []int32) {
	if w.file == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if !w.refs.remove(id) {
			continue
		}
		// EINVAL: the directory is gone, and the kernel has removed the watch itself.
		_ = w.control(func(fd int) error {
			_, err := unix.InotifyRmWatch(fd, uint32(id))
			return err
		})
	}
}

// giveBack is remove for watches that nobody was told of.
func (w *watches) giveBack(ws []backend.Watch) {
	ids := make([]int32, len(ws))
	for i := range ws {
		ids[i] = ws[i].ID
	}
	w.remove(ids)
}

// dup returns a new descriptor of the instance.
func (w *watches) dup() (*os.File, error) {
	if w.file == nil {
		return nil, fmt.Errorf("there is no inotify instance (limit fs.inotify.max_user_instances)")
	}
	var dup int
	err := w.control(func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), "inotify"), nil
}

// control runs f with the descriptor, which stays open and non-blocking meanwhile.
func (w *watches) control(f func(fd int) error) error {
	c, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := c.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func (w *watches) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
