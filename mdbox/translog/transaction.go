package translog

import (
	"fmt"
	"math"
	"strings"
)

// NewRecord is a record to be written.
type NewRecord struct {
	External bool // see RecordHeader.External
	Payload  Payload
}

// boundaryRecordSize is the size of a boundary record, in bytes.
const boundaryRecordSize = RecordHeaderSize + boundarySize

// AppendTransaction appends one transaction to b: the records, with a boundary
// record before them if there are two or more. They must be written to the end of
// a log with one write.
//
// Each record is decoded again, so that nothing gets into a log that a reader
// would call corrupted for its structure alone; what depends on the index is for
// the caller to check. After an error b is as it was.
func AppendTransaction(b []byte, records ...NewRecord) ([]byte, error) {
	start := len(b)
	b = appendBoundary(b, len(records))
	var recordSize uint16 // of the last intro
	for i, r := range records {
		at := len(b)
		if err := checkFits(r.Payload); err != nil {
			return b[:start], fmt.Errorf("translog: append: record %d: %w", i, err)
		}
		b = AppendRecord(b, RecordHeader{External: r.External}, r.Payload)
		if len(b) == at+RecordHeaderSize {
			return b[:start], fmt.Errorf("translog: append: record %d: %s without content", i, r.Payload.Type())
		}
		if n := len(b) - start; n > MaxOffset {
			return b[:start], fmt.Errorf("translog: append: a transaction of more than %d bytes", MaxOffset)
		}
		p, err := DecodePayload(r.Payload.Type(), b[at+RecordHeaderSize:], recordSize)
		if err != nil {
			return b[:start], fmt.Errorf("translog: append: record %d: %w", i, err)
		}
		if is, ok := p.(ExtIntros); ok {
			recordSize = is[len(is)-1].RecordSize
		}
	}
	if len(records) > 1 {
		AppendRecord(b[:start], RecordHeader{External: true}, Boundary{Size: uint32(len(b) - start)})
	}
	return b, nil
}

// appendBoundary makes room for the boundary record of n records.
func appendBoundary(b []byte, n int) []byte {
	if n < 2 {
		return b
	}
	return append(b, make([]byte, boundaryRecordSize)...)
}

// checkFits returns an error for a payload that has no place in a transaction, or
// whose numbers are too large for their fields.
func checkFits(p Payload) error {
	switch p := p.(type) {
	case nil:
		return fmt.Errorf("no payload")
	case Boundary:
		return fmt.Errorf("a boundary record within a transaction")
	case HeaderUpdates:
		return checkUpdatesFit(p.Type(), p)
	case ExtHdrUpdates:
		return checkUpdatesFit(p.Type(), p)
	case KeywordUpdate:
		if len(p.Name) > math.MaxUint16 {
			return fmt.Errorf("%s: a name of %d bytes", p.Type(), len(p.Name))
		}
		if strings.Contains(p.Name, "\x00") { // names end with NUL in the index
			return fmt.Errorf("%s: a name with NUL", p.Type())
		}
	case ExtIntros:
		for _, i := range p {
			if len(i.Name) > math.MaxUint16 {
				return fmt.Errorf("%s: a name of %d bytes", p.Type(), len(i.Name))
			}
			if a := i.RecordAlign; a > 8 || a&(a-1) != 0 { // no layout of a record suits all readers
				return fmt.Errorf("%s: record_align %d, want 1, 2, 4 or 8", p.Type(), a)
			}
		}
	}
	return nil
}

func checkUpdatesFit(t Type, us []HeaderUpdate) error {
	for _, u := range us {
		if u.Offset > math.MaxUint16 || len(u.Data) > math.MaxUint16 {
			return fmt.Errorf("%s: %d bytes at %d, both must be below 64 KiB", t, len(u.Data), u.Offset)
		}
	}
	return nil
}
