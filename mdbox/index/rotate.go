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

// rotate makes .log the file .log.2, begins a new .log, and replaces the snapshot by
// one that stands at its start (log.md §8.3). If another process seems to be at it,
// nothing happens: the log is as good as before.
//
// A new log has to be on disk, with its name, before anything that is promised to be is
// written to it, or a snapshot points to it; Dovecot leaves that to the file system.
func (l *Locked) rotate() error {
	s := l.x.state
	h := l.nextHeader()
	h.PrevFileSeq, h.PrevFileOffset = s.pos.FileSeq, s.pos.Offset
	if err := l.syncLog(); err != nil {
		return err
	}
	err := l.replaceLog(h.Append(nil), l.keepOldLog)
	if errors.Is(err, filelock.ErrTimeout) {
		return nil
	}
	if err != nil {
		return err
	}
	s.beginFile(l.file)
	s.hdr.set(offLog2RotateTime, uint32(l.w.now().Unix()))
	s.finish()
	return l.writeSnapshot()
}

// nextHeader returns the header of a log that takes the place of the current one, but
// for what is before it.
func (l *Locked) nextHeader() translog.Header {
	s := l.x.state
	h := translog.NewHeader()
	h.IndexID, h.FileSeq = s.hdr.IndexID(), s.pos.FileSeq+1
	h.CreateStamp = uint32(l.w.now().Unix())
	h.InitialModSeq = max(s.HighestModSeq(), s.logModSeq)
	return h
}

// replaceLog makes a log with the content b, header and perhaps records, locks it, and
// puts it in the place of .log. before is called when there is no way back.
func (l *Locked) replaceLog(b []byte, before func() error) error {
	x := l.x
	dot, err := l.newLogLock(func(f vfs.WritableFile) error { return l.fillLog(f, b) })
	if err != nil {
		return err
	}
	if err := before(); err != nil {
		return errors.Join(err, dot.Release())
	}
	if err := l.lock.LockMore(dot.File); err != nil {
		return errors.Join(err, dot.Release())
	}
	f := dot.Take()
	if err := dot.Replace(); err != nil {
		l.failed = err
		return err
	}
	if err := l.enter(f); err != nil {
		l.failed = err
		x.forget()
		return err
	}
	return nil
}

// newLogLock takes the dotlock that becomes the new log, which fill writes, without waiting: deliveries wait
// for the log that is locked. Whoever rotates a log holds it too, so the dotlock can only be of
// somebody who crashed, or who makes a log where there was none and will notice that there is.
func (l *Locked) newLogLock(fill func(vfs.WritableFile) error) (*filelock.Dotlock, error) {
	fsys, path := l.x.o.FS, l.x.logPath()+newLogSuffix
	o, err := newLogDotlock(l.w)
	if err != nil {
		return nil, err
	}
	o.Fill = fill
	if l.repair { // one is often left by what made the repair necessary, or by an earlier repair
		o.Timeout, o.Stale = repairTimeout, repairStale
		return l.w.Lock.Dotlock(context.Background(), l.x.logPath(), o)
	}
	o.Timeout = 0
	info, err := fsys.Stat(path)
	if err == nil && l.w.now().Sub(time.Unix(0, info.Mtime)) > newLogStale {
		if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return l.w.Lock.Dotlock(context.Background(), l.x.logPath(), o)
}

// Times of a repair, for which newLogLock waits: nobody else makes a new log while the old one is locked.
const (
	repairStale   = 10 * time.Second
	repairTimeout = 30 * time.Second
)

// fillLog writes a new log, after a look whether it is still .log that is locked.
func (l *Locked) fillLog(f vfs.WritableFile, b []byte) error {
	mine, err := l.out.Stat()
	if err != nil {
		return err
	}
	there, err := l.x.o.FS.Stat(l.x.logPath())
	if err != nil {
		return err
	}
	if !mine.SameFile(there) || mine.Size != there.Size {
		return fmt.Errorf("%s was replaced while it was locked: another program locks it in another way", l.x.logPath())
	}
	return writeNewLog(f, b, l.w)
}

// keepOldLog gives .log, which is durable, the name .log.2 too.
func (l *Locked) keepOldLog() error {
	fsys, old := l.x.o.FS, l.x.logPath()+".2"
	if err := fsys.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fsys.Link(l.x.logPath(), old)
}

// enter goes on with the log that has just become .log.
func (l *Locked) enter(f vfs.WritableFile) error {
	file, err := translog.NewFile(f, l.x.logPath(), l.x.o.MaxFileBytes)
	if err != nil {
		return err
	}
	l.out, l.file = f, file
	if l.w.Fsync != FsyncNever {
		return l.x.o.FS.SyncDir(l.x.o.Dir)
	}
	return nil
}
