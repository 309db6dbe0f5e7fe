package mailboxlist

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Permissions are those of the new files and directories of a mailbox, or of what belongs to the whole store.
//
// Those of a mailbox come from its directory below mailboxes/ (not from dbox-Mails in it), or if it does not exist from that
// of the nearest parent, at last the root of the store. Those of the map, the list index, the control files
// and the lock files come from the root (dovecot src/lib-storage/mailbox-list.c, mailbox_list_get_permissions_internal).
type Permissions struct {
	File vfs.Perm    // of files
	Dir  fs.FileMode // of directories, whose group is that of File
}

// DefaultPermissions are those below a root that does not exist yet.
var DefaultPermissions = Permissions{File: vfs.Private, Dir: 0o700}

// PermissionsOf returns the permissions that the directory (or file) dir stands for: its own, and at least those that the
// owner needs. The group matters only if it may do something else than everybody, and is the system's to hand on where
// the directory has the set-group-ID bit.
func PermissionsOf(dir vfs.Info) Permissions {
	mode := dir.Perm.Perm()
	p := Permissions{File: vfs.Perm{Mode: mode&0o666 | 0o600, GID: -1}, Dir: mode | 0o700}
	if !dir.Dir {
		p.Dir |= mode >> 2 & 0o111 // enter where it may be read
	}
	inherited := dir.Dir && dir.Perm&fs.ModeSetgid != 0
	if !inherited && mode>>3&7 != mode&7 {
		p.File.GID = int(dir.GID)
	}
	return p
}

// Conflict reports whether a directory with the permissions q can not be moved to where those of p rule.
func (p Permissions) Conflict(q Permissions) bool {
	return p.Dir != q.Dir || p.File.Mode != q.File.Mode || p.File.GID >= 0 && q.File.GID >= 0 && p.File.GID != q.File.GID
}

// Mkdir makes a directory, and those above it that are missing. It fails with fs.ErrExist if the directory is there. made is the
// topmost directory that the call made, "" if none.
func (p Permissions) Mkdir(fsys vfs.FS, dir string) (made string, err error) {
	err = p.File.Mkdir(fsys, dir, p.Dir)
	if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
		if err == nil {
			made = dir
		}
		return made, err
	}
	if made, err = p.Mkdir(fsys, filepath.Dir(dir)); err != nil && !errors.Is(err, fs.ErrExist) {
		return made, err
	}
	if err = p.File.Mkdir(fsys, dir, p.Dir); err == nil && made == "" {
		made = dir
	}
	return made, err
}
