package mdbox

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// markerPrefix is how the name begins of a file beside the map that a process holds locked (flock) while it may change the store. One that
// nobody has locked is of a process that died, perhaps between a change of the map and one of a mailbox. Dovecot does not look at such files.
const markerPrefix = ".roost."

// Recover brings to an end what a process of this library has left that died in the midst of a change: it counts references again, and makes
// messages harmless that no mailbox got. Who opens a store to write calls it; else the first change does it. Without such a
// process it only looks at names. Errors are reported: then the next process does it.
//
// It returns true if there was no marker at all: then there is nothing to recover as long as Entered is what it was before.
func (s *Store) Recover(ctx context.Context) (unmarked bool) {
	if !s.recoverable() {
		return true
	}
	dead, unmarked := s.markers()
	if dead {
		s.finishInterrupted(ctx)
		s.report("recover", s.withMap(ctx, func(*lockedMap) error { return nil }))
	}
	return unmarked
}

// Entered returns when a process may last have begun or ended to change the store, as far as its directory tells: UNIX time in nanoseconds,
// or 0 if that is not known, or if there is nothing to Recover in such a store.
func (s *Store) Entered() int64 {
	if !s.recoverable() {
		return 0
	}
	info, err := s.options.FS.Stat(s.location.mapDir())
	if err != nil {
		return 0
	}
	return info.Ctime
}

func (s *Store) recoverable() bool { return s.options.Write != nil && s.location.Format == FormatMdbox }

// markers reports whether there is the marker of a process that has ended, and whether there is none at all.
func (s *Store) markers() (dead, none bool) {
	names, err := vfs.Names(s.options.FS, s.location.mapDir())
	if err != nil {
		return false, false
	}
	none = true
	for _, name := range names {
		if !strings.HasPrefix(name, markerPrefix) {
			continue
		}
		none = false
		f, err := s.options.FS.OpenWrite(filepath.Join(s.location.mapDir(), name), 0, 0)
		if err != nil {
			continue
		}
		free, err := f.TryLock(vfs.LockFlock)
		f.Close()
		if err == nil && free {
			return true, false
		}
	}
	return false, none
}

// mark makes the marker of this process, once. It reports whether a process has left one. Store.writer is held.
func (s *Store) mark() (left []vfs.WritableFile, err error) {
	if s.marker != nil {
		return nil, nil
	}
	dir := s.location.mapDir()
	entries, err := s.options.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was stored yet
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), markerPrefix) {
			continue
		}
		f, err := s.options.FS.OpenWrite(filepath.Join(dir, e.Name()), 0, 0)
		if err != nil {
			continue // it is gone, or another user's
		}
		if free, err := f.TryLock(vfs.LockFlock); err != nil || !free {
			f.Close()
			continue
		}
		left = append(left, f)
	}
	f, err := vfs.Private.Create(s.options.FS, filepath.Join(dir, markerPrefix+rand.Text()), 0)
	if err != nil {
		return left, err
	}
	if _, err = f.TryLock(vfs.LockFlock); err == nil {
		err = s.options.FS.SyncDir(dir)
	}
	if err != nil {
		return left, errors.Join(err, f.Close(), s.options.FS.Remove(f.Name()))
	}
	s.marker = f
	return left, nil
}

// unmark removes the marker of this process.
func (s *Store) unmark() error {
	f := s.marker
	if f == nil {
		return nil
	}
	s.marker = nil
	if s.recount.Load() { // the next process counts
		return f.Close()
	}
	return errors.Join(s.options.FS.Remove(f.Name()), f.Close())
}
