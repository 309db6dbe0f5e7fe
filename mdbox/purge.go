package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Purged says what a purge did.
type Purged struct {
	Files    int    // m.N files that were removed
	Skipped  int    // files that were in use, or damaged (which Options.Report was told)
	Messages int    // messages that nobody referred to, and that are gone
	Moved    int    // messages that were moved to other files
	Bytes    uint64 // that the removed files had, less what was moved
}

// Purge removes the messages that no mailbox refers to any more: it moves what else is in their m.N files to other files. progress, if
// it is not nil, is told how many of how many files were looked at. Others use the store meanwhile.
//
// In formats other than mdbox there is nothing to do. It goes on over files that are in use or damaged. When ctx ends it stops between two files. (mdbox.md §6.5; dovecot mdbox-purge.c)
func (s *Store) Purge(ctx context.Context, progress func(done, total int)) (Purged, error) {
	var p Purged
	if s.options.Write == nil {
		return p, ErrReadOnly
	}
	if s.location.Format != FormatMdbox {
		return p, nil // an expunge removes the file
	}
	s.finishInterrupted(ctx)
	ids, err := s.filesToPurge()
	if err != nil {
		return p, err
	}
	var left attachments
	defer func() { s.removeAttachments(ctx, left) }()
	for i, id := range ids {
		if err := ctx.Err(); err != nil {
			return p, err
		}
		if err := s.purgeFile(ctx, id, &p, &left); err != nil {
			return p, fmt.Errorf("mdbox: purge: %w", err)
		}
		if progress != nil {
			progress(i+1, len(ids))
		}
	}
	return p, nil
}

// filesToPurge returns the files that have a message without reference, ascending.
func (s *Store) filesToPurge() ([]dbox.FileID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.openMap(); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if _, err := s.messages.Refresh(); err != nil {
		return nil, fmt.Errorf("mdbox: purge: %w", err)
	}
	ids := map[dbox.FileID]bool{}
	s.messages.All(func(_ mapindex.UID, e mapindex.Entry, err error) bool {
		if err == nil && e.Refcount == 0 {
			ids[dbox.FileID(e.FileID)] = true
		}
		return true
	})
	return slices.Sorted(maps.Keys(ids)), nil
}

// purgeFile purges one file.
func (s *Store) purgeFile(ctx context.Context, id dbox.FileID, p *Purged, left *attachments) error {
	file, err := s.files.Lock(id)
	switch {
	case errors.Is(err, dbox.ErrBusy):
		p.Skipped++
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return s.forgetFile(ctx, id, p)
	case isDamage(err):
		return s.skip(err, p)
	case err != nil:
		return err
	}
	j := &filePurge{s: s, file: file}
	err = j.run(ctx)
	if err = errors.Join(err, file.Unlock()); isDamage(err) {
		return s.skip(err, p)
	}
	if err == nil && !j.changed {
		p.Files++
		p.Messages += len(j.dead)
		p.Moved += len(j.moves)
		p.Bytes += j.freed
		*left = append(*left, j.attachments...)
	} else if err == nil {
		p.Skipped++
	}
	return err
}

func isDamage(err error) bool {
	var c *vfs.CorruptError
	return errors.As(err, &c)
}

func (s *Store) skip(err error, p *Purged) error {
	p.Skipped++
	s.options.Report(fmt.Errorf("mdbox: purge: %w", err))
	return nil
}

// filePurge is the purge of one locked file.
type filePurge struct {
	s     *Store
	file  *dbox.Locked
	dead  []mapindex.UID // without reference
	live  []mapindex.UID
	to    []dbox.Stored // where each of live was copied to
	moves []mapindex.Move
	freed uint64
	// attachments are those of dead.
	attachments attachments
	// rebuilt is how many times the store had been rebuilt when the purge of the file began.
	rebuilt uint32
	// changed: somebody has referred to a message of dead meanwhile, or rebuilt the store; the map stays as it is.
	changed bool
}

// mapped is a message of a file, as the map knows it.
type mapped struct {
	uid mapindex.UID
	mapindex.Entry
}

// run copies what is alive to other files, durably, tells the map, durably, and only then removes the file.
func (j *filePurge) run(ctx context.Context) error {
	j.rebuilt = j.s.rebuildCount()
	messages, err := j.s.messagesOf(j.file.ID())
	if err != nil {
		return err
	}
	a := j.appender()
	if err := j.copyLive(a, messages); err != nil {
		return errors.Join(err, a.Abort())
	}
	if err := a.Sync(); err != nil {
		return errors.Join(err, a.Abort())
	}
	committed := false
	err = j.s.withMap(ctx, func(m *lockedMap) (err error) {
		committed, err = j.commit(m, a)
		return err
	})
	if !committed {
		return errors.Join(err, a.Abort())
	}
	return errors.Join(err, a.Release())
}

// appender returns what live messages are copied with: to ALT storage, if they come from there.
func (j *filePurge) appender() *dbox.Appender {
	if j.file.Alt() {
		return j.s.files.NewAltAppender(func(func(dbox.Candidate) bool) {})
	}
	return j.s.files.NewAppender(j.s.newestFiles(j.file.ID()))
}

// messagesOf returns the messages of a file that the map knows, ascending by offset.
func (s *Store) messagesOf(id dbox.FileID) (messages []mapped, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.messages.Refresh(); err != nil {
		return nil, err
	}
	s.messages.All(func(uid mapindex.UID, e mapindex.Entry, damage error) bool {
		if damage != nil {
			err = damage
		} else if e.FileID == uint32(id) {
			messages = append(messages, mapped{uid, e})
		}
		return err == nil
	})
	slices.SortFunc(messages, func(a, b mapped) int { return int(int64(a.Offset) - int64(b.Offset)) })
	return messages, err
}

// copyLive copies the messages that have references. Each message of the file must be one that the map knows, and the other way
// round: else there is damage, and nothing may be thrown away.
func (j *filePurge) copyLive(a *dbox.Appender, messages []mapped) error {
	i := 0
	err := j.file.Scan(func(_ dbox.FileHeader, m *dbox.Scanned) error {
		if i == len(messages) || uint64(messages[i].Offset) != m.Offset {
			return vfs.Corrupt(int64(m.Offset), "the map has each message of the file: it does not have this one")
		}
		known := messages[i]
		i++
		if known.Refcount == 0 {
			j.dead = append(j.dead, known.uid)
			j.freed += m.End - m.Offset
			j.attachments.add(m.Metadata)
			return nil
		}
		st, err := a.CopyRaw(j.file, m)
		j.live, j.to = append(j.live, known.uid), append(j.to, st)
		return err
	})
	if err == nil && i < len(messages) {
		err = vfs.Corrupt(int64(messages[i].Offset), "the file has each message that the map has: there is none for map UID %d", messages[i].uid)
	}
	return vfs.At(err, j.s.files.Path(j.file.ID()), 0)
}

// commit tells the map, which is locked, where the messages are now, and removes the file. committed: the copies
// are in use, or may be.
func (j *filePurge) commit(m *lockedMap, a *dbox.Appender) (committed bool, err error) {
	if m.Map().Header().RebuildCount != j.rebuilt {
		j.changed = true // whoever rebuilt it has found the copies, and may have made records of them
		return true, nil
	}
	for _, uid := range j.dead {
		if e, found, err := m.Map().Lookup(uid); err != nil || !found || e.Refcount > 0 {
			j.changed = true
			return false, err
		}
	}
	if err := j.s.nameFiles(m, a); err != nil {
		return false, err
	}
	for i, uid := range j.live {
		st := j.to[i]
		j.moves = append(j.moves, mapindex.Move{UID: uid, To: mapindex.Location{FileID: uint32(a.FileID(st)), Offset: st.Offset, Size: st.Size}})
	}
	if err := m.Purged(j.moves, j.dead); err != nil {
		return true, err
	}
	return true, j.file.Unlink()
}

// forgetFile takes the messages of a file that is not there, and that nobody refers to, out of the map.
func (s *Store) forgetFile(ctx context.Context, id dbox.FileID, p *Purged) error {
	return s.withMap(ctx, func(m *lockedMap) error {
		var dead []mapindex.UID
		m.Map().All(func(uid mapindex.UID, e mapindex.Entry, err error) bool {
			if err == nil && e.FileID == uint32(id) && e.Refcount == 0 {
				dead = append(dead, uid)
			}
			return true
		})
		p.Messages += len(dead)
		return m.Purged(nil, dead)
	})
}
