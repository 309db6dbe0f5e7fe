package vfs

import (
	"errors"
	"io/fs"
)

// Perm is what a new file gets: its permission bits, and its group. Dovecot takes both from the directory of
// the mailbox, so that all who share a mailbox can use its files.
type Perm struct {
	Mode fs.FileMode // of files; of directories see DirMode
	GID  int         // -1: whatever the system gives
}

// Private is for files that only their owner uses.
var Private = Perm{Mode: 0o600, GID: -1}

// DirMode returns the permissions of a directory whose files have those of p: it can be entered by
// whoever can read them, and hands its group on if p has one.
func (p Perm) DirMode() fs.FileMode {
	m := p.Mode | (p.Mode>>2)&0o111
	if p.GID >= 0 {
		m |= fs.ModeSetgid
	}
	return m
}

// Create makes a file that must not exist yet, with the permissions and the group of p. A group that the process
// may not give is not an error: the file is then readable for fewer than it could be, as with Dovecot.
func (p Perm) Create(fsys FS, name string, how How) (WritableFile, error) {
	f, err := fsys.OpenWrite(name, how|Create|Exclusive, p.Mode)
	if err != nil || p.GID < 0 {
		return f, err
	}
	st, err := f.Stat()
	if err == nil && int(st.GID) != p.GID {
		if err = f.SetOwner(p.GID, p.Mode); errors.Is(err, fs.ErrPermission) {
			// Without the group its bits would be for another one.
			err = f.SetOwner(-1, p.Mode&^0o070)
		}
	}
	if err != nil {
		f.Close()
		return nil, errors.Join(err, fsys.Remove(name))
	}
	return f, nil
}
