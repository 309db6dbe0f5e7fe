package index

import (
	"errors"
	"fmt"
	"slices"

	"github.com/roostmail/roost/mdbox/translog"
)

// ErrRequests is returned by CommitTail while there are requests to expunge messages.
var ErrRequests = errors.New("index: messages are waiting to be expunged")

// tailRecordSize is the size of the record that CommitTail writes, in bytes.
const tailRecordSize = translog.RecordHeaderSize + 8

// Requests returns the messages that some process has asked to expunge since the
// tail, and that still exist, ascending by UID, each once. GUID is what the
// request says, or zero.
//
// Whoever holds the lock for a sync carries them out, that is, commits an external
// expunge-guid record, before CommitTail (log.md §8.2).
func (l *Locked) Requests() ([]translog.ExpungeGUID, error) {
	if l.lock == nil {
		return nil, ErrUnlocked
	}
	s := l.x.state
	if l.file == nil || len(s.pending) == 0 {
		return nil, nil
	}
	var found []translog.ExpungeGUID
	_, err := l.file.Scan(s.pending[0], int64(s.pos.Offset), func(r *translog.Record) error {
		if r.Header.External || r.Header.Type != translog.TypeExpunge && r.Header.Type != translog.TypeExpungeGUID {
			return nil
		}
		p, err := r.Decode(0)
		if err != nil {
			return err
		}
		found = s.requested(found, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("index: requests: %w", err)
	}
	slices.SortStableFunc(found, func(a, b translog.ExpungeGUID) int { return int(int64(a.UID) - int64(b.UID)) })
	return slices.CompactFunc(found, func(a, b translog.ExpungeGUID) bool { return a.UID == b.UID }), nil
}

// requested appends the existing messages that the payload of a request names.
func (s *State) requested(to []translog.ExpungeGUID, p translog.Payload) []translog.ExpungeGUID {
	switch p := p.(type) {
	case translog.Expunges:
		for _, r := range p {
			from, end := s.FindRange(r.First, r.Last)
			for _, uid := range s.uids[from:end] {
				to = append(to, translog.ExpungeGUID{UID: uid})
			}
		}
	case translog.ExpungeGUIDs:
		for _, e := range p {
			if _, ok := s.Find(e.UID); ok {
				to = append(to, e)
			}
		}
	}
	return to
}

// TailIsHead reports whether everything in the log was carried out: no process has
// stopped between a change that is not external and the tail record after it.
func (l *Locked) TailIsHead() bool { return l.x.state.Tail() == l.x.state.pos }

// CommitTail writes that everything in the log was carried out: the record that ends a
// sync (log.md §5.6), which covers all before its own end. There is nothing to write if
// nothing is behind the tail. It fails with ErrRequests if something was not carried out.
//
// Records behind the tail that are all external need no tail. One is written for them
// nevertheless: a Dovecot that carries out expunges in its cache starts from the tail.
func (l *Locked) CommitTail() error {
	if err := l.writable(); err != nil {
		return err
	}
	s := l.x.state
	if s.hdr.LogTail().Offset == s.pos.Offset {
		return nil
	}
	requests, err := l.Requests()
	if err != nil {
		return err
	}
	if len(requests) > 0 {
		return fmt.Errorf("%w: %d in %s", ErrRequests, len(requests), l.x.snapshotPath())
	}
	return l.Commit(false, translog.NewRecord{External: true, Payload: headerUpdate(offLogTailOffset, s.pos.Offset+tailRecordSize)})
}

// Unsynced calls f with the payload of each record behind the tail that is not external and has one of the types: the
// changes that some process has begun and not finished.
func (l *Locked) Unsynced(f func(translog.Payload), types ...translog.Type) error {
	if l.lock == nil {
		return ErrUnlocked
	}
	s := l.x.state
	if l.file == nil || len(s.pending) == 0 {
		return nil
	}
	_, err := l.file.Scan(s.pending[0], int64(s.pos.Offset), func(r *translog.Record) error {
		if r.Header.External || !slices.Contains(types, r.Header.Type) {
			return nil
		}
		p, err := r.Decode(0)
		if err == nil {
			f(p)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("index: changes behind the tail: %w", err)
	}
	return nil
}
