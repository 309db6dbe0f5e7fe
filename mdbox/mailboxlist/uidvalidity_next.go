package mailboxlist

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// uidValidityAttempts is how often others may be faster before an allocation gives up.
const uidValidityAttempts = 1000

// NextUIDValidity allocates a UIDVALIDITY that was never allocated before in the control root dir, which must exist. now is
// the UNIX time, where the first value comes from.
//
// The value is taken by renaming the file that is named after the last one, which only one process can do. Of
// several such files, which processes make that are the first at the same time, the highest counts and the others are removed.
// Unlike Dovecot, which looks at one value only, the highest of all that can be found counts.
func NextUIDValidity(fsys vfs.FS, dir string, perm vfs.Perm, now uint32) (uint32, error) {
	path := filepath.Join(dir, uidValidityName)
	for range uidValidityAttempts {
		noted, err := notedUIDValidity(fsys, path)
		if err != nil {
			return 0, fmt.Errorf("mailboxlist: allocate UIDVALIDITY: %w", err)
		}
		taken, err := takenUIDValidities(fsys, dir)
		if err != nil {
			return 0, fmt.Errorf("mailboxlist: allocate UIDVALIDITY: %w", err)
		}
		next := now
		if len(taken) > 0 {
			next = max(noted, taken[len(taken)-1]) + 1
		} else if noted != 0 {
			next = max(noted+1, now)
		}
		next = max(next, 1) // 0 is none
		if ok, err := takeUIDValidity(fsys, path, taken, next); err != nil {
			return 0, fmt.Errorf("mailboxlist: allocate UIDVALIDITY: %w", err)
		} else if !ok {
			continue
		}
		// What follows is for the next one: the value is ours already.
		for _, old := range taken[:max(0, len(taken)-1)] {
			_ = fsys.Remove(uidValidityFile(path, old))
		}
		return next, noteUIDValidity(fsys, path, perm, next)
	}
	return 0, fmt.Errorf("mailboxlist: allocate UIDVALIDITY: %s: others were faster %d times", path, uidValidityAttempts)
}

func uidValidityFile(path string, v uint32) string {
	return path + "." + string(AppendUIDValidity(nil, v))
}

// notedUIDValidity returns the content of dovecot-uidvalidity, 0 if it says nothing.
func notedUIDValidity(fsys vfs.FS, path string) (uint32, error) {
	b, err := vfs.ReadFile(fsys, path, uidValidityDigits)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, vfs.ErrTooLarge) {
		return 0, nil
	}
	v, _ := parseUIDValidity(string(b))
	return v, err
}

// takenUIDValidities returns the values that files are named after, ascending.
func takenUIDValidities(fsys vfs.FS, dir string) ([]uint32, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var taken []uint32
	for _, e := range entries {
		if hex, ok := strings.CutPrefix(e.Name(), uidValidityName+"."); ok {
			if v, ok := parseUIDValidity(hex); ok {
				taken = append(taken, v)
			}
		}
	}
	slices.Sort(taken)
	return taken, nil
}

// takeUIDValidity takes next, unless somebody else was faster.
func takeUIDValidity(fsys vfs.FS, path string, taken []uint32, next uint32) (bool, error) {
	if len(taken) == 0 {
		f, err := fsys.OpenWrite(uidValidityFile(path, next), vfs.Create|vfs.Exclusive, 0o444)
		if errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if err := f.Close(); err != nil {
			return false, err
		}
		// The name was free, too, if another was the first and a third has renamed its file since: then that file is there.
		now, err := takenUIDValidities(fsys, filepath.Dir(path))
		if err != nil || len(now) > 0 && now[len(now)-1] == next {
			return err == nil, err
		}
		_ = fsys.Remove(uidValidityFile(path, next)) // else the next one does
		return false, nil
	}
	err := fsys.Rename(uidValidityFile(path, taken[len(taken)-1]), uidValidityFile(path, next))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// noteUIDValidity writes the value to dovecot-uidvalidity. If processes overtake each other there, the file names still tell.
func noteUIDValidity(fsys vfs.FS, path string, perm vfs.Perm, v uint32) error {
	f, err := fsys.OpenWrite(path, 0, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if f, err = perm.Create(fsys, path, 0); errors.Is(err, fs.ErrExist) {
			f, err = fsys.OpenWrite(path, 0, 0)
		}
	}
	if err != nil {
		return fmt.Errorf("mailboxlist: note UIDVALIDITY: %w", err)
	}
	defer f.Close()
	if _, err := f.WriteAt(AppendUIDValidity(nil, v), 0); err != nil {
		return fmt.Errorf("mailboxlist: note UIDVALIDITY: %w", err)
	}
	st, err := f.Stat()
	if err == nil && st.Size > uidValidityDigits {
		err = f.Truncate(uidValidityDigits)
	}
	return err
}
