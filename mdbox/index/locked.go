package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// ErrUnlocked is returned by the methods of a Locked after Unlock.
var ErrUnlocked = errors.New("index: the lock was released")

// ErrFailed is returned by the methods of a Locked that write, after one of them has failed.
var ErrFailed = errors.New("index: an earlier write under this lock failed")

// Locked is an index whose log lock this process holds: nobody else changes it, and
// its State contains everything. Like the Index, it belongs to one owner at a time.
//
// Unlock must be called. In between, nothing may wait for a client or another
// machine: deliveries of other processes wait for the lock.
type Locked struct {
	x    *Index
	w    *Writing
	lock *filelock.Log // nil after Unlock
	// file is the locked log, .log.
	file *translog.File
	// out is where transactions are appended: the locked descriptor of file. lock owns it.
	out vfs.WritableFile
	// failed is what made this Locked refuse further writes.
	failed error
	repair bool // see LockForRepair
}

// Lock takes the lock of the index's log and brings the state up to date.
//
// A write that another process has left unfinished at the end of the log is cut off
// (log.md §3), which Writing.Warn is told of.
//
// It fails with ErrDeleted if the index is gone or marked as deleted, with a
// *vfs.CorruptError if it is damaged (nothing is marked or repaired here: see
// LockForRepair), with filelock.ErrTimeout, or with the error of ctx.
func (x *Index) Lock(ctx context.Context, w *Writing) (*Locked, error) {
	return x.lock(ctx, w, false)
}

func (x *Index) lock(ctx context.Context, w *Writing, repair bool) (*Locked, error) {
	lock, err := w.Lock.Log(ctx, x.logPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrDeleted, err)
	}
	if err != nil {
		return nil, fmt.Errorf("index: lock: %w", err)
	}
	l := &Locked{x: x, w: w, lock: lock, out: lock.File, repair: repair}
	if err := l.begin(); err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	return l, nil
}

// begin brings the state up to date under the lock, and checks that it may be changed.
func (l *Locked) begin() error {
	x := l.x
	file, err := translog.NewFile(l.out, x.logPath(), x.o.MaxFileBytes)
	var corrupt *vfs.CorruptError
	switch {
	case l.repair && errors.As(err, &corrupt):
		l.failed = err
		err = x.load()
	case err != nil:
		return fmt.Errorf("index: lock: %w", err)
	default:
		l.file = file
		err = l.refresh()
	}
	if l.repair && errors.As(err, &corrupt) {
		l.failed = err
		return nil
	}
	if err != nil || l.failed != nil {
		return err
	}
	if err := l.damage(); err != nil {
		l.failed = err
		if !l.repair {
			return fmt.Errorf("index: lock: %w", err)
		}
		return nil
	}
	if err := x.deletedError(); err != nil && !l.repair {
		return err
	}
	return l.cutGarbage()
}

// refresh brings the state up to date with the locked log.
func (l *Locked) refresh() error {
	x := l.x
	if err := x.complete(); err != nil {
		return err
	}
	switch {
	case x.stuck, len(x.damage) > 0:
		// What was damaged may have been replaced since.
		return x.load()
	case l.file.Info == x.log:
		return nil
	case l.file.Header.FileSeq == x.state.pos.FileSeq:
		return x.advanceAlong(&translog.Chain{Head: l.file})
	}
	return x.advance()
}

// damage returns the first problem that is known of the index, or nil.
func (l *Locked) damage() error {
	x := l.x
	switch {
	case len(x.damage) > 0:
		return x.damage[0]
	case x.stuck, x.state.pos.FileSeq != l.file.Header.FileSeq:
		return vfs.At(vfs.Corrupt(0, "the log is at %v, the state at %v", l.file.Header.Start(), x.state.pos), x.logPath(), 0)
	}
	return nil
}

// cutGarbage truncates the log to its last complete transaction. No reader has looked at
// what is behind. If that can not be an unfinished write, the Scanner has called it damage.
func (l *Locked) cutGarbage() error {
	end := int64(l.x.state.pos.Offset)
	if l.file.Info.Size <= end {
		return nil
	}
	if err := l.out.Truncate(end); err != nil {
		return fmt.Errorf("index: lock: cut off an unfinished write: %w", err)
	}
	l.w.warn(l.x.logPath(), fmt.Sprintf("cut off an unfinished write of %d bytes at offset %d", l.file.Info.Size-end, end))
	return nil
}

// State is the content of the index, with everything that was committed. It is
// valid until Unlock, and its slices until the next Commit.
func (l *Locked) State() *State { return l.x.state }

// Index is the index that is locked.
func (l *Locked) Index() *Index { return l.x }

// writable returns why nothing can be written, or nil.
func (l *Locked) writable() error {
	switch {
	case l.lock == nil:
		return ErrUnlocked
	case l.failed != nil:
		return fmt.Errorf("%w: %w", ErrFailed, l.failed)
	}
	return nil
}

// Unlock releases the lock. The Index then goes on from the State. Another Unlock does nothing.
func (l *Locked) Unlock() error {
	if l.lock == nil {
		return nil
	}
	var err error
	if l.failed == nil {
		err = l.note()
	}
	err = errors.Join(err, l.lock.Unlock())
	l.lock, l.out, l.file = nil, nil, nil
	if err != nil {
		return fmt.Errorf("index: unlock: %w", err)
	}
	return nil
}

// note remembers the log as this process leaves it, so that the next Refresh finds nothing new.
func (l *Locked) note() error {
	if l.file == nil { // its header could not be read
		l.x.forget()
		return nil
	}
	if err := l.file.Update(); err != nil {
		l.x.forget()
		return err
	}
	if l.file.Info != l.x.log {
		l.x.noteLog(l.file)
	}
	return nil
}

// forget makes the next Refresh or Lock read everything again.
func (x *Index) forget() { x.stuck, x.log = true, vfs.Info{} }
