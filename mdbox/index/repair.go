package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

// LockForRepair is Lock for an index that may be damaged or marked as deleted. If it is
// damaged, the Locked refuses everything but Reset.
func (x *Index) LockForRepair(ctx context.Context, w *Writing) (*Locked, error) {
	return x.lock(ctx, w, true)
}

// Repair opens and locks what there is of an index, as LockForRepair does, also if that is
// not enough for Open. The State has what can be read without doubt, which may be nothing;
// Index.Damage tells what is wrong. If nothing is, the index can be used like any other.
//
// A log that is missing is made: it goes on from the snapshot if that can be read, as in
// Dovecot (log.md §9).
func Repair(ctx context.Context, o Options, w *Writing) (*Index, *Locked, error) {
	x := newIndex(o)
	x.state = newState(0, x.o.MaxStateBytes)
	if _, err := x.o.FS.Stat(x.logPath()); errors.Is(err, fs.ErrNotExist) {
		lock, err := x.replaceMissingLog(ctx, w)
		if err != nil {
			return nil, nil, fmt.Errorf("index: repair: %w", err)
		}
		if lock != nil {
			if err := lock.Unlock(); err != nil {
				return nil, nil, fmt.Errorf("index: repair: %w", err)
			}
		}
	}
	x.forget()
	l, err := x.LockForRepair(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	return x, l, nil
}

// replaceMissingLog makes .log and returns it locked, or nil if there is one by now.
func (x *Index) replaceMissingLog(ctx context.Context, w *Writing) (*filelock.Log, error) {
	o, err := newLogDotlock(w)
	if err != nil {
		return nil, err
	}
	o.Timeout += o.Stale // so that one which was left just now is overridden
	dot, err := w.Lock.Dotlock(ctx, x.logPath(), o)
	if err != nil {
		return nil, err
	}
	if _, err := x.o.FS.Stat(x.logPath()); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, dot.Release())
	}
	h := newLogHeader(w)
	snap, err := x.readSnapshot(x.snapshotPath())
	var corrupt *vfs.CorruptError
	switch {
	case err != nil && !errors.As(err, &corrupt):
		return nil, errors.Join(err, dot.Release())
	case snap != nil:
		h.IndexID = snap.hdr.IndexID()
		h.PrevFileSeq, h.PrevFileOffset = snap.pos.FileSeq, snap.pos.Offset
		h.FileSeq = snap.pos.FileSeq + 1
		h.InitialModSeq = snap.HighestModSeq()
	}
	return x.publish(ctx, w, dot, h.Append(nil))
}
