// Package vfs is how mdbox touches files: everything below mdbox opens, stats
// and lists through an FS, so that a test can fail the n-th operation, return
// short reads, or show files at an earlier state.
//
// What was written is durable only after Sync, and a new or changed name only after SyncDir of its directory.
//
// Files are read with positioned reads only. They are never mapped: Dovecot
// truncates aborted saves, and a mapping beyond the end of a file is a SIGBUS
// that no Go code can handle.
//
// The package also holds CorruptError, the one error type for data that
// violates its format, since every package of mdbox reports it.
package vfs

import (
	"io"
	"io/fs"
)

// FS opens, stats, lists and changes files. Implementations are safe for concurrent use.
// Errors satisfy errors.Is with fs.ErrNotExist, fs.ErrExist and fs.ErrPermission, and with
// the errno of a full file system (unix.ENOSPC, unix.EDQUOT).
type FS interface {
	// Open opens a file for reading. The caller closes it.
	Open(name string) (File, error)
	// Stat describes the file that name leads to, through symbolic links.
	Stat(name string) (Info, error)
	// ReadDir returns the entries of a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)

	// OpenWrite opens a regular file for reading and writing. Permissions of a new file are exactly perm, whatever the
	// umask. It follows no symbolic link at the end of name. The caller closes the file.
	OpenWrite(name string, how How, perm fs.FileMode) (WritableFile, error)
	// Mkdir makes a directory with exactly the permissions perm (which may include fs.ModeSetgid).
	Mkdir(name string, perm fs.FileMode) error
	// SetOwner changes the group (gid, -1 = keep) and the permissions of a file or directory.
	SetOwner(name string, gid int, perm fs.FileMode) error
	// Rename moves a file or directory, replacing a file that has the new name.
	Rename(from, to string) error
	// Link gives a file a second name. It fails with fs.ErrExist if the name is taken.
	Link(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
}

// How says how OpenWrite opens: a sum of the following.
type How uint8

// Ways to open a file for writing. Without Create it must exist.
const (
	Create    How = 1 << iota // make it if it does not exist
	Exclusive                 // with Create: fail with fs.ErrExist if it exists
	Append                    // every Write goes to the end of the file, wherever that is by then
)

// WritableFile is a file open for reading and writing. Methods other than ReadAt are for one goroutine at a time.
type WritableFile interface {
	File
	// Write writes p in one system call: at the end of the file if it was opened with Append, else behind
	// what was written before. n < len(p) only with an error (a full disk); the n bytes are in the file then.
	Write(p []byte) (n int, err error)
	// WriteAt writes p at off. It must not be used on a file opened with Append.
	WriteAt(p []byte, off int64) (n int, err error)
	Truncate(size int64) error
	// Allocate reserves space up to size without changing the size of the file (fallocate KEEP_SIZE). Where the file
	// system can not do that, it does nothing.
	Allocate(size int64) error
	// Sync makes the data of the file durable, and its size (fdatasync).
	Sync() error
	// SetOwner changes group (gid, -1 = keep) and permissions.
	SetOwner(gid int, perm fs.FileMode) error
	// SetMtime sets the time of the last modification, UNIX time in nanoseconds.
	SetMtime(t int64) error
	// TryLock takes an exclusive lock on the whole file without waiting. ok is false if somebody else has it, in
	// this process (another open of the file) or in another one. Close releases it too.
	TryLock(kind LockKind) (ok bool, err error)
	// Unlock releases a lock that TryLock has given.
	Unlock(kind LockKind) error
}

// LockWaiter is a WritableFile that can also wait for a lock in the kernel, in line with other processes that do so.
type LockWaiter interface {
	// WaitLock takes the lock as TryLock does, however long that takes. Close does not end it, but releases
	// the lock as soon as it is had. The error is errors.ErrUnsupported if the file can not wait.
	WaitLock(kind LockKind) error
}

// LockKind is a kind of lock on a file. The kinds do not see each other.
type LockKind uint8

// Lock kinds.
const (
	// LockFcntl is an open file description lock (F_OFD_SETLK), which conflicts with Dovecot's fcntl locks in other
	// processes, and with others of its kind also in the same process.
	LockFcntl LockKind = iota
	LockFlock          // flock(2)
)

// File is an open file. ReadAt may be called from several goroutines at once.
type File interface {
	io.ReaderAt
	io.Closer
	// Name is the path the file was opened with, for messages.
	Name() string
	// Stat describes the open file, also when its name leads elsewhere by now.
	Stat() (Info, error)
}

// Info is what mdbox needs to know about a file.
type Info struct {
	Size  int64  // bytes
	Mtime int64  // last modification, UNIX time in nanoseconds
	Ctime int64  // last change of content, links or attributes, UNIX time in nanoseconds
	Dev   uint64 // with Ino the identity of the file
	Ino   uint64
	Dir   bool // a directory
	// Special says that it is neither a file nor a directory: to open a FIFO, for instance, can take for ever.
	Special bool
	UID     uint32
	GID     uint32
	Perm    fs.FileMode // permission bits, and fs.ModeSetgid
	Links   uint64      // names that lead to it; 0 = none, or not known
}

// SameFile reports whether a and b describe the same file, perhaps at different times.
func (a Info) SameFile(b Info) bool { return a.Dev == b.Dev && a.Ino == b.Ino }
