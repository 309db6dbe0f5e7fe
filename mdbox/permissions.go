package mdbox

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/vfs"
)

// permissions returns those of the new files and directories of a mailbox, whose directory below mailboxes/ is dir: what that directory
// says, or the nearest above it that exists, and at last the root of the store. Those of mailboxes/ itself do not
// count, nor those of an INBOX that is elsewhere. With "" they are those of all that belongs to the whole store.
func (s *Store) permissions(dir string) (mailboxlist.Permissions, error) {
	for {
		path := s.location.Root
		if dir != "" {
			path = filepath.Join(s.location.mailboxesDir(path), dir)
		}
		st, err := s.options.FS.Stat(path)
		if err == nil {
			return mailboxlist.PermissionsOf(st), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return mailboxlist.Permissions{}, fmt.Errorf("mdbox: permissions of new files: %w", err)
		}
		if dir == "" {
			return mailboxlist.DefaultPermissions, nil
		}
		if dir = filepath.Dir(dir); dir == "." {
			dir = ""
		}
	}
}

// permOf returns what asks for the permissions of new files, for those who may make one.
func (s *Store) permOf(dir string) func() (vfs.Perm, error) {
	return func() (vfs.Perm, error) {
		p, err := s.permissions(dir)
		return p.File, err
	}
}

// makeDirs makes a directory that belongs to the whole store, and those above it, unless it is there.
func (s *Store) makeDirs(dir string) error {
	if _, err := s.options.FS.Stat(dir); err == nil {
		return nil
	}
	p, err := s.permissions("")
	if err != nil {
		return err
	}
	made, err := p.Mkdir(s.options.FS, dir)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("mdbox: make directory: %w", err)
	}
	return s.syncDirs(dir, made)
}

// syncDirs makes the names durable that lead to dir from the directory above made, which was made on the way.
func (s *Store) syncDirs(dir, made string) error {
	if made == "" || !s.durable() {
		return nil
	}
	for d := dir; ; d = filepath.Dir(d) {
		err := s.options.FS.SyncDir(d)
		if err != nil && !errors.Is(err, fs.ErrPermission) { // one that may be changed and not be read
			return fmt.Errorf("mdbox: sync directory: %w", err)
		}
		if d == filepath.Dir(made) || d == filepath.Dir(d) {
			return nil
		}
	}
}
