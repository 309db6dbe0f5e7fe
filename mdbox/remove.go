package mdbox

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// removeAll removes a directory with all that is in it. Symbolic links are not followed. It need not exist.
func removeAll(fsys vfs.FS, dir string) error {
	if err := removeTree(fsys, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func removeTree(fsys vfs.FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = removeAll(fsys, path)
		} else if err = fsys.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return fsys.Remove(dir)
}

// removeFiles removes what is in a directory but for other directories. It need not exist.
func removeFiles(fsys vfs.FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !e.IsDir() && err == nil {
			if err = fsys.Remove(filepath.Join(dir, e.Name())); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
	}
	return err
}

// removeEmpty removes a directory, if it is empty, and those above it that are empty then, up to but not including top.
func removeEmpty(fsys vfs.FS, dir, top string) error {
	for ; strings.HasPrefix(dir, top+"/"); dir = filepath.Dir(dir) {
		if err := fsys.Remove(dir); isNotEmpty(err) {
			return nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func isNotEmpty(err error) bool { return errors.Is(err, fs.ErrExist) } // ENOTEMPTY or EEXIST
