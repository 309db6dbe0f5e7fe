package dbox

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// HighestID returns the highest N of the m.N in primary and ALT storage; 0 if there are none. A map that is made anew
// where there are mail files already must not give their numbers again.
func (s *Files) HighestID() (FileID, error) {
	var highest FileID
	err := s.eachName(func(_, name string) error {
		n, ok := strings.CutPrefix(name, s.cfg.Prefix)
		if id, err := strconv.ParseUint(n, 10, 32); ok && err == nil {
			highest = max(highest, FileID(id))
		}
		return nil
	})
	return highest, err
}

// tempAge is how old a temporary file is when nobody can be writing to it any more, as Dovecot has it.
const tempAge = 36 * time.Hour

// RemoveTemp removes what writers that were killed have left: temporary files that were not changed for 36 hours. It returns
// how many.
func (s *Files) RemoveTemp() (n int, err error) {
	old := s.cfg.Now().Add(-tempAge).UnixNano()
	err = s.eachName(func(dir, name string) error {
		if !strings.HasPrefix(name, tempPrefix) {
			return nil
		}
		path := filepath.Join(dir, name)
		st, err := s.cfg.FS.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (st.Dir || st.Mtime > old) {
			return nil
		}
		if err == nil {
			if err = s.remove(path); err == nil {
				n++
			}
		}
		return err
	})
	return n, err
}

// eachName visits the names in both storages, until visit fails.
func (s *Files) eachName(visit func(dir, name string) error) error {
	for _, dir := range []string{s.cfg.StorageDir, s.cfg.AltDir} {
		if dir == "" {
			continue
		}
		entries, err := s.cfg.FS.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if err := visit(dir, e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}
