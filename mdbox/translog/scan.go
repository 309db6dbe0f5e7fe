package translog

import (
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
		return Record{}, false
	}
	r := Record{Header: h, Pos: s.pos, Payload: s.b[RecordHeaderSize:h.Size:h.Size]}
	if h.Type == TypeBoundary {
		if len(r.Payload) != boundarySize {
			return s.fail(vfs.Corrupt(0, "boundary: %d bytes, want %d", len(r.Payload), boundarySize))
		}
		size := binary.LittleEndian.Uint32(r.Payload)
		if size < h.Size {
			return s.fail(vfs.Corrupt(0, "boundary: size %d, want at least %d", size, h.Size))
		}
		if uint64(size) > uint64(len(s.b)) || uint64(size) == uint64(len(s.b)) && torn(s.b[h.Size:]) {
			return Record{}, false
		}
	}
	s.b = s.b[h.Size:]
	s.pos.Offset += h.Size
	return r, true
}

// torn reports whether some record of the last transaction of a log, whose records without boundary are b, was never written: its header
// is zeros. When the power fails a file may have got its new size before all of its data, so this transaction is
// not complete either. What is wrong in another way has been changed after it was written, and is an error.
func torn(b []byte) bool {
	for len(b) > 0 {
		if len(b) < RecordHeaderSize || binary.LittleEndian.Uint32(b) == 0 {
			return true
		}
		size := DecodeOffset([4]byte(b[:4]))
		if size <= RecordHeaderSize || uint64(size) > uint64(len(b)) {
			return false
		}
		b = b[size:]
	}
	return false
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
