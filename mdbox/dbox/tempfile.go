package dbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/roostmail/roost/mdbox/vfs"
)

// tempPrefix starts the name of a file without number.
const tempPrefix = ".temp."

// tempCounter tells the temporary files of this process apart.
var tempCounter atomic.Uint64

// tempName returns a new name for a file that has no number yet. Dovecot removes files with such names
// after 36 hours.
//
// Format: dovecot src/lib-storage/index/dbox-common/dbox-file.c, dbox_generate_tmp_filename.
func (s *Files) tempName() string {
	now := s.cfg.Now()
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s%d.P%dQ%dM%06d.%s", tempPrefix, now.Unix(), os.Getpid(), tempCounter.Add(1), now.Nanosecond()/1000, host)
}

// createTemp makes a mail file with its header in dir, which is made if it does not exist. It returns
// the offset of the first message.
func (s *Files) createTemp(dir string) (f vfs.WritableFile, first uint64, err error) {
	perm, dirMode, err := s.cfg.Perms()
	if err != nil {
		return nil, 0, fmt.Errorf("dbox: new mail file: %w", err)
	}
	for {
		f, err = perm.Create(s.cfg.FS, filepath.Join(dir, s.tempName()), 0)
		if errors.Is(err, fs.ErrNotExist) && !s.cfg.DirMustExist {
			if err = s.makeDir(dir, perm, dirMode); err == nil {
				f, err = perm.Create(s.cfg.FS, filepath.Join(dir, s.tempName()), 0)
			}
		}
		if !errors.Is(err, fs.ErrExist) { // else of another machine with our name: take the next
			break
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("dbox: new mail file: %w", err)
	}
	head := FileHeader{Version: 2, HeaderSize: messageHeaderSize, Created: s.cfg.Now().Unix()}.Append(nil)
	if _, err := f.WriteAt(head, 0); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("dbox: new mail file: %w", err), f.Close(), s.cfg.FS.Remove(f.Name()))
	}
	return f, uint64(len(head)), nil
}

// makeDir makes a directory and those above it, durably: it happens once in the life of a store.
func (s *Files) makeDir(dir string, perm vfs.Perm, mode fs.FileMode) error {
	parent := filepath.Dir(dir)
	err := perm.Mkdir(s.cfg.FS, dir, mode)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err = s.makeDir(parent, perm, mode); err == nil {
			err = perm.Mkdir(s.cfg.FS, dir, mode)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.cfg.FS.SyncDir(parent)
}
