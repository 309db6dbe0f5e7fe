package index

import (
	"encoding/binary"
	"slices"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

type corruptError = vfs.CorruptError

// salvageSnapshot returns what can be read of a damaged snapshot b, or nil. If its header can not be read, that of donor, an
// older snapshot of the same index, may tell where things are.
func salvageSnapshot(b, donor []byte, maxBytes int64) *State {
	for _, head := range [][]byte{b, donor} {
		if s := salvageRecords(head, b, maxBytes); s != nil && (len(head) == 0 || s.plausible(b)) {
			return s
		}
	}
	return nil
}

// plausible reports whether enough records of b were found to believe in the header.
func (s *State) plausible(b []byte) bool {
	records := (len(b) - int(s.hdr.HeaderSize())) / int(max(1, s.hdr.RecordSize()))
	return records <= 1 || 2*len(s.uids) >= min(records, int(s.hdr.Messages()))
}

// salvageRecords takes the records of b whose UIDs are in order, with the layout of head.
func salvageRecords(head, b []byte, maxBytes int64) *State {
	if len(head) < HeaderSize || head[0] != majorVersion {
		return nil
	}
	h := Header{slices.Clone(head[:HeaderSize])}
	binary.LittleEndian.PutUint16(h.b[offBaseHeaderSize:], HeaderSize)
	hdrSize, recordSize := int(h.HeaderSize()), int(h.RecordSize())
	if binary.LittleEndian.Uint16(head[offBaseHeaderSize:]) != HeaderSize || hdrSize < HeaderSize || hdrSize > len(head) ||
		recordSize < recordDataOffset || recordSize > maxRecordSize {
		return nil
	}
	s := &State{hdr: h, pos: h.LogHead(), maxBytes: maxBytes}
	offsets, err := s.decodeExts(head[:hdrSize])
	if err != nil {
		return nil
	}
	var records [][]byte
	for off := hdrSize; off+recordSize <= len(b); off += recordSize {
		records = append(records, b[off:off+recordSize])
	}
	if int64(len(records)) > maxBytes/int64(recordSize) {
		return nil
	}
	h.set(offFlags, h.Flags()&^FlagHeaderCorrupted)
	limit := h.NextUID()
	if limit <= 1 {
		limit = 1<<32 - 1
	}
	for _, rec := range ascending(records, limit) {
		s.uids = append(s.uids, binary.LittleEndian.Uint32(rec))
		s.flags = append(s.flags, rec[4]&^flagOldRecent)
		for k, e := range s.exts {
			if e.RecordSize > 0 {
				e.column.b = append(e.column.b, rec[offsets[k]:][:e.RecordSize]...)
			}
		}
	}
	if h.NextUID() == 0 {
		h.set(offNextUID, 1)
	}
	if h.LogTail().Offset > h.LogHead().Offset {
		h.set(offLogTailOffset, h.LogHead().Offset)
	}
	s.recountAll()
	s.modSeqHdr = s.modSeqExt != nil
	s.boundModSeqs()
	s.wrong = nil
	if s.keywordExt != nil {
		names, err := DecodeKeywords(s.keywordExt.Header())
		if err != nil {
			s.exts = slices.DeleteFunc(s.exts, func(e *Ext) bool { return e == s.keywordExt })
			s.noteExts()
		} else {
			s.keywords = newKeywordTable(names)
		}
	}
	return s
}

// ascending returns as many of the records as have ascending UIDs below limit: the longest such sequence, so that one wrong UID costs one record.
func ascending(records [][]byte, limit uint32) [][]byte {
	uid := func(i int) uint32 { return binary.LittleEndian.Uint32(records[i]) }
	var ends []int // ends[n]: the record with the smallest UID that n+1 records can end with
	before := make([]int, len(records))
	for i := range records {
		if uid(i) == 0 || uid(i) >= limit {
			continue
		}
		n, _ := slices.BinarySearchFunc(ends, uid(i), func(e int, u uint32) int { return int(int64(uid(e)) - int64(u)) })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	var res [][]byte
	if len(ends) > 0 {
		for i := ends[len(ends)-1]; i >= 0; i = before[i] {
			res = append(res, records[i])
		}
	}
	slices.Reverse(res)
	return res
}

// implied adds the messages that a record gives a map UID or a GUID, which it can only do to messages that were appended just before: if they are not
// there, what appended them is lost.
func (a *applier) implied(r *translog.Record) {
	s := a.s
	if r.Header.Type != translog.TypeExtRecUpdate || s.intro.ext == nil || s.intro.ignore ||
		s.intro.ext.Name != ExtMdbox && s.intro.ext.Name != ExtGUID {
		return
	}
	p, err := r.Decode(s.intro.recordSize)
	us, ok := p.(translog.ExtRecUpdates)
	if err != nil || !ok {
		return
	}
	for k := range us.Len() {
		if uid, _ := us.At(k); uid >= s.NextUID() && uid < s.NextUID()+impliedRange {
			a.r = r
			a.appends(translog.Appends{{UID: uid}})
		}
	}
}

// knownSizes are the sizes of header data and records of extensions that never have others.
var knownSizes = map[string]struct {
	hdr []uint32
	rec uint16
}{
	ExtMdboxHeader: {[]uint32{mdboxHeaderSizeOld, mdboxHeaderSize20, mdboxHeaderSize}, 0},
	ExtMdbox:       {nil, mdboxRecordSize},
	ExtGUID:        {nil, guidRecordSize},
	ExtVSizeHeader: {[]uint32{16}, 0},
	ExtVSize:       {nil, 4},
	extModSeq:      {[]uint32{modSeqHeaderSize}, modSeqRecordSize},
	"cache":        {nil, 4},
	"map":          {[]uint32{8}, 12},
	"ref":          {nil, 2},
}

// checkIntro refuses an intro that can not be what was written: it is damaged, or its ordinal is that of another extension since the
// intro of one before it is lost.
func (s *State) checkIntro(r *translog.Record) error {
	if r.Header.Type != translog.TypeExtIntro {
		return nil
	}
	p, err := r.Decode(0)
	if err != nil {
		return err
	}
	for _, in := range p.(translog.ExtIntros) {
		name := in.Name
		if in.ExtID != translog.ExtIDByName {
			if uint64(in.ExtID) >= uint64(len(s.exts)) {
				return vfs.Corrupt(0, "ext-intro: ext_id %d of %d extensions", in.ExtID, len(s.exts))
			}
			name = s.exts[in.ExtID].Name
		}
		known, ok := knownSizes[name]
		if ok && (in.HdrSize != 0 && !slices.Contains(known.hdr, in.HdrSize) || in.RecordSize != 0 && in.RecordSize != known.rec) || in.RecordAlign > 8 {
			return vfs.Corrupt(0, "ext-intro: %q has other sizes", name)
		}
	}
	return nil
}

// impliedRange bounds how far ahead of next_uid such a UID can be.
const impliedRange = 1 << 20

// Adopt makes s, what Salvage has found, the State: for Reset.
func (l *Locked) Adopt(s *State) { l.x.state = s }

// ReplaceSnapshot makes the State, to which s must be equal and complete, the snapshot, in place of one that is damaged. The log must not be.
func (l *Locked) ReplaceSnapshot(s *State) error {
	if l.lock == nil {
		return ErrUnlocked
	}
	l.x.state = s
	l.x.stuck, l.x.damage, l.x.dropped, l.failed = false, nil, 0, nil
	if err := l.cutGarbage(); err != nil {
		return err
	}
	w := *l.w
	w.Backup = false // the damaged one is no backup
	l.w = &w
	return l.writeSnapshot()
}

// SetUIDValidity gives a State whose uid_validity is lost another one, before Reset.
func (s *State) SetUIDValidity(v uint32) { s.hdr.set(offUIDValidity, v) }

// RaiseModSeq raises the highest modseq, before Reset.
func (s *State) RaiseModSeq(v uint64) { s.logModSeq = max(s.logModSeq, v) }

// RaiseNextUID raises next_uid to at least v, before Reset.
func (s *State) RaiseNextUID(v uint32) { s.hdr.set(offNextUID, max(s.NextUID(), v)) }

// NewState returns an index in which nothing has happened, before Reset of one of which nothing is left.
func NewState(indexID uint32) *State { return newState(indexID, DefaultMaxStateBytes) }
