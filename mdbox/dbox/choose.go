package dbox

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// maxCandidates is how many files of the map are considered for a message before a new one is made.
const maxCandidates = 10

// find returns the index of the target for a message of size bytes: a file of this transaction, else one that the map
// refers to; -1 if there is none and a new one is needed.
//
// Source: dovecot src/lib-storage/index/dbox-multi/mdbox-map.c, mdbox_map_append_next.
func (a *Appender) find(size uint64) (int, error) {
	rotate := a.files.cfg.RotateSize
	for i := len(a.targets) - 1; i >= a.full; i-- {
		t := a.targets[i]
		if size <= rotate && t.end <= rotate-size {
			return i, nil
		}
		if err := t.retire(); err != nil {
			return 0, fmt.Errorf("dbox: %w", err)
		}
	}
	a.full = len(a.targets)
	t := a.existing(size)
	if t == nil {
		return -1, nil
	}
	a.targets = append(a.targets, t)
	return len(a.targets) - 1, nil
}

// existing returns a locked file of the map that has room for size bytes, or nil.
func (a *Appender) existing(size uint64) *target {
	cfg := &a.files.cfg
	if size >= cfg.RotateSize {
		return nil
	}
	oldest := rotateStart(cfg.Now(), cfg.RotateInterval)
	considered := 0
	for c := range a.candidates {
		if considered++; considered > maxCandidates {
			break
		}
		if c.End == 0 || c.End >= cfg.RotateSize-size || a.uses(c.File) {
			continue
		}
		if t, old := a.try(c, size, oldest); t != nil || old {
			return t
		}
	}
	return nil
}

func (a *Appender) uses(id FileID) bool {
	for _, t := range a.targets {
		if t.id == id {
			return true
		}
	}
	return false
}

// try returns the file of a candidate as a target, or nil if it can not be used. old says that it was made before the
// UNIX time oldest: all further candidates are as old.
func (a *Appender) try(c Candidate, size uint64, oldest int64) (t *target, old bool) {
	l, err := a.open(c.File)
	if err != nil {
		return nil, a.skip(c, err)
	}
	if l.header.Created < oldest {
		l.f.Close()
		return nil, true
	}
	if err := l.lock(); err != nil {
		return nil, a.skip(c, err)
	}
	if l.appendable() && l.size <= a.files.cfg.RotateSize-size {
		if err = l.checkFrom(c.End); err == nil {
			return &target{f: l.f, path: l.f.Name(), id: c.File, old: l.size, end: l.size, synced: true}, false
		}
	}
	return nil, a.skip(c, errors.Join(err, l.Unlock()))
}

// skip reports why a candidate is not used, once, unless it is usual: it is gone or in the other storage, or in use. What
// is wrong with one file must not keep messages from being saved to another.
func (a *Appender) skip(c Candidate, err error) (old bool) {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrBusy) {
		return false
	}
	a.files.mu.Lock()
	again := a.files.skipped[c]
	if !again {
		if a.files.skipped == nil || len(a.files.skipped) >= maxSkipped {
			a.files.skipped = make(map[Candidate]bool)
		}
		a.files.skipped[c] = true
	}
	a.files.mu.Unlock()
	if !again {
		a.files.cfg.Report(fmt.Errorf("dbox: messages are saved elsewhere: %w", err))
	}
	return false
}

// maxSkipped is how many skipped candidates are remembered, so as not to be reported again.
const maxSkipped = 100

// open opens a file in the storage that the Appender is for.
func (a *Appender) open(id FileID) (*Locked, error) {
	if !a.alt {
		return a.files.openToWrite(a.files.Path(id), id)
	}
	// A file that is in primary storage is not appended to in ALT storage, whatever is there.
	if _, err := a.files.cfg.FS.Stat(a.files.Path(id)); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, fs.ErrNotExist)
	}
	return a.files.openToWrite(a.files.altPath(id), id)
}

// create returns a new file. Nobody knows it, so it needs no lock.
func (a *Appender) create() (*target, error) {
	f, first, err := a.files.createTemp(a.dir())
	if err != nil {
		return nil, err
	}
	t := &target{f: f, path: f.Name(), isNew: true, old: first, end: first}
	if a.files.cfg.Preallocate {
		_ = f.Allocate(int64(a.files.cfg.RotateSize)) // it only saves time later; a full disk is found by the write
	}
	return t, nil
}

// rotateStart returns the UNIX time before which files are too old to be appended to; 0 = no file is.
// It lies interval before the end of the current day (in the time zone of now), hour or minute, the largest of them that fits in the
// interval, or that of the current second: with 24 h it is the last midnight.
//
// Source: dovecot src/lib-storage/index/dbox-multi/mdbox-map.c, day_begin_stamp.
func rotateStart(now time.Time, interval time.Duration) int64 {
	if interval <= 0 {
		return 0
	}
	unit, start := time.Second, now
	if interval >= time.Minute {
		unit, start = time.Minute, start.Add(-time.Duration(now.Second())*time.Second)
	}
	if interval >= time.Hour {
		unit, start = time.Hour, start.Add(-time.Duration(now.Minute())*time.Minute)
	}
	if interval >= 24*time.Hour {
		year, month, day := now.Date()
		unit, start = 24*time.Hour, time.Date(year, month, day, 0, 0, 0, 0, now.Location())
	}
	return start.Unix() - int64((interval-unit)/time.Second)
}
