package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

const (
	// newLogSuffix is of the dotlock that becomes the new log.
	newLogSuffix  = ".newlock"
	newLogTimeout = 180 * time.Second
	newLogStale   = 180 * time.Second

	// firstFileSeq is the file_seq of a new index's log: one more than that of an empty index.
	firstFileSeq = 2
)

// Create makes the log of a new index in o.Dir, which must exist, and returns the
// index locked (log.md §8.4). If the index is there already, or another process is
// faster, it is that one's: the caller looks at the State to see what is left to do,
// for a mailbox if UIDValidity is 0.
//
// Errors are those of Open and Lock. A snapshot without a log is damage.
func Create(ctx context.Context, o Options, w *Writing) (*Index, *Locked, error) {
	return CreateAfter(ctx, o, w, Former{}, nil)
}

// Former says which index had its files at the place of a new one. The zero value is none.
type Former struct{ IndexID, FileSeq, NextUID uint32 }

// Former returns what an index that takes the place of the one with this state has to know.
func (s *State) Former() Former { return Former{s.hdr.IndexID(), s.pos.FileSeq, s.NextUID()} }

// CreateAfter is Create for an index at a place where another one has been, and some process may still have that open. If the new
// log has the indexid of the old one and a higher file_seq, such a process takes it for a reset and begins anew. Otherwise a
// Dovecot takes it for a damaged log ("indexid changed", "duplicate transaction log sequence"), and marks the new index as corrupted.
// The caller should have next_uid begin at former.NextUID, so that no change such a process is about to make hits a new message.
//
// If the log is to be made, initial is called and returns its first transaction: nobody sees the log without it. Extensions in it are
// introduced by name (NewIntro). initial may be nil.
func CreateAfter(ctx context.Context, o Options, w *Writing, former Former, initial func() ([]translog.NewRecord, error)) (*Index, *Locked, error) {
	x := newIndex(o)
	o = x.o
	for {
		_, err := o.FS.Stat(x.logPath())
		if errors.Is(err, fs.ErrNotExist) {
			if lock, err := x.createLog(ctx, w, former, initial); lock != nil || err != nil {
				return openCreated(o, w, lock, err)
			}
		} else if err != nil {
			return nil, nil, fmt.Errorf("index: create: %w", err)
		}
		switch x, l, err := openLocked(ctx, o, w); {
		case err == nil:
			return x, l, nil
		case !errors.Is(err, fs.ErrNotExist), ctx.Err() != nil:
			return nil, nil, err
		} // it was deleted since
	}
}

func openLocked(ctx context.Context, o Options, w *Writing) (*Index, *Locked, error) {
	x, err := Open(o)
	if err != nil {
		return nil, nil, err
	}
	l, err := x.Lock(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	return x, l, nil
}

// openCreated opens the index whose log createLog has made.
func openCreated(o Options, w *Writing, lock *filelock.Log, err error) (*Index, *Locked, error) {
	if err != nil {
		return nil, nil, fmt.Errorf("index: create: %w", err)
	}
	x, err := Open(o)
	if err != nil {
		return nil, nil, errors.Join(err, lock.Unlock())
	}
	l := &Locked{x: x, w: w, lock: lock, out: lock.File}
	if err := l.begin(); err != nil {
		return nil, nil, errors.Join(err, l.Unlock())
	}
	return x, l, nil
}

// createLog makes .log and returns it locked, or nil if there is one by the time that it
// could be made.
func (x *Index) createLog(ctx context.Context, w *Writing, former Former, initial func() ([]translog.NewRecord, error)) (*filelock.Log, error) {
	o, err := newLogDotlock(w)
	if err != nil {
		return nil, err
	}
	dot, err := w.Lock.Dotlock(ctx, x.logPath(), o)
	if err != nil {
		return nil, err
	}
	if _, err := x.o.FS.Stat(x.logPath()); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, dot.Release())
	}
	if _, err := x.o.FS.Stat(x.snapshotPath()); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = &vfs.CorruptError{File: x.logPath(), Rule: "the log is missing, and there is a snapshot"}
		}
		return nil, errors.Join(err, dot.Release())
	}
	h := newLogHeader(w)
	if former.IndexID != 0 {
		h.IndexID, h.FileSeq = former.IndexID, max(firstFileSeq, former.FileSeq+1)
	}
	b := h.Append(nil)
	if initial != nil {
		records, err := initial()
		if err == nil {
			b, err = translog.AppendTransaction(b, records...)
		}
		if err != nil {
			return nil, errors.Join(err, dot.Release())
		}
	}
	return x.publish(ctx, w, dot, b)
}

// newLogHeader returns the header of the log of a new index.
func newLogHeader(w *Writing) translog.Header {
	h := translog.NewHeader()
	stamp := uint32(w.now().Unix())
	h.IndexID, h.CreateStamp, h.FileSeq, h.InitialModSeq = stamp, stamp, firstFileSeq, smallestValidModSeq
	return h
}

// publish makes the dotlock a log with a content, and returns it locked.
func (x *Index) publish(ctx context.Context, w *Writing, dot *filelock.Dotlock, content []byte) (*filelock.Log, error) {
	if err := writeNewLog(dot.File, content, w); err != nil {
		return nil, errors.Join(err, dot.Release())
	}
	lock, err := w.Lock.Adopt(ctx, x.logPath(), dot.File)
	if err != nil {
		return nil, errors.Join(err, dot.Release())
	}
	dot.Take()
	if err := dot.Replace(); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	if w.Fsync != FsyncNever {
		if err := x.o.FS.SyncDir(x.o.Dir); err != nil {
			return nil, errors.Join(err, lock.Unlock())
		}
	}
	return lock, nil
}

func newLogDotlock(w *Writing) (filelock.DotlockOptions, error) {
	perm, err := w.perm()
	return filelock.DotlockOptions{Timeout: newLogTimeout, Stale: newLogStale, Suffix: newLogSuffix, Perm: perm}, err
}

// writeNewLog writes the content of a new log and makes it durable: names must not lead
// to a log without a header, whatever is lost.
func writeNewLog(f vfs.WritableFile, b []byte, w *Writing) error {
	if err := writeAll(f, b); err != nil {
		return err
	}
	if w.Fsync == FsyncNever {
		return nil
	}
	return f.Sync()
}
