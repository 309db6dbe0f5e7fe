package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
)

// The content of a dotlock that names its holder is "pid:host": the process id in decimal, and the name of the host as
// gethostname(2) has it. Dovecot allows a line feed behind it.

// hostname is that of this host, and "" if it has none.
var hostname = sync.OnceValue(func() string {
	name, _ := os.Hostname()
	return name
})

// writeHolder writes into a dotlock that this process holds it. If that can not be written (a full disk), the lock
// stays empty and is overridden by its age.
func writeHolder(f vfs.WritableFile, pid bool) error {
	if !pid {
		return nil
	}
	if _, err := f.Write(fmt.Appendf(nil, "%d:%s", os.Getpid(), hostname())); err != nil {
		return f.Truncate(0)
	}
	return nil
}

// maxHolder is the most that is read of a dotlock, in bytes.
const maxHolder = 512

// holder returns the process of this host that holds a dotlock, by its content, and 0 if it names none.
func holder(f io.ReaderAt) (pid int) {
	b := make([]byte, maxHolder)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	return parseHolder(string(b[:n]), hostname())
}

func parseHolder(content, host string) (pid int) {
	number, name, ok := strings.Cut(strings.TrimSuffix(content, "\n"), ":")
	if !ok || name != host || host == "" {
		return 0
	}
	pid, err := strconv.Atoi(number)
	if err != nil || pid <= 0 || pid > maxPID {
		return 0
	}
	return pid
}

// maxPID is above every process id of Linux (PID_MAX_LIMIT).
const maxPID = 1 << 22

// alive reports whether the holder of the dotlock that st describes lives.
func alive(pid int, st vfs.Info) bool {
	if pid == os.Getpid() {
		// Containers often start with the same process ids: it may be of a predecessor.
		return ours.has(st)
	}
	return !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// ours are the dotlocks that this process holds, by whichever Config.
var ours held

type held struct {
	mu    sync.Mutex
	locks map[[2]uint64]bool // by device and inode
}

func (h *held) add(st vfs.Info) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.locks == nil {
		h.locks = make(map[[2]uint64]bool)
	}
	h.locks[[2]uint64{st.Dev, st.Ino}] = true
}

func (h *held) remove(st vfs.Info) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.locks, [2]uint64{st.Dev, st.Ino})
}

func (h *held) has(st vfs.Info) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.locks[[2]uint64{st.Dev, st.Ino}]
}
