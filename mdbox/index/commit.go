package index

import (
	"errors"
	"fmt"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Commit appends records as one transaction to the log, and applies them to the State.
//
// A durable transaction is synced to disk (fdatasync), unless Writing.Fsync says
// never. With FsyncAlways every transaction is. In Dovecot, transactions of a mailbox
// with appends or external expunges are durable, and all of the map; changes of flags and
// keywords, requests and tails are not.
//
// Records that would not fit the state (a UID below next_uid, an unknown ext_id)
// are refused before anything is written. If the write fails or is short, what it has
// written is cut off. In either case nothing happened, but the Locked refuses
// further writes, as it does after a failed sync: the transaction is then in the
// log, and will only be lost with the machine.
func (l *Locked) Commit(durable bool, records ...translog.NewRecord) error {
	return l.commit(durable, false, records)
}

// CommitDone is Commit together with CommitTail: a process that is killed leaves both or neither. It fails with ErrRequests if
// something behind the tail was not carried out.
func (l *Locked) CommitDone(durable bool, records ...translog.NewRecord) error {
	requests, err := l.Requests()
	if err == nil && len(requests) > 0 {
		err = fmt.Errorf("%w: %d in %s", ErrRequests, len(requests), l.x.snapshotPath())
	}
	if err != nil {
		return err
	}
	return l.commit(durable, true, records)
}

func (l *Locked) commit(durable, done bool, records []translog.NewRecord) error {
	if err := l.writable(); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	if _, undelete := records[0].Payload.(translog.IndexUndeleted); l.x.state.deleted && !undelete {
		return l.x.deletedError()
	}
	b, err := translog.AppendTransaction(nil, records...)
	if err == nil && done { // behind the transaction, outside of its boundary
		end := l.x.state.pos.Offset + uint32(len(b)) + tailRecordSize
		b, err = translog.AppendTransaction(b, translog.NewRecord{External: true, Payload: headerUpdate(offLogTailOffset, end)})
	}
	if err == nil {
		err = l.append(b, durable)
	}
	if err != nil {
		l.failed = err
		return fmt.Errorf("index: commit: %w", err)
	}
	return nil
}

// append applies a transaction to the state, and then writes it: applying is the
// check that it fits, and must come to the same result in all other processes.
func (l *Locked) append(b []byte, durable bool) error {
	x := l.x
	pos := x.state.pos
	if int64(len(b)) > translog.MaxOffset-int64(pos.Offset) {
		return fmt.Errorf("%s: a transaction of %d bytes at %d, logs end at %d", x.logPath(), len(b), pos.Offset, translog.MaxOffset)
	}
	if err := x.state.applyNew(b, l.file); err != nil {
		return errors.Join(err, l.reload())
	}
	if n, err := l.out.Write(b); err != nil || n < len(b) {
		return errors.Join(shortWrite(err), l.takeBack(int64(pos.Offset), n), l.reload())
	}
	x.state.own.add(pos, b)
	if l.w.Fsync == FsyncAlways || durable && l.w.Fsync != FsyncNever {
		return l.out.Sync()
	}
	return nil
}

func shortWrite(err error) error {
	if err == nil {
		return errors.New("short write")
	}
	return err
}

// takeBack cuts off the n bytes that a failed write has left at the end of the log.
func (l *Locked) takeBack(end int64, n int) error {
	if n <= 0 {
		return nil
	}
	return l.out.Truncate(end)
}

// reload puts the state back to what the log says.
func (l *Locked) reload() error {
	l.x.forget()
	return l.x.load()
}

// applyNew applies a transaction that is to be written at the state's position in file. It
// fails at the first record that does not fit, and leaves a state that is of no use.
func (s *State) applyNew(b []byte, file *translog.File) error {
	var wrong *vfs.CorruptError
	a := &applier{s: s, file: file, report: func(e *vfs.CorruptError) {
		if wrong == nil {
			wrong = e
		}
	}}
	s.intro = introduced{} // who reads from here on knows no intro of before
	ahead := s.modSeqAhead()
	end := s.pos.Offset + uint32(len(b))
	sc := translog.NewScanner(b, s.pos)
	for {
		r, ok := sc.Next()
		if !ok {
			break
		}
		if err := a.apply(&r); err != nil {
			return refused(err)
		}
		if wrong != nil {
			return refused(wrong)
		}
	}
	if err := sc.Err(); err != nil {
		return refused(err)
	}
	if s.pos.Offset != end {
		return fmt.Errorf("the records end at %d, not at %d", s.pos.Offset, end)
	}
	s.finish()
	switch {
	case s.modSeqExt != nil && !s.modSeqHdr:
		return errors.New("refused: the modseq extension must get its header when it is introduced")
	case s.modSeqAhead() && !ahead:
		return fmt.Errorf("refused: highest_modseq beyond %d, that of the log", s.logModSeq)
	}
	if err := s.hdr.check(); err != nil {
		return refused(err)
	}
	return nil
}

// modSeqAhead reports whether the modseq extension has a highest modseq beyond that of the log.
func (s *State) modSeqAhead() bool {
	h, ok := s.modSeqHeader()
	return ok && h.Highest > s.logModSeq
}

// refused makes an error of what is wrong with a transaction. It is not damage of the
// index, so no *vfs.CorruptError must be in its chain.
func refused(err error) error { return fmt.Errorf("refused: %s", rule(err)) }
