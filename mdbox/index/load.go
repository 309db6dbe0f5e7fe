package index

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// errNotFitting: the log does not reach back to where a snapshot stands. It may
// be that another process is just replacing files.
var errNotFitting = errors.New("index: snapshot and log do not fit together")

// load reads everything from the start: snapshot and log.
func (x *Index) load() error {
	for attempt := 1; ; attempt++ {
		err := x.loadOnce(attempt == loadAttempts)
		if !errors.Is(err, errNotFitting) || attempt == loadAttempts {
			return err
		}
	}
}

// loadOnce tries to read everything. Unless it is the last attempt, it returns
// errNotFitting rather than doing without one of the files.
func (x *Index) loadOnce(last bool) error {
	x.damage, x.dropped = nil, 0
	var chain *translog.Chain
	var snapFile vfs.File
	var err, snapErr error
	failed := vfs.Together(x.o.FS, func(fsys vfs.FS) {
		chain, err = translog.OpenChain(fsys, x.logPath(), x.o.MaxFileBytes)
		snapFile, snapErr = fsys.Open(x.snapshotPath())
	})
	if failed != nil {
		return fmt.Errorf("index: open: %w", failed)
	}
	if chain != nil {
		defer chain.Close()
	}
	if snapErr == nil {
		defer snapFile.Close()
	}
	logMissing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !logMissing {
		if err := x.reportError(err); err != nil {
			return fmt.Errorf("index: open log: %w", err)
		}
	}
	snap, err := x.decodeSnapshot(x.snapshotPath(), snapFile, snapErr, x.o.Late && x.state == nil)
	if err != nil {
		return err
	}
	if snap != nil && snap.late != nil {
		defer snap.closed()
	}
	x.onDisk = translog.Pos{}
	if snap != nil {
		x.onDisk = snap.pos
	}
	switch {
	case chain == nil && snap == nil && logMissing && len(x.damage) == 0:
		return fmt.Errorf("index: open: %s: %w", x.logPath(), fs.ErrNotExist)
	case chain == nil:
		return x.loadWithoutLog(snap, logMissing)
	}
	return x.loadWithLog(snap, chain, last)
}

// readSnapshot decodes the snapshot at path. The result is nil if there is none,
// or if it is damaged, which is reported.
func (x *Index) readSnapshot(path string) (*State, error) {
	f, err := x.o.FS.Open(path)
	if err == nil {
		defer f.Close()
	}
	return x.decodeSnapshot(path, f, err, false)
}

// decodeSnapshot is readSnapshot for what opening the file has given. With postpone, State.late is left.
func (x *Index) decodeSnapshot(path string, f vfs.File, err error, postpone bool) (*State, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("index: open snapshot: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("index: open snapshot: %w", err)
	}
	if info.Size > x.o.MaxFileBytes {
		return nil, fmt.Errorf("index: open snapshot: %s: %d bytes, MaxFileBytes is %d: %w", path, info.Size, x.o.MaxFileBytes, vfs.ErrTooLarge)
	}
	s, err := readSnapshot(f, info.Size, x.o.MaxStateBytes, postpone)
	if err != nil {
		if err := x.reportError(vfs.At(err, path, 0)); err != nil {
			return nil, fmt.Errorf("index: read snapshot: %w", err)
		}
		return nil, nil
	}
	for _, w := range s.wrong {
		vfs.At(w, path, 0)
		x.report(w)
	}
	s.wrong = nil
	if s.late != nil {
		s.late.info, s.late.r = info, f
	}
	return s, nil
}

// noteSnapshot remembers which snapshot there is, to notice when it is replaced.
func (x *Index) noteSnapshot() {
	x.snapshot, _ = x.o.FS.Stat(x.snapshotPath()) // the zero Info if it is not there
}

// loadWithoutLog shows the snapshot as it is, since there is no usable log.
func (x *Index) loadWithoutLog(snap *State, logMissing bool) error {
	if logMissing {
		x.report(&vfs.CorruptError{File: x.logPath(), Rule: "the log is missing; changes since the snapshot are not known"})
	}
	if snap == nil {
		return x.firstDamage()
	}
	x.standAt(snap, vfs.Info{})
	return nil
}

// standAt makes a snapshot the state without applying the log.
func (x *Index) standAt(snap *State, log vfs.Info) {
	snap.logModSeq = max(snap.logModSeq, snap.HighestModSeq())
	x.state, x.stuck, x.log = snap, true, log
	if log == (vfs.Info{}) {
		x.log, _ = x.o.FS.Stat(x.logPath())
	}
	x.noteSnapshot()
}

// firstDamage returns the first problem as the error of Open: nothing can be shown.
func (x *Index) firstDamage() error {
	if len(x.damage) == 0 {
		return errNotFitting
	}
	return fmt.Errorf("index: open: %w", x.damage[0])
}

// loadWithLog brings snap, or what can be had instead, up to date with the log.
func (x *Index) loadWithLog(snap *State, chain *translog.Chain, last bool) error {
	head := &chain.Head.Header
	if head.IndexID == 0 {
		x.report(&vfs.CorruptError{File: chain.Head.Path, Offset: 4, Rule: "the log was marked as corrupted (indexid 0)"})
	}
	if snap != nil && head.IndexID != 0 && snap.hdr.IndexID() != head.IndexID {
		if !last {
			return errNotFitting
		}
		x.report(&vfs.CorruptError{File: x.snapshotPath(), Offset: offIndexID,
			Rule: fmt.Sprintf("indexid %d, the log has %d", snap.hdr.IndexID(), head.IndexID)})
		if _, ok := chain.Whole(); ok {
			snap = nil // the log is the truth
		} else {
			x.standAt(snap, chain.Head.Info)
			return nil
		}
	}
	if snap != nil {
		return x.loadFrom(snap, chain, last)
	}
	if segments, ok := chain.Whole(); ok {
		return x.replay(newState(head.IndexID, x.o.MaxStateBytes), chain, segments)
	}
	if !last {
		return errNotFitting
	}
	return x.loadBackup(chain)
}

// loadFrom brings a snapshot up to date. If the log does not reach back to it,
// the snapshot is shown as it is.
func (x *Index) loadFrom(snap *State, chain *translog.Chain, last bool) error {
	segments, ok := chain.Segments(snap.pos)
	if ok && resetsAfter(snap.pos, segments) {
		flags := snap.hdr.Flags() & FlagFsckd
		snap = newState(snap.hdr.IndexID(), x.o.MaxStateBytes)
		snap.hdr.set(offFlags, flags)
		return x.replay(snap, chain, segments)
	}
	if ok {
		err := x.catchUp(snap, chain)
		var corrupt *vfs.CorruptError
		switch {
		case err == nil:
			return x.replay(snap, chain, segments)
		case !errors.As(err, &corrupt):
			return fmt.Errorf("index: read log: %w", err)
		}
		x.report(corrupt)
		ok = false
	}
	if !last {
		return errNotFitting
	}
	if len(x.damage) == 0 {
		x.report(&vfs.CorruptError{File: x.snapshotPath(), Offset: offLogFileSeq,
			Rule: fmt.Sprintf("log position %v, the log begins at %v and ends at %d", snap.pos, oldest(chain), chain.Head.Info.Size)})
	}
	x.standAt(snap, chain.Head.Info)
	return nil
}

func oldest(chain *translog.Chain) translog.Pos {
	if chain.Prev != nil {
		return chain.Prev.Header.Start()
	}
	return chain.Head.Header.Start()
}

// loadBackup uses dovecot.index.backup, the snapshot before the current one,
// when the current one is unusable and the log has all that happened since.
func (x *Index) loadBackup(chain *translog.Chain) error {
	snap, err := x.readSnapshot(x.snapshotPath() + ".backup")
	if err != nil {
		return err
	}
	if len(x.damage) == 0 {
		x.report(&vfs.CorruptError{File: x.snapshotPath(), Rule: fmt.Sprintf("missing, and the log begins only at %v", oldest(chain))})
	}
	if snap == nil || snap.hdr.IndexID() != chain.Head.Header.IndexID {
		return x.firstDamage()
	}
	segments, ok := chain.Segments(snap.pos)
	if !ok {
		return x.firstDamage()
	}
	if err := x.catchUp(snap, chain); err != nil {
		return err
	}
	return x.replay(snap, chain, segments)
}

// catchUp finds out what a snapshot does not say about the log before its
// position: the highest modseq, and the requests since the tail.
func (x *Index) catchUp(snap *State, chain *translog.Chain) error {
	f := chain.File(snap.pos.FileSeq)
	if f == nil { // it stands at the end of a file that is gone
		snap.logModSeq = chain.Head.Header.InitialModSeq
		return nil
	}
	start := f.Header.Start()
	if h, ok := snap.modSeqHeader(); ok && h.Highest != 0 && h.Log.FileSeq == start.FileSeq &&
		h.Log.Offset >= start.Offset && h.Log.Offset <= snap.hdr.LogTail().Offset {
		// The usual case: the modseq extension knows, and there is little or nothing to read.
		if snap.countFrom(f, h.Log, h.Highest) == nil {
			return nil
		}
	}
	return snap.countFrom(f, start, f.Header.InitialModSeq)
}

// countFrom counts modseqs and collects requests from a position in f, where the
// highest modseq was modSeq, to the position of s.
func (s *State) countFrom(f *translog.File, from translog.Pos, modSeq uint64) error {
	s.logModSeq, s.pending = modSeq, nil
	tail := s.hdr.LogTail().Offset
	end, err := f.Scan(from.Offset, int64(s.pos.Offset), func(r *translog.Record) error {
		s.logModSeq = translog.NextModSeq(s.logModSeq, r, f.Header.MinorVersion)
		if !r.Header.External && r.Pos.Offset >= tail {
			s.pending = append(s.pending, r.Pos.Offset)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if end != s.pos {
		return vfs.At(vfs.Corrupt(int64(end.Offset), "no record ends at %d, where the snapshot stands", s.pos.Offset), f.Path, 0)
	}
	return nil
}

// modSeqHeader returns the header of the modseq extension, if there is one.
func (s *State) modSeqHeader() (ModSeqHeader, bool) {
	if s.modSeqExt == nil {
		return ModSeqHeader{}, false
	}
	h, err := DecodeModSeqHeader(s.modSeqExt.Header())
	return h, err == nil
}
