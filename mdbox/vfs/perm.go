package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Perm is what a new file gets: its permission bits, and its group. Dovecot takes both from the directory of
// the mailbox, so that all who share a mailbox can use its files.
type Perm struct {
	Mode fs.FileMode // of files
	GID  int         // -1: whatever the system gives
}

// Private is for files that only their owner uses.
var Private = Perm{Mode: 0o600, GID: -1}

// Mkdir makes a directory with exactly the permissions mode and the group of p; p.Mode is that of files and
// not used. The set-group-ID bit, and with it the group, comes from the directory above, as the system hands it on.
// A group that the process may not give is no error, as with Create.
func (p Perm) Mkdir(fsys FS, name string, mode fs.FileMode) error {
	above, err := fsys.Stat(filepath.Dir(name))
	if err != nil {
		return err
	}
	mode |= above.Perm & fs.ModeSetgid
	if err := fsys.Mkdir(name, mode); err != nil || p.GID < 0 {
		return err
	}
	err = fsys.SetOwner(name, p.GID, mode)
	if errors.Is(err, fs.ErrPermission) {
		err = fsys.SetOwner(name, -1, mode&^0o070)
	}
	return err
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
