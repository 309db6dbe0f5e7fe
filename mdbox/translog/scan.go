package translog

import (
	"bytes"
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Record is a complete record of a log.
type Record struct {
	Header  RecordHeader
	Pos     Pos    // of the record header
	Payload []byte // not empty; refers to the scanned slice
}

// End is the position just after r.
func (r *Record) End() Pos { return Pos{r.Pos.FileSeq, r.Pos.Offset + r.Header.Size} }

// Decode decodes the payload; see DecodePayload. The offset of a
// *vfs.CorruptError is relative to the start of the file.
func (r *Record) Decode(extRecordSize uint16) (Payload, error) {
	p, err := DecodePayload(r.Header.Type, r.Payload, extRecordSize)
	if err != nil {
		return nil, vfs.At(err, "", int64(r.Pos.Offset)+RecordHeaderSize)
	}
	return p, nil
}

// A Scanner walks over the complete records of a part of a log file, in order.
// It does not look into payloads but of boundaries.
type Scanner struct {
	b   []byte // from base to the end of what is there
	pos Pos    // of b[0]
	err error
}

// NewScanner returns a Scanner over b, which lies at pos of its file and begins
// with a record header. b is not copied.
func NewScanner(b []byte, pos Pos) *Scanner { return &Scanner{b: b, pos: pos} }

// Next returns the next record, or false where the complete records end, be it
// in good order or because of an error (Err).
func (s *Scanner) Next() (Record, bool) {
	if s.err != nil {
		return Record{}, false
	}
	h, complete, err := DecodeRecordHeader(s.b)
	if err != nil {
		return s.fail(err)
	}
	if !complete || int64(h.Size) > int64(len(s.b)) {
		return s.stop()
	}
	r := Record{Header: h, Pos: s.pos, Payload: s.b[RecordHeaderSize:h.Size:h.Size]}
	if h.Type == TypeBoundary {
		if len(r.Payload) != boundarySize {
			return s.fail(vfs.Corrupt(0, "boundary: %d bytes, want %d", len(r.Payload), boundarySize))
		}
		size := binary.LittleEndian.Uint32(r.Payload)
		if size == 0 { // not there yet
			return s.stop()
		}
		if size < h.Size {
			return s.fail(vfs.Corrupt(0, "boundary: size %d, want at least %d", size, h.Size))
		}
		if uint64(size) > uint64(len(s.b)) {
			return s.stop()
		}
		if end, ok := filled(s.b[:size], int(h.Size)); !ok {
			return s.stopInside(end, int(size))
		}
	}
	s.b = s.b[h.Size:]
	s.pos.Offset += h.Size
	return r, true
}

// filled reports whether the transaction b consists of complete records from off on, up to one
// that is broken, and where they end.
func filled(b []byte, off int) (end int, ok bool) {
	for off < len(b) {
		h, complete, err := DecodeRecordHeader(b[off:])
		if err != nil {
			return off, true
		}
		if !complete || int64(h.Size) > int64(len(b)-off) {
			return off, false
		}
		off += int(h.Size)
	}
	return off, true
}

// stop ends the records before a transaction that is not complete: some process is writing it,
// or has stopped in the middle. But there can be only one such, the last: if another
// transaction begins behind its start, what is incomplete was complete before.
func (s *Scanner) stop() (Record, bool) {
	for off := 4; ; off += 4 {
		i := bytes.Index(s.b[min(off, len(s.b)):], boundaryStart)
		if i < 0 {
			return Record{}, false
		}
		if off += i; off%4 == 0 {
			return s.fail(vfs.Corrupt(0, "a record that does not end before the transaction at %d", int64(s.pos.Offset)+int64(off)))
		}
		off -= off % 4
	}
}

// boundaryStart is how a boundary record begins, by which transactions are found.
var boundaryStart = RecordHeader{Size: boundaryRecordSize, Type: TypeBoundary, External: true}.Append(nil)

// stopInside ends the records before a transaction of size bytes whose records end at end.
// When the power fails, a file may have got its new size before all of its
// data: then zeros are in the place of records, and nothing comes after.
func (s *Scanner) stopInside(end, size int) (Record, bool) {
	if _, complete, _ := DecodeRecordHeader(s.b[end:size]); complete || size < len(s.b) {
		return s.fail(vfs.Corrupt(int64(end), "the records of a transaction do not end where it ends"))
	}
	return Record{}, false
}

func (s *Scanner) fail(err error) (Record, bool) {
	s.err = vfs.At(err, "", int64(s.pos.Offset))
	return Record{}, false
}

// Pos is the position just after the last record that Next returned: at the
// end, the sync offset.
func (s *Scanner) Pos() Pos { return s.pos }

// Err returns the *vfs.CorruptError that ended the records, without file name,
// or nil.
func (s *Scanner) Err() error { return s.err }
