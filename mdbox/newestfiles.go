package mdbox

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// maxCandidates is how many m.N files a save looks at before it begins a new one (dovecot mdbox-map.c, MAX_BACKWARDS_LOOKUPS).
const maxCandidates = 10

// newestFiles yields m.N files, the one with the newest message first, each with the end of its newest message. Of a map that can not be
// read it yields none: the save begins a new file, and fails when it has to change the map.
func (s *Store) newestFiles(but dbox.FileID) iter.Seq[dbox.Candidate] {
	return func(yield func(dbox.Candidate) bool) {
		seen := map[uint32]bool{uint32(but): true}
		for below := mapindex.UID(1<<32 - 1); len(seen) <= maxCandidates; {
			c, uid, ok := s.newestFile(below, seen)
			if !ok || !yield(c) {
				return
			}
			below = uid
		}
	}
}

// rebuildCount returns how many times the store was rebuilt, as far as is known without a lock.
func (s *Store) rebuildCount() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.openMap(); err != nil {
		return 0
	}
	if _, err := s.messages.Refresh(); err != nil {
		return 0
	}
	return s.messages.Header().RebuildCount
}

// newestFile returns the file of the newest message below a map UID that is in none of the files seen, which it adds to them.
func (s *Store) newestFile(below mapindex.UID, seen map[uint32]bool) (c dbox.Candidate, uid mapindex.UID, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.openMap(); err != nil {
		return c, 0, false
	}
	if len(seen) == 1 {
		if _, err := s.messages.Refresh(); err != nil {
			return c, 0, false
		}
	}
	s.messages.Backward(below, func(u mapindex.UID, e mapindex.Entry, err error) bool {
		if err != nil || seen[e.FileID] {
			return true
		}
		seen[e.FileID] = true
		if e.Size == 0 {
			return true // it has the rest of its file, which is large: nothing fits behind it
		}
		c, uid, ok = dbox.Candidate{File: dbox.FileID(e.FileID), End: uint64(e.Offset) + uint64(e.Size)}, u, true
		return false
	})
	return c, uid, ok
}

// nameFiles gives the new files of appenders their names. The map says first that these are in use: whenever this process
// ends, no name is in the way of somebody else.
func (s *Store) nameFiles(m *lockedMap, appenders ...*dbox.Appender) error {
	n := 0
	for _, a := range appenders {
		n += a.NewFiles()
	}
	if n == 0 {
		return nil
	}
	newest, err := s.freeFileIDs(m, n)
	if err != nil {
		return err
	}
	if err := m.Reserve(newest + uint32(n)); err != nil {
		return err
	}
	next := dbox.FileID(newest) + 1
	for _, a := range appenders {
		if a.NewFiles() == 0 {
			continue
		}
		if err := a.Name(next); err != nil {
			return err
		}
		next += dbox.FileID(a.NewFiles())
	}
	return nil
}

// freeFileIDs returns a file_id after which n are free. That is highest_file_id, unless a process ended between giving a
// file its name and noting it in the map. MAP is held.
func (s *Store) freeFileIDs(m *lockedMap, n int) (uint32, error) {
	newest := m.Map().Header().HighestFileID
	for i := 1; i <= n; i++ {
		_, err := s.options.FS.Stat(s.files.Path(dbox.FileID(newest) + dbox.FileID(i)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("mdbox: look for a free file name: %w", err)
		}
		newest, i = newest+uint32(i), 0
	}
	return newest, nil
}
