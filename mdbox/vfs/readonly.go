package vfs

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// NoWrites refuses all that changes files, with EROFS. A file system that only reads embeds it.
type NoWrites struct{}

// OpenWrite refuses.
func (NoWrites) OpenWrite(name string, _ How, _ fs.FileMode) (WritableFile, error) {
	return nil, readOnly("open", name)
}

// Mkdir refuses.
func (NoWrites) Mkdir(name string, _ fs.FileMode) error { return readOnly("mkdir", name) }

// SetOwner refuses.
func (NoWrites) SetOwner(name string, _ int, _ fs.FileMode) error { return readOnly("chown", name) }

// Rename refuses.
func (NoWrites) Rename(_, to string) error { return readOnly("rename", to) }

// Link refuses.
func (NoWrites) Link(_, to string) error { return readOnly("link", to) }

// Remove refuses.
func (NoWrites) Remove(name string) error { return readOnly("remove", name) }

// SyncDir refuses.
func (NoWrites) SyncDir(name string) error { return readOnly("sync", name) }

func readOnly(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: unix.EROFS} }
