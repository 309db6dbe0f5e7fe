package mdbox

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// maxCandidates is how many m.N files a save looks at before it begins a new one (dovecot mdbox-map.c, MAX_BACKWARDS_LOOKUPS).
const maxCandidates = 10

// newestFiles returns up to n m.N files, the one with the newest message first, each with the end of its newest message.
func (s *Store) newestFiles(n int) ([]dbox.Candidate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.openMap(); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if _, err := s.messages.Refresh(); err != nil {
		return nil, fmt.Errorf("mdbox: read map: %w", err)
	}
	var newest []dbox.Candidate
	seen := map[uint32]bool{}
	s.messages.Backward(func(_ mapindex.UID, e mapindex.Entry, err error) bool {
		if err != nil || seen[e.FileID] {
			return true
		}
		seen[e.FileID] = true
		// A message without size has the rest of its file, which is large: nothing fits behind it.
		if e.Size > 0 {
			newest = append(newest, dbox.Candidate{File: dbox.FileID(e.FileID), End: uint64(e.Offset) + uint64(e.Size)})
		}
		return len(seen) < n
	})
	return newest, nil
}

// nameFiles gives the new files of an appender their names. The map says first that these are in use: whenever this process
// ends, no name is in the way of somebody else.
func (s *Store) nameFiles(m *lockedMap, a *dbox.Appender) error {
	n := a.NewFiles()
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
	return a.Name(dbox.FileID(newest) + 1)
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
