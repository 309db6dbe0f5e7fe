package index

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/translog"
)

// Reset makes the index one in which nothing has happened but records: the end of a
// rebuild. They become the first transaction of a new log that starts the index from
// nothing, and the snapshot is removed; .log.2 and .backup stay (log.md §8.3). Open
// indexes of all processes then read everything again.
//
// The indexid stays. The highest modseq goes on from that of the index, or from modSeq
// if that is higher, since clients must not meet one again: so all messages get new ones.
//
// It is allowed on an index that is damaged (LockForRepair), and durable before it
// replaces anything, unless Writing.Fsync says never.
func (l *Locked) Reset(modSeq uint64, records ...translog.NewRecord) error {
	if l.lock == nil {
		return ErrUnlocked
	}
	if err := l.reset(modSeq, records); err != nil {
		return fmt.Errorf("index: reset: %w", err)
	}
	return nil
}

func (l *Locked) reset(modSeq uint64, records []translog.NewRecord) error {
	x := l.x
	h := l.nextHeader()
	h.InitialModSeq = max(h.InitialModSeq, modSeq)
	if l.file != nil {
		h.InitialModSeq = max(h.InitialModSeq, l.file.Header.InitialModSeq)
		h.FileSeq = max(h.FileSeq, l.file.Header.FileSeq+1)
	}
	at, err := x.snapshotPos()
	if err != nil {
		return err
	}
	h.FileSeq = max(h.FileSeq, at.FileSeq+1) // until it is removed, the snapshot must look older
	if old, err := translog.OpenFile(x.o.FS, x.logPath()+".2", x.o.MaxFileBytes); err == nil {
		h.FileSeq = max(h.FileSeq, old.Header.FileSeq+1)
		if err := old.Close(); err != nil {
			return err
		}
	}
	if h.IndexID == 0 {
		h.IndexID = h.CreateStamp
	}
	b, err := translog.AppendTransaction(h.Append(nil), records...)
	if err != nil {
		return err
	}
	s, err := replayed(b, &h, x.o.MaxStateBytes)
	if err != nil {
		return err
	}
	if err := l.replaceLog(b, func() error { return nil }); err != nil {
		return err
	}
	l.failed = nil
	x.state, x.stuck, x.damage, x.dropped = s, false, nil, 0
	x.onDisk, x.replayed = translog.Pos{}, 0
	if err := x.o.FS.Remove(x.snapshotPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // it is of before the reset: readers know
	}
	return nil
}

// replayed returns the state after the content b of a log with the header h, which starts
// an index from nothing.
func replayed(b []byte, h *translog.Header, maxBytes int64) (*State, error) {
	s := newState(h.IndexID, maxBytes)
	s.pos, s.logModSeq = h.Start(), h.InitialModSeq
	if len(b) > int(h.HdrSize) {
		if err := s.applyNew(b[h.HdrSize:], &translog.File{Header: *h}); err != nil {
			return nil, err
		}
	}
	s.finish()
	return s, nil
}
