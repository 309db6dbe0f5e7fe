package index

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// applier applies the records of one log file to a State.
//
// A record of sound structure whose content does not fit the state (a UID that
// was never used, an extension that does not exist) is applied as far as it
// goes and reported, which is what Dovecot does before it repairs the index.
// A record of broken structure is an error.
type applier struct {
	s      *State
	file   *translog.File
	report func(*vfs.CorruptError)
	r      *translog.Record // the one being applied
}

// apply applies r, the record at s.pos.
func (a *applier) apply(r *translog.Record) error {
	a.r = r
	s := a.s
	if err := s.readLateFor(r.Header.Type); err != nil {
		return err
	}
	s.logModSeq = translog.NextModSeq(s.logModSeq, r, a.file.Header.MinorVersion)
	if r.Header.Type.Known() {
		p, err := r.Decode(s.intro.recordSize)
		if err != nil {
			if r.Header.Type != translog.TypeExtRecUpdate {
				return err
			}
			// Its structure depends on what was introduced, not only on the record.
			a.problem("%s", rule(err))
		} else if err := a.payload(p); err != nil {
			return err
		}
	} else {
		a.problem("unknown record type %#x", uint32(r.Header.Type))
	}
	if !r.Header.External {
		s.pending = append(s.pending, r.Pos.Offset)
	}
	s.pos = r.End()
	return nil
}

func rule(err error) string {
	var c *vfs.CorruptError
	if errors.As(err, &c) {
		return c.Rule
	}
	return err.Error()
}

// problem reports that the content of the record does not fit the state.
func (a *applier) problem(format string, args ...any) {
	a.report(&vfs.CorruptError{File: a.file.Path, Offset: int64(a.r.Pos.Offset), Rule: fmt.Sprintf(format, args...)})
}

func (a *applier) payload(p translog.Payload) error {
	switch p := p.(type) {
	case translog.Appends:
		a.appends(p)
	case translog.Expunges:
		a.expunges(p)
	case translog.ExpungeGUIDs:
		a.expungeGUIDs(p)
	case translog.FlagUpdates:
		for _, u := range p {
			a.flagUpdate(u)
		}
	case translog.HeaderUpdates:
		return a.headerUpdates(p)
	case translog.ExtIntros:
		for _, i := range p {
			a.extIntro(i)
		}
	case translog.ExtReset:
		a.extReset(p)
	case translog.ExtHdrUpdates:
		return a.extHdrUpdates(p)
	case translog.ExtHdrUpdates32:
		return a.extHdrUpdates(p)
	case translog.ExtRecUpdates:
		a.extRecUpdates(p)
	case translog.ExtAtomicIncs:
		a.extAtomicIncs(p)
	case translog.KeywordUpdate:
		a.keywordUpdate(p)
	case translog.KeywordReset:
		a.keywordReset(p)
	case translog.ModSeqUpdates:
		a.modSeqUpdates(p)
	case translog.AttributeUpdates:
		a.raiseHighest(a.s.logModSeq)
	case translog.IndexDeleted:
		// Without the external flag it is a request, which the next syncing process carries out.
		a.s.deleted = a.s.deleted || a.r.Header.External
	case translog.IndexUndeleted:
		a.s.deleted = false
	case translog.Boundary:
	}
	return nil
}

func (a *applier) appends(as translog.Appends) {
	s := a.s
	if err := s.checkMemory(len(s.uids)+len(as), 0, 0); err != nil {
		a.problem("append: %s", rule(err))
		return
	}
	for _, m := range as {
		if m.UID < s.NextUID() || m.UID == 1<<32-1 {
			a.problem("append: UID %d, next_uid is %d", m.UID, s.NextUID())
			return
		}
		s.uids = append(s.uids, m.UID)
		s.flags = append(s.flags, m.Flags)
		for _, e := range s.exts {
			e.column.b = appendZeros(e.column.b, int(e.RecordSize))
		}
		a.touchModSeq(len(s.uids)-1, len(s.uids))
		s.hdr.set(offMessagesCount, s.hdr.Messages()+1)
		s.hdr.set(offNextUID, m.UID+1)
		a.flagsChanged(m.UID, 0, m.Flags)
		a.lowerWaters(m.UID, m.Flags)
	}
}

// expunges applies an expunge record, if it is not only a request.
func (a *applier) expunges(es translog.Expunges) {
	if !a.r.Header.External {
		return
	}
	found := false
	for _, e := range es {
		from, to := a.s.FindRange(e.First, e.Last)
		for i := from; i < to; i++ {
			found = a.expunge(i) || found
		}
	}
	if found {
		a.raiseHighest(a.s.logModSeq)
	}
}

func (a *applier) expungeGUIDs(es translog.ExpungeGUIDs) {
	if !a.r.Header.External {
		return
	}
	found := false
	for _, e := range es {
		if i, ok := a.s.Find(e.UID); ok {
			found = a.expunge(i) || found
		}
	}
	if found {
		a.raiseHighest(a.s.logModSeq)
	}
}

// expunge dooms message i. It returns false if that has happened before.
func (a *applier) expunge(i int) bool {
	s := a.s
	if s.doomed.has(i) {
		return false
	}
	s.doomed.add(i)
	a.flagsChanged(s.uids[i], s.flags[i], 0)
	s.hdr.set(offMessagesCount, s.hdr.Messages()-1)
	return true
}

func (a *applier) flagUpdate(u translog.FlagUpdate) {
	s := a.s
	from, to := s.FindRange(u.UIDs.First, u.UIDs.Last)
	if !u.Internal() {
		a.touchModSeq(from, to)
	}
	if u.Add&FlagDirty != 0 && from < to {
		s.hdr.set(offFlags, s.hdr.Flags()|FlagHaveDirty)
	}
	counted := (u.Add|u.Remove)&(FlagSeen|FlagDeleted) != 0
	for i := from; i < to; i++ {
		if s.doomed.has(i) {
			continue
		}
		old := s.flags[i]
		s.flags[i] = old&^u.Remove | u.Add
		if counted {
			a.lowerWaters(s.uids[i], s.flags[i])
			a.flagsChanged(s.uids[i], old, s.flags[i])
		}
	}
}

// lowerWaters lowers the bounds for unseen and deleted messages to a message
// with the given flags.
func (a *applier) lowerWaters(uid uint32, flags uint8) {
	h := a.s.hdr
	if flags&FlagSeen == 0 && uid < h.FirstUnseenLowwater() {
		h.set(offUnseenLowwater, uid)
	}
	if flags&FlagDeleted != 0 && uid < h.FirstDeletedLowwater() {
		h.set(offDeletedLowwater, uid)
	}
}

// flagsChanged updates the counters of the header for one message whose flags
// were old and are now. A counter that was wrong before is reported and stays in 0..messages.
func (a *applier) flagsChanged(uid uint32, old, now uint8) {
	h := a.s.hdr
	switch changed := old ^ now; {
	case changed&FlagSeen == 0:
	case now&FlagSeen == 0 && h.Seen() == 0, now&FlagSeen != 0 && h.Seen() >= h.Messages():
		a.problem("seen_messages_count %d of %d messages is wrong at UID %d", h.Seen(), h.Messages(), uid)
	case now&FlagSeen == 0:
		h.set(offSeenCount, h.Seen()-1)
	default:
		h.set(offSeenCount, h.Seen()+1)
		if h.Seen() == h.Messages() {
			h.set(offUnseenLowwater, h.NextUID())
		}
	}
	switch changed := old ^ now; {
	case changed&FlagDeleted == 0:
	case now&FlagDeleted == 0 && h.Deleted() == 0, now&FlagDeleted != 0 && h.Deleted() >= h.Messages():
		a.problem("deleted_messages_count %d of %d messages is wrong at UID %d", h.Deleted(), h.Messages(), uid)
	case now&FlagDeleted != 0:
		h.set(offDeletedCount, h.Deleted()+1)
	default:
		h.set(offDeletedCount, h.Deleted()-1)
		if h.Deleted() == 0 {
			h.set(offDeletedLowwater, h.NextUID())
		}
	}
}

// derived are the parts [from, to) of the base header that follow from the rest
// of the index, so that no update may change them.
var derived = [][2]int{{0, offFlags}, {offMessagesCount, offFirstRecentUID}, {offLogFileSeq, offLogTailOffset}, {offLogHeadOffset, offLog2RotateTime}}

// headerUpdates writes into the base header, but for what is derived. The tail is
// handled by itself, and next_uid never shrinks.
func (a *applier) headerUpdates(us translog.HeaderUpdates) error {
	s := a.s
	for _, u := range us {
		size := uint32(len(s.hdr.b))
		if u.Offset > size || uint64(len(u.Data)) > uint64(size-u.Offset) {
			a.problem("header-update: %d bytes at %d, the header has %d", len(u.Data), u.Offset, size)
			return nil
		}
		next := s.hdr.clone()
		copy(next.b[u.Offset:], u.Data)
		for _, d := range derived {
			if !bytes.Equal(next.b[d[0]:d[1]], s.hdr.b[d[0]:d[1]]) {
				a.problem("header-update: %d bytes at %d change what is derived from the records", len(u.Data), u.Offset)
				copy(next.b[d[0]:d[1]], s.hdr.b[d[0]:d[1]])
			}
		}
		if next.NextUID() < s.NextUID() {
			next.set(offNextUID, s.NextUID())
		}
		tail := next.get(offLogTailOffset)
		next.set(offLogTailOffset, s.hdr.get(offLogTailOffset))
		s.hdr = next
		if u.Offset <= offLogTailOffset && u.Offset+uint32(len(u.Data)) >= offLogTailOffset+4 && a.r.Header.External {
			if err := a.tailUpdate(tail); err != nil {
				return err
			}
		}
	}
	return nil
}

// tailUpdate notes that everything before tail in this file was carried out.
func (a *applier) tailUpdate(tail uint32) error {
	s, end := a.s, a.r.End().Offset
	if tail > end {
		return vfs.At(vfs.Corrupt(0, "tail offset %d beyond the end %d of its record", tail, end), a.file.Path, int64(a.r.Pos.Offset))
	}
	if old := s.hdr.get(offLogTailOffset); tail < old {
		return vfs.At(vfs.Corrupt(0, "tail offset %d, was %d before", tail, old), a.file.Path, int64(a.r.Pos.Offset))
	}
	s.hdr.set(offLogTailOffset, tail)
	n, _ := slices.BinarySearch(s.pending, tail)
	s.pending = slices.Delete(s.pending, 0, n)
	return nil
}
