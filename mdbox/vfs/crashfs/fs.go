package crashfs

import (
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
)

// FS is a file system in memory. It is safe for concurrent use. Paths are absolute, or taken as if they were.
type FS struct {
	// UID and GID own new files. They are to be set before use.
	UID, GID uint32

	mu      sync.Mutex
	dev     uint64
	root    *node
	lastIno uint64
	pending []change // of names, in order

	clock func() time.Time
	last  int64 // the latest time that was given to a file, in nanoseconds

	fault Fault
	seen  int  // operations among fault.Of since Inject
	hit   bool // the fault has happened
	short bool // the operation that is going on finds no space
	trace []Op

	open map[*file]bool
}

var _ vfs.FS = (*FS)(nil)

var devices atomic.Uint64

// New returns an empty file system. Its clock starts at a fixed time in the past and goes on by a microsecond with each
// change; code that compares the times of files with time.Now, as filelock does for locks that were left behind, takes
// them all for old, unless SetClock(time.Now) says otherwise.
func New() *FS {
	f := &FS{dev: devices.Add(1), open: make(map[*file]bool), last: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()}
	f.root = f.newNode(0o755, fs.ModeDir)
	return f
}

// SetClock lets changes have the time that now returns; if that does not go on, they are a nanosecond apart.
func (f *FS) SetClock(now func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = now
}

// tick returns a time later than all before it.
func (f *FS) tick() int64 {
	if f.clock == nil {
		f.last += int64(time.Microsecond)
	} else {
		f.last = max(f.last+1, f.clock().UnixNano())
	}
	return f.last
}

// Stat describes the file that name leads to.
func (f *FS) Stat(name string) (info vfs.Info, err error) {
	err = f.do(&Op{Kind: Stat, Path: name}, func() error {
		n, err := f.lookup(name)
		if err == nil {
			info = f.info(n)
		}
		return err
	})
	return info, err
}

// Open opens a file for reading.
func (f *FS) Open(name string) (vfs.File, error) {
	var opened *file
	err := f.do(&Op{Kind: Open, Path: name}, func() error {
		n, err := f.lookup(name)
		if err == nil {
			opened = f.newFile(n, name, 0)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// OpenWrite opens a file for reading and writing.
func (f *FS) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	var opened *file
	err := f.do(&Op{Kind: OpenWrite, Path: name}, func() error {
		dir, base, err := f.parent(name)
		if err != nil {
			return err
		}
		n := dir.names[base]
		switch {
		case n == nil && how&vfs.Create == 0:
			return unix.ENOENT
		case n == nil:
			if err := f.space(); err != nil {
				return err
			}
			n = f.newNode(perm.Perm(), 0)
			f.inherit(n, dir)
			f.change(change{dir: dir, name: base, node: n})
		case how&vfs.Create != 0 && how&vfs.Exclusive != 0:
			return unix.EEXIST
		case n.link != "":
			return unix.ELOOP
		case n.names != nil:
			return unix.EISDIR
		}
		opened = f.newFile(n, name, how)
		opened.writable = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// ReadDir returns the entries of a directory, sorted by name.
func (f *FS) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = f.do(&Op{Kind: ReadDir, Path: name}, func() error {
		n, err := f.lookup(name)
		if err != nil {
			return err
		}
		if n.names == nil {
			return unix.ENOTDIR
		}
		for _, name := range slices.Sorted(maps.Keys(n.names)) {
			entries = append(entries, entry{name, n.names[name].mode()})
		}
		return nil
	})
	return entries, err
}

// entry is an entry of a directory.
type entry struct {
	name string
	mode fs.FileMode
}

func (e entry) Name() string               { return e.name }
func (e entry) IsDir() bool                { return e.mode.IsDir() }
func (e entry) Type() fs.FileMode          { return e.mode.Type() }
func (e entry) Info() (fs.FileInfo, error) { return nil, unix.ENOTSUP } // vfs.FS.Stat is for that
