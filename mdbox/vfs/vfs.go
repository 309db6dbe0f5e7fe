// Package vfs is how mdbox touches files: everything below mdbox opens, stats
// and lists through an FS, so that a test can fail the n-th operation, return
// short reads, or show files at an earlier state.
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

// FS opens, stats and lists files. Implementations are safe for concurrent use.
// All errors for a missing file satisfy errors.Is(err, fs.ErrNotExist).
type FS interface {
	// Open opens a file for reading. The caller closes it.
	Open(name string) (File, error)
	// Stat describes the file that name leads to, through symbolic links.
	Stat(name string) (Info, error)
	// ReadDir returns the entries of a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
}

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
	Dev   uint64 // with Ino the identity of the file
	Ino   uint64
	Dir   bool // a directory
}

// SameFile reports whether a and b describe the same file, perhaps at different times.
func (a Info) SameFile(b Info) bool { return a.Dev == b.Dev && a.Ino == b.Ino }
