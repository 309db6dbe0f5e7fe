package index

import (
	"encoding/binary"
	"math"

	"github.com/roostmail/roost/mdbox/translog"
)

// maxRecordSize is the limit for the sum of the record sizes of all
// extensions, with the gaps that alignment may need: offsets in a record are uint16.
const maxRecordSize = math.MaxUint16 - maxExtRecAlign

// maxExts is the limit for the number of extensions. An index has about ten.
const maxExts = 1000

// introduced is the extension that the last ext-intro chose.
type introduced struct {
	ext        *Ext   // nil: there was none, or it was broken
	broken     bool   // the last intro was refused: what follows is skipped without a word
	ignore     bool   // the intro's reset_id is not the extension's: only a reset applies
	recordSize uint16 // of the intro: bytes of data in the following records
}

func (a *applier) extIntro(in translog.ExtIntro) {
	s := a.s
	s.intro = introduced{broken: true}
	var e *Ext
	switch {
	case in.ExtID == translog.ExtIDByName && in.Name == "":
		a.problem("ext-intro: neither ext_id nor name")
		return
	case in.ExtID == translog.ExtIDByName:
		e = s.Ext(in.Name)
	case uint64(in.ExtID) >= uint64(len(s.exts)):
		a.problem("ext-intro: ext_id %d of %d extensions", in.ExtID, len(s.exts))
		return
	default:
		e = s.exts[in.ExtID]
	}
	h := ExtHeader{HdrSize: in.HdrSize, ResetID: in.ResetID, RecordSize: in.RecordSize, RecordAlign: in.RecordAlign, Name: in.Name}
	if e != nil {
		h.Name = e.Name
	}
	if h.Name == extKeywords {
		a.problem("ext-intro: %q must not be introduced", h.Name)
		return
	}
	if err := h.check(); err != nil {
		a.problem("ext-intro: %s", rule(err))
		return
	}
	if align := h.RecordAlign; align&(align-1) != 0 { // Dovecot takes it, and then the snapshot that it writes for damaged
		a.problem("ext-intro: record_align %d is no power of two", align)
	}
	switch {
	case e == nil:
		if e = a.newExt(&h); e == nil {
			return
		}
	case e.ResetID == in.ResetID:
		if !a.resizeExt(e, &h, in.NoShrink) {
			return
		}
	}
	s.intro = introduced{ext: e, ignore: e.ResetID != in.ResetID, recordSize: in.RecordSize}
}

// newExt adds an extension, or returns nil if there is no room for it.
func (a *applier) newExt(h *ExtHeader) *Ext {
	if len(a.s.exts) >= maxExts {
		a.problem("%s: more than %d extensions", a.r.Header.Type, maxExts)
		return nil
	}
	if !a.roomFor(h.RecordSize, 0, h.HdrSize, 0) {
		return nil
	}
	return a.s.addExt(h)
}

// roomFor reports whether an extension may have records of size bytes instead
// of old ones, and hdrSize bytes of header data instead of oldHdr.
func (a *applier) roomFor(size, old uint16, hdrSize, oldHdr uint32) bool {
	s := a.s
	if sum := recordBound(s.exts) + int(size) - int(old); sum > maxRecordSize {
		a.problem("%s: record_size %d makes records of up to %d bytes, want at most %d", a.r.Header.Type, size, sum, maxRecordSize)
		return false
	}
	if err := s.checkMemory(len(s.uids), int64(size)-int64(old), int64(hdrSize)-int64(oldHdr)); err != nil {
		a.problem("%s: %s", a.r.Header.Type, rule(err))
		return false
	}
	return true
}

// resizeExt changes the sizes of e to those of h. With noShrink they only grow.
// Which of header and record keep their size follows Dovecot's sync_ext_resize to the letter.
func (a *applier) resizeExt(e *Ext, h *ExtHeader, noShrink bool) bool {
	oldPad, newPad := pad8(int(e.hdrSize)), pad8(int(h.HdrSize))
	if e.RecordAlign == h.RecordAlign && e.RecordSize == h.RecordSize {
		if newPad < oldPad && noShrink || newPad >= oldPad && e.hdrSize == h.HdrSize {
			return true
		}
	}
	newRecord := e.RecordSize < h.RecordSize || e.RecordSize > h.RecordSize && !noShrink
	size := e.RecordSize
	if newRecord {
		size = h.RecordSize
	}
	if !a.roomFor(size, e.RecordSize, h.HdrSize, e.hdrSize) {
		return false
	}
	if newPad >= oldPad || !noShrink {
		e.resizeHeader(h.HdrSize)
	}
	if e.RecordAlign < h.RecordAlign || e.RecordAlign > h.RecordAlign && !noShrink {
		e.RecordAlign = h.RecordAlign
	}
	if newRecord {
		e.resizeRecords(h.RecordSize, len(a.s.uids))
	}
	a.s.noteExts()
	return true
}

// chosen returns the introduced extension, or nil if there is none that an update applies to.
func (a *applier) chosen() *Ext {
	in := &a.s.intro
	if in.ext == nil && !in.broken {
		a.problem("%s without ext-intro", a.r.Header.Type)
	}
	if in.ext == nil || in.ignore {
		return nil
	}
	return in.ext
}

func (a *applier) extReset(u translog.ExtReset) {
	in := &a.s.intro
	if in.ext == nil {
		a.chosen()
		return
	}
	in.ext.ResetID = u.NewResetID
	if !u.PreserveData {
		in.ext.clear()
	}
}

func (a *applier) extHdrUpdates(us []translog.HeaderUpdate) error {
	e := a.chosen()
	if e == nil {
		return nil
	}
	for _, u := range us {
		if u.Offset > e.hdrSize || uint64(len(u.Data)) > uint64(e.hdrSize-u.Offset) {
			a.problem("%s: %d bytes at %d, the header data of %q has %d", a.r.Header.Type, len(u.Data), u.Offset, e.Name, e.hdrSize)
			return nil
		}
		copy(e.hdr[u.Offset:], u.Data)
		if e == a.s.modSeqExt {
			if err := a.modSeqHeaderSet(); err != nil {
				return err
			}
		}
	}
	return nil
}

// message returns the number of the message with a UID, for an update of its
// extension data. valid is false for a UID that was never used.
func (a *applier) message(uid uint32) (i int, found, valid bool) {
	if uid == 0 || uid >= a.s.NextUID() {
		a.problem("%s: UID %d, next_uid is %d", a.r.Header.Type, uid, a.s.NextUID())
		return 0, false, false
	}
	if n := len(a.s.uids); n > 0 && a.s.uids[n-1] == uid { // the usual case: just appended
		return n - 1, !a.s.doomed.has(n - 1), true
	}
	i, found = a.s.Find(uid)
	return i, found, true
}

func (a *applier) extRecUpdates(us translog.ExtRecUpdates) {
	e := a.chosen()
	if e == nil {
		return
	}
	for k := range us.Len() {
		uid, data := us.At(k)
		i, found, valid := a.message(uid)
		if !valid {
			return
		}
		if !found {
			continue
		}
		rec := e.Record(i)
		clear(rec[copy(rec, data):])
	}
}

func (a *applier) extAtomicIncs(is translog.ExtAtomicIncs) {
	e := a.chosen()
	if e == nil {
		return
	}
	for _, in := range is {
		i, found, valid := a.message(in.UID)
		if !valid {
			return
		}
		if found && !a.atomicInc(e, e.Record(i), in) {
			return
		}
	}
}

// atomicInc adds to the number in rec, which has the size of the intro.
func (a *applier) atomicInc(e *Ext, rec []byte, in translog.ExtAtomicInc) bool {
	size := int(a.s.intro.recordSize)
	switch size {
	case 1, 2, 4, 8:
	default:
		a.problem("ext-atomic-inc: %q has records of %d bytes, want 1, 2, 4 or 8", e.Name, size)
		return false
	}
	if size > len(rec) {
		a.problem("ext-atomic-inc: %d bytes, the records of %q have %d", size, e.Name, len(rec))
		return false
	}
	var buf [8]byte
	copy(buf[:], rec[:size])
	old := binary.LittleEndian.Uint64(buf[:])
	limit := uint64(math.MaxUint64) >> (64 - 8*size)
	sum := old + uint64(int64(in.Diff))
	if in.Diff < 0 && old < uint64(-int64(in.Diff)) || in.Diff > 0 && (sum < old || sum > limit) {
		a.problem("ext-atomic-inc: %d%+d at UID %d does not fit into %d bytes", old, in.Diff, in.UID, size)
		return false
	}
	binary.LittleEndian.PutUint64(buf[:], sum)
	copy(rec, buf[:size])
	return true
}
