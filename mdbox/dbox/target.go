package dbox

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/vfs"
)

// target is a file that messages of a transaction are appended to.
type target struct {
	f      vfs.WritableFile // nil: a new file that is full, and closed
	path   string
	id     FileID // 0: a new file without number
	isNew  bool   // made by this transaction; else it is locked
	old    uint64 // end before the transaction; of a new file the offset of the first message
	end    uint64 // end of the last complete message
	synced bool   // up to end
	noted  bool   // see note
}

// inPlace checks that the path of the open file still leads to it.
func (t *target) inPlace(fsys vfs.FS) error {
	now, err := fsys.Stat(t.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dbox: %w", err)
	}
	opened, errOpened := t.f.Stat()
	if errOpened != nil {
		return fmt.Errorf("dbox: %w", errOpened)
	}
	if err != nil || !now.SameFile(opened) {
		return fmt.Errorf("%s: %w", t.path, ErrReplaced)
	}
	return nil
}

// truncate removes what is behind the last complete message.
func (t *target) truncate() error { return t.f.Truncate(int64(t.end)) }

// sync makes the messages durable.
func (t *target) sync() error {
	if t.synced {
		return nil
	}
	err := t.f.Sync()
	t.synced = err == nil
	return err
}

// close releases the lock, if the file has one, and closes it.
func (t *target) close() error {
	if t.f == nil {
		return nil
	}
	var err error
	if !t.isNew {
		err = t.f.Unlock(vfs.LockFlock)
	}
	err = errors.Join(err, t.f.Close())
	t.f = nil
	return err
}

// retire syncs and closes a new file that is full, so that a large transaction does not run out of descriptors.
// The others stay open: they would lose their lock.
func (t *target) retire() error {
	if !t.isNew || t.f == nil {
		return nil
	}
	if err := t.sync(); err != nil {
		return err
	}
	return t.close()
}

// undo takes back all that was appended, and closes the file.
func (t *target) undo(fsys vfs.FS) error {
	var err error
	if t.isNew {
		if err = fsys.Remove(t.path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = t.f.Truncate(int64(t.old))
	}
	return errors.Join(err, t.close())
}
