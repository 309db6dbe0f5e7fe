package index

import (
	"bytes"
	"encoding/binary"
	"io"
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
	return readSnapshot(bytes.NewReader(b), int64(len(b)), maxBytes, false)
}

// readSnapshot decodes a snapshot of size bytes. Errors are those of r, or as
// for DecodeSnapshot. With postpone, State.late is left.
func readSnapshot(r io.ReaderAt, size, maxBytes int64, postpone bool) (*State, error) {
	head, err := readAt(r, 0, min(size, 1<<16)) // base_header_size is a uint16
	if err != nil {
		return nil, err
	}
	h, err := DecodeHeader(head)
	if err != nil {
		return nil, err
	}
	hdrSize := int64(h.HeaderSize())
	if hdrSize > size {
		return nil, vfs.Corrupt(offHeaderSize, "index header: header_size %d, the file has %d bytes", hdrSize, size)
	}
	if int64(len(head)) < hdrSize {
		if head, err = readAt(r, 0, hdrSize); err != nil {
			return nil, err
		}
	}
	if int64(len(head)) < hdrSize {
		return nil, vfs.Corrupt(offHeaderSize, "index header: header_size %d, the file has %d bytes", hdrSize, len(head))
	}
	s := &State{hdr: h, pos: h.LogHead(), maxBytes: maxBytes}
	offsets, err := s.decodeExts(head[:hdrSize])
	if err != nil {
		return nil, err
	}
	if records := size - hdrSize; int64(h.Messages()) > records/int64(h.RecordSize()) {
		return nil, vfs.Corrupt(offMessagesCount, "index header: messages_count %d of %d bytes, the file has %d bytes of records", h.Messages(), h.RecordSize(), records)
	}
	if err := s.checkMemory(int(h.Messages()), 0, 0); err != nil {
		return nil, err
	}
	if postpone {
		s.postpone(offsets)
	}
	if err := s.readRecords(r, offsets, head[1]); err != nil {
		return nil, err
	}
	return s, s.decodeKnown()
}

// readAt reads n bytes at off, or fewer at the end of the file.
func readAt(r io.ReaderAt, off, n int64) ([]byte, error) {
	b := make([]byte, n)
	got, err := r.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return b[:got], err
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

// recordChunk is about how many bytes of records are read at once: they stay in
// the processor's cache while they are spread over the columns.
const recordChunk = 64 << 10

// readRecords fills the columns with the messages_count records behind the
// header. minor is the version of the file.
func (s *State) readRecords(r io.ReaderAt, offsets []uint16, minor uint8) error {
	n := int(s.hdr.Messages())
	room := roomFor(n)
	s.uids, s.flags = make([]uint32, 0, room), make([]uint8, 0, room)
	for _, e := range s.exts {
		if !s.isLate(e) {
			e.column = column{b: make([]byte, 0, room*int(e.RecordSize))}
		}
	}
	mask := ^uint8(0)
	if minor < 2 {
		mask = ^flagOldRecent
	}
	err := eachChunk(r, int64(s.hdr.HeaderSize()), int(s.hdr.RecordSize()), n, func(b []byte, off int64) error {
		return s.decodeRecords(b, off, offsets, mask)
	})
	if err != nil {
		return err
	}
	var seen, deleted uint32
	for _, f := range s.flags {
		seen += uint32(f & FlagSeen / FlagSeen)
		deleted += uint32(f & FlagDeleted / FlagDeleted)
	}
	s.recount(offSeenCount, "seen_messages_count", seen)
	s.recount(offDeletedCount, "deleted_messages_count", deleted)
	return nil
}

// roomFor is how many messages the columns have room for, so that the appends since the snapshot do not copy them all.
func roomFor(n int) int { return n + n/16 + 16 }

// eachChunk calls f for some records after the other, up to n of size bytes, that begin at start in the file. off is where b lies there.
func eachChunk(r io.ReaderAt, start int64, size, n int, f func(b []byte, off int64) error) error {
	chunk := max(1, recordChunk/size)
	b := make([]byte, min(chunk, n)*size)
	for i := 0; i < n; i += chunk {
		off := start + int64(i)*int64(size)
		b = b[:min(chunk, n-i)*size]
		if got, err := r.ReadAt(b, off); err == io.EOF && got < len(b) {
			return vfs.Corrupt(off+int64(got), "the file ends in record %d of %d", i+got/size, n)
		} else if err != nil && err != io.EOF {
			return err
		}
		if err := f(b, off); err != nil {
			return err
		}
	}
	return nil
}

// decodeRecords appends the records in b, which lies at base in the file, to the columns.
func (s *State) decodeRecords(b []byte, base int64, offsets []uint16, flagMask uint8) error {
	size := int(s.hdr.RecordSize())
	prev, next := uint32(0), s.NextUID()
	if len(s.uids) > 0 {
		prev = s.uids[len(s.uids)-1]
	}
	uids, flags := s.uids, s.flags
	for off := 0; off < len(b); off += size {
		rec := b[off : off+recordDataOffset : off+recordDataOffset]
		uid := binary.LittleEndian.Uint32(rec)
		if uid <= prev || uid >= next {
			return vfs.Corrupt(base+int64(off), "record %d: UID %d after %d, next_uid is %d", len(uids), uid, prev, next)
		}
		prev = uid
		uids = append(uids, uid)
		flags = append(flags, rec[4]&flagMask)
	}
	s.uids, s.flags = uids, flags
	for k, e := range s.exts {
		if e.RecordSize > 0 && !s.isLate(e) {
			e.column.b = appendColumn(e.column.b, b[offsets[k]:], size, int(e.RecordSize))
		}
	}
	return nil
}

// appendColumn appends the first n bytes of every record of size bytes in b. The last record may be cut off behind them.
func appendColumn(dst, b []byte, size, n int) []byte {
	old := len(dst)
	dst = slices.Grow(dst, (len(b)+size-1)/size*n)
	dst = dst[:old+(len(b)+size-1)/size*n]
	out := dst[old:]
	switch n { // the usual sizes are worth a copy without a call
	case 4:
		for ; len(out) >= 4; out = out[4:] {
			*(*[4]byte)(out) = [4]byte(b)
			b = b[min(size, len(b)):]
		}
	case 8:
		for ; len(out) >= 8; out = out[8:] {
			*(*[8]byte)(out) = [8]byte(b)
			b = b[min(size, len(b)):]
		}
	case 16:
		for ; len(out) >= 16; out = out[16:] {
			*(*[16]byte)(out) = [16]byte(b)
			b = b[min(size, len(b)):]
		}
	default:
		for ; len(out) > 0; out = out[n:] {
			copy(out, b[:n])
			b = b[min(size, len(b)):]
		}
	}
	return dst
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
// inverse of DecodeSnapshot. The log positions in its header are Pos and Tail. They
// differ while there are requests, which a reader then finds in the log.
func (s *State) AppendSnapshot(b []byte) []byte {
	start := len(b)
	offsets, recordSize := layout(s.exts)
	h := s.hdr.clone()
	h.set(offRecordSize, recordSize)
	h.set(offLogFileSeq, s.pos.FileSeq)
	h.set(offLogHeadOffset, s.pos.Offset)
	h.set(offLogTailOffset, s.Tail().Offset)
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
