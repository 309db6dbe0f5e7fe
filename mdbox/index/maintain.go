package index

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/roostmail/roost/mdbox/translog"
)

// Maintain does what is due at the end of a sync: it rotates the log, replaces the
// snapshot, and removes an old .log.2, by the thresholds of Writing. Usually nothing is due.
//
// The log is rotated only when everything in it was carried out: CommitTail comes
// before. If something fails, the index is as it was, or in a state that any process
// goes on from; after a failed rotation the Locked refuses further writes.
func (l *Locked) Maintain() error {
	if err := l.writable(); err != nil {
		return err
	}
	if l.x.state.deleted {
		return nil
	}
	err := l.maintain()
	if err != nil {
		return fmt.Errorf("index: maintain: %w", err)
	}
	return nil
}

func (l *Locked) maintain() error {
	if err := l.removeOldLog(); err != nil {
		return err
	}
	if l.wantRotate() && l.TailIsHead() {
		return l.rotate()
	}
	want, err := l.wantSnapshot()
	if err != nil || !want {
		return err
	}
	return l.writeSnapshot()
}

// wantRotate: dovecot src/lib-index/mail-transaction-log.c, LOG_WANT_ROTATE.
func (l *Locked) wantRotate() bool {
	size := int64(l.x.state.pos.Offset)
	if size > orDefault(l.w.RotateMaxSize, DefaultRotateMaxSize) || l.file.Header.Old() {
		return true
	}
	return size > orDefault(l.w.RotateMinSize, DefaultRotateMinSize) &&
		l.w.now().Sub(time.Unix(int64(l.file.Header.CreateStamp), 0)) > orDefault(l.w.RotateMinAge, DefaultRotateMinAge)
}

// wantSnapshot: dovecot src/lib-index/mail-index-sync.c, mail_index_sync_want_index_write.
func (l *Locked) wantSnapshot() (bool, error) {
	if !l.behind(l.x.onDisk) {
		return false, nil // the usual case, in which no file is read
	}
	// Another process may have replaced it since.
	at, err := l.x.snapshotPos()
	if err != nil {
		return false, err
	}
	l.x.onDisk = at
	return l.behind(at), nil
}

// behind reports whether a snapshot at a position is too far behind the tail.
func (l *Locked) behind(at translog.Pos) bool {
	tail := l.x.state.Tail()
	if at.FileSeq != 0 && at.FileSeq != tail.FileSeq {
		return true // whoever rotated the log should have written one
	}
	n := int64(tail.Offset) - int64(at.Offset)
	return n > orDefault(l.w.RewriteMaxLog, DefaultRewriteMaxLog) ||
		n > orDefault(l.w.RewriteMinLog, DefaultRewriteMinLog) && l.x.replayed > orDefault(l.w.RewriteMinLog, DefaultRewriteMinLog)
}

// snapshotPos returns the log position of the snapshot on disk; the zero Pos if there
// is none, or none that can be read.
func (x *Index) snapshotPos() (translog.Pos, error) {
	f, err := x.o.FS.Open(x.snapshotPath())
	if errors.Is(err, fs.ErrNotExist) {
		return translog.Pos{}, nil
	}
	if err != nil {
		return translog.Pos{}, err
	}
	defer f.Close()
	b, err := readAt(f, 0, HeaderSize)
	if err != nil || len(b) < HeaderSize || b[0] != majorVersion {
		return translog.Pos{}, err
	}
	return Header{b}.LogHead(), nil
}

// noLog2 is the log2_rotate_time of an index without a .log.2.
const noLog2 = 1<<32 - 1

// removeOldLog removes .log.2 when it is older than Log2MaxAge, and notes that in the header
// (dovecot src/lib-index/mail-transaction-log.c, mail_transaction_log_2_unlink_old).
func (l *Locked) removeOldLog() error {
	x := l.x
	rotated := x.state.hdr.Log2RotateTime()
	was := rotated
	old := x.logPath() + ".2"
	if rotated == 0 {
		switch info, err := x.o.FS.Stat(old); {
		case err == nil:
			rotated = uint32(info.Mtime / int64(time.Second))
		case errors.Is(err, fs.ErrNotExist):
			rotated = noLog2
		default:
			return err
		}
	}
	if rotated != noLog2 && l.w.now().Sub(time.Unix(int64(rotated), 0)) >= orDefault(l.w.Log2MaxAge, DefaultLog2MaxAge) {
		if err := l.leaveOldLog(); err != nil {
			return err
		}
		if err := x.o.FS.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		rotated = noLog2
	}
	if rotated == was {
		return nil
	}
	return l.Commit(false, translog.NewRecord{External: true, Payload: Log2RotateTimeUpdate(rotated)})
}

// leaveOldLog makes sure that nobody needs .log.2 to come from the snapshot to the state.
func (l *Locked) leaveOldLog() error {
	at, err := l.x.snapshotPos()
	h := &l.file.Header
	switch {
	case err != nil:
		return err
	case at.FileSeq == h.FileSeq, h.Resets(), at == translog.Pos{FileSeq: h.PrevFileSeq, Offset: h.PrevFileOffset}:
		return nil
	}
	return l.writeSnapshot()
}
