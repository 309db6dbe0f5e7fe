package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// finishInterrupted makes harmless what processes have left in m.N files that were killed before the map had their messages
// (dbox.Interrupted): Dovecot's repair would bring such messages to light as new ones. It is done once, before the first change of
// m.N files by this process. Errors are reported: what is left then is left to the next process.
func (s *Store) finishInterrupted(ctx context.Context) {
	s.interrupted.Do(func() {
		all, err := s.files.Interrupted()
		s.report("look for interrupted saves", err)
		for _, i := range all {
			err := error(nil)
			for _, c := range i.Files {
				err = errors.Join(err, s.finishFile(ctx, c))
			}
			if err != nil {
				s.report("finish an interrupted save", errors.Join(err, i.Close()))
				continue
			}
			s.report("finish an interrupted save", i.Done())
		}
	})
}

// finishFile gives the messages behind the end of c that the map does not know records with refcount 0, so that the next purge
// removes them, and cuts off a part of a message behind them.
func (s *Store) finishFile(ctx context.Context, c dbox.Candidate) error {
	file, err := s.files.Lock(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.withMap(ctx, func(m *lockedMap) error {
		left, end, err := file.After(c.End)
		if errors.Is(err, dbox.ErrReplaced) {
			return nil // by a repair, which has seen to all
		}
		if err != nil {
			return err
		}
		known := map[uint32]bool{}
		var last uint64 // end of the last message that the map knows
		m.Map().All(func(_ mapindex.UID, e mapindex.Entry, damage error) bool {
			err = errors.Join(err, damage)
			if e.FileID == uint32(c.File) {
				known[e.Offset] = true
				last = max(last, uint64(e.Offset)+uint64(e.Size))
			}
			return true
		})
		if err != nil {
			return err
		}
		if err := m.forget(s, c.File, left, known); err != nil {
			return err
		}
		if end < file.Size() && last <= end {
			return file.Cut(end)
		}
		return nil
	})
	return errors.Join(err, file.Unlock())
}

// forget gives those of left that are not known records with refcount 0.
func (m *lockedMap) forget(s *Store, id dbox.FileID, left []dbox.Ref, known map[uint32]bool) error {
	var unknown []mapindex.Location
	for _, ref := range left {
		if !known[ref.Offset] {
			unknown = append(unknown, mapindex.Location{FileID: uint32(id), Offset: ref.Offset, Size: ref.Size})
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	first, err := m.Append(s.now(), unknown)
	if err != nil {
		return fmt.Errorf("mdbox: messages of an interrupted save: %w", err)
	}
	counts := map[mapindex.UID]uint16{}
	for i := range unknown {
		counts[first+mapindex.UID(i)] = 0
	}
	return m.SetReferences(counts)
}
