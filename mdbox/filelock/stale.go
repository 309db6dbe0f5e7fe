package filelock

import (
	"errors"
	"io/fs"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// watch looks at somebody else's dotlock again and again, and overrides it when it is abandoned.
type watch struct {
	c        *Config
	path     string
	lockPath string
	stale    time.Duration

	lock, file vfs.Info  // at the last look
	changed    time.Time // when one of them was last seen to change
}

// look reports whether the lock is gone, perhaps because look overrode it.
func (w *watch) look() (gone bool, err error) {
	f, err := w.c.fs().Open(w.lockPath)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	var st vfs.Info
	pid := 0
	if err == nil {
		pid = holder(f)
		st, err = f.Stat()
		err = errors.Join(err, f.Close())
	} else if errors.Is(err, fs.ErrPermission) {
		st, err = w.c.fs().Stat(w.lockPath) // of another user: its age tells
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if pid > 0 && alive(pid, st) {
		return false, nil
	}
	if pid == 0 {
		old, err := w.old(st)
		if err != nil || !old {
			return false, err
		}
	}
	return w.override(st)
}

// old reports whether neither the lock nor the protected file has changed for long enough.
func (w *watch) old(lock vfs.Info) (bool, error) {
	if w.stale == 0 {
		return false, nil
	}
	file, err := w.c.fs().Stat(w.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	now := time.Now()
	switch {
	case w.changed.IsZero():
		// The first look. A time in the future tells nothing.
		w.changed = time.Unix(0, max(lock.Mtime, file.Mtime))
		if w.changed.After(now) {
			w.changed = now
		}
	case lock != w.lock || file != w.file:
		w.changed = now
	}
	w.lock, w.file = lock, file
	return now.Sub(w.changed) > w.stale, nil
}

// override removes the lock that st describes, and reports whether it is gone. Others may do so at the same time, and one
// of them may have made its own lock since we looked: so whoever overrides a lock has its file locked, and looks again.
func (w *watch) override(st vfs.Info) (gone bool, err error) {
	f, err := w.c.fs().OpenWrite(w.lockPath, 0, 0)
	if err == nil {
		defer f.Close()
		if ok, err := f.TryLock(w.c.Method.kind()); !ok || err != nil {
			return false, err
		}
	} else if !errors.Is(err, fs.ErrPermission) { // of another user, but in our directory
		return errors.Is(err, fs.ErrNotExist), ignoreMissing(err)
	}
	switch now, err := w.c.fs().Stat(w.lockPath); {
	case err != nil:
		return errors.Is(err, fs.ErrNotExist), ignoreMissing(err)
	case now != st:
		return false, nil
	}
	return true, ignoreMissing(w.c.fs().Remove(w.lockPath))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
