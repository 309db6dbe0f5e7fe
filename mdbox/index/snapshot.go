package index

import (
	"encoding/binary"
	"slices"

	"github.com/roostmail/roost/mdbox/vfs"
)

// DecodeSnapshot decodes the content of a dovecot.index file. maxBytes limits
// the memory of the result, 0 = DefaultMaxStateBytes. The result does not refer to b.
//
// The error is a *vfs.CorruptError for the first rule that is broken: a
// snapshot is used as a whole or not at all. Only wrong counters and modseqs are put right.
func DecodeSnapshot(b []byte, maxBytes int64) (*State, error) {
	if maxBytes == 0 {
		maxBytes = DefaultMaxStateBytes
	}
	h, err := DecodeHeader(b)
	if err != nil {
		return nil, err
	}
	if uint64(h.HeaderSize()) > uint64(len(b)) {
		return nil, vfs.Corrupt(offHeaderSize, "index header: header_size %d, the file has %d bytes", h.HeaderSize(), len(b))
	}
	s := &State{hdr: h, pos: h.LogHead(), maxBytes: maxBytes}
	offsets, err := s.decodeExts(b[:h.HeaderSize()])
	if err != nil {
		return nil, err
	}
	if err := s.checkMemory(0, 0, 0); err != nil {
		return nil, err
	}
	records := b[h.HeaderSize():]
	if uint64(h.Messages()) > uint64(len(records))/uint64(h.RecordSize()) {
		return nil, vfs.Corrupt(offMessagesCount, "index header: messages_count %d of %d bytes, the file has %d bytes of records", h.Messages(), h.RecordSize(), len(records))
	}
	if err := s.checkMemory(int(h.Messages()), 0, 0); err != nil {
		return nil, err
	}
	if err := s.decodeRecords(records, int(h.HeaderSize()), offsets, b[1]); err != nil {
		return nil, err
	}
	return s, s.decodeKnown()
}

// decodeExts decodes the ext headers, the last part of b, and returns the place
// of each extension in a record.
func (s *State) decodeExts(b []byte) (offsets []uint16, err error) {
	for off := pad8(s.hdr.BaseHeaderSize()); off < len(b); {
		h, data, size, err := DecodeExtHeader(b[off:])
		if err == nil {
			err = h.checkIn(s.hdr.RecordSize())
		}
		if err != nil {
			return nil, vfs.At(err, "", int64(off))
		}
		if s.Ext(h.Name) != nil {
			return nil, vfs.Corrupt(int64(off), "ext header %q: exists already", h.Name)
		}
		if len(s.exts) >= maxExts {
			return nil, vfs.Corrupt(int64(off), "ext header %q: more than %d extensions", h.Name, maxExts)
		}
		s.exts = append(s.exts, &Ext{
			Name: h.Name, ResetID: h.ResetID, RecordSize: h.RecordSize, RecordAlign: h.RecordAlign,
			hdrSize: h.HdrSize, hdr: slices.Clone(data),
		})
		offsets = append(offsets, h.RecordOffset)
		off += size
	}
	s.noteExts()
	if sum := recordBound(s.exts); sum > maxRecordSize {
		return nil, vfs.Corrupt(offHeaderSize, "ext headers: record_size adds up to %d, want at most %d", sum, maxRecordSize)
	}
	return offsets, nil
}

// decodeRecords fills the columns from b, which lies at base in the file and
// holds at least messages_count records. minor is the version of the file.
func (s *State) decodeRecords(b []byte, base int, offsets []uint16, minor uint8) error {
	n, size := int(s.hdr.Messages()), int(s.hdr.RecordSize())
	s.uids, s.flags = make([]uint32, n), make([]uint8, n)
	mask := ^uint8(0)
	if minor < 2 {
		mask = ^flagOldRecent
	}
	var prev uint32
	var seen, deleted uint32
	for i := range s.uids {
		uid, flags := binary.LittleEndian.Uint32(b[i*size:]), b[i*size+4]&mask
		if uid <= prev || uid >= s.NextUID() {
			return vfs.Corrupt(int64(base+i*size), "record %d: UID %d after %d, next_uid is %d", i, uid, prev, s.NextUID())
		}
		prev = uid
		s.uids[i], s.flags[i] = uid, flags
		seen += uint32(flags & FlagSeen / FlagSeen)
		deleted += uint32(flags & FlagDeleted / FlagDeleted)
	}
	s.recount(offSeenCount, "seen_messages_count", seen)
	s.recount(offDeletedCount, "deleted_messages_count", deleted)
	for k, e := range s.exts {
		rec, from := int(e.RecordSize), int(offsets[k])
		e.column = make([]byte, n*rec)
		for i := 0; rec > 0 && i < n; i++ {
			copy(e.column[i*rec:(i+1)*rec], b[i*size+from:])
		}
	}
	return nil
}

// recount sets a counter of the header to what the records say. A wrong counter
// is no reason to give up the records, but it is reported.
func (s *State) recount(off int, name string, n uint32) {
	if was := s.hdr.get(off); was != n {
		s.wrong = append(s.wrong, vfs.Corrupt(int64(off), "index header: %s %d, the records have %d", name, was, n))
		s.hdr.set(off, n)
	}
}

// decodeKnown decodes the header data of the extensions that have a meaning here.
func (s *State) decodeKnown() error {
	s.modSeqHdr = s.modSeqExt != nil
	s.boundModSeqs()
	if s.keywordExt == nil {
		return nil
	}
	names, err := DecodeKeywords(s.keywordExt.Header())
	if err != nil {
		return err
	}
	s.keywords = newKeywordTable(names)
	return nil
}

// boundModSeqs puts right modseqs of messages that are higher than the highest.
func (s *State) boundModSeqs() {
	h, ok := s.modSeqHeader()
	if !ok || h.Highest == 0 {
		return
	}
	for i, uid := range s.uids {
		rec := s.modSeqExt.Record(i)
		if v := binary.LittleEndian.Uint64(rec); v > h.Highest {
			s.wrong = append(s.wrong, vfs.Corrupt(0, "modseq %d of UID %d, the highest is %d", v, uid, h.Highest))
			binary.LittleEndian.PutUint64(rec, h.Highest)
		}
	}
}

// AppendSnapshot appends the content of a dovecot.index file for s to b: the
// inverse of DecodeSnapshot. The log position in its header is s.Pos, for head
// and tail: a snapshot may be written only when no request is left (Tail).
func (s *State) AppendSnapshot(b []byte) []byte {
	start := len(b)
	offsets, recordSize := layout(s.exts)
	h := s.hdr.clone()
	h.set(offRecordSize, recordSize)
	h.set(offLogFileSeq, s.pos.FileSeq)
	h.set(offLogHeadOffset, s.pos.Offset)
	h.set(offLogTailOffset, s.pos.Offset)
	b = h.Append(b)
	if len(s.exts) > 0 {
		b = appendZeros(b, pad8(len(h.b))-len(h.b))
	}
	for i, e := range s.exts {
		eh := ExtHeader{HdrSize: e.hdrSize, ResetID: e.ResetID, RecordOffset: offsets[i], RecordSize: e.RecordSize, RecordAlign: e.RecordAlign, Name: e.Name}
		b = eh.Append(b, e.hdr)
	}
	binary.LittleEndian.PutUint32(b[start+offHeaderSize:], uint32(len(b)-start))
	records := len(b)
	b = append(b, make([]byte, len(s.uids)*int(recordSize))...)
	for i, uid := range s.uids {
		rec := b[records+i*int(recordSize):][:recordSize]
		binary.LittleEndian.PutUint32(rec, uid)
		rec[4] = s.flags[i]
		for k, e := range s.exts {
			if e.RecordSize > 0 {
				copy(rec[offsets[k]:], e.Record(i))
			}
		}
	}
	return b
}
