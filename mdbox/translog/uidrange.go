package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Range list, 8 bytes per element:
//
//	off  len  field  encoding
//	  0    4  uid1   uint32, 1..uid2
//	  4    4  uid2   uint32, inclusive
//
// The elements are sorted and do not overlap; there is at least one.
const uidRangeSize = 8

// UIDRange is the UIDs from First to Last, both included; 1 <= First <= Last.
// Not every UID in it belongs to a message.
type UIDRange struct{ First, Last uint32 }

func decodeUIDRanges(b []byte) ([]UIDRange, error) {
	if len(b) == 0 || len(b)%uidRangeSize != 0 {
		return nil, vfs.Corrupt(0, "UID ranges: %d bytes, want a positive multiple of %d", len(b), uidRangeSize)
	}
	rs := make([]UIDRange, 0, len(b)/uidRangeSize)
	var prev uint32
	for off := 0; off < len(b); off += uidRangeSize {
		r := UIDRange{binary.LittleEndian.Uint32(b[off:]), binary.LittleEndian.Uint32(b[off+4:])}
		if err := checkUIDRange(r, prev, off); err != nil {
			return nil, err
		}
		prev = r.Last
		rs = append(rs, r)
	}
	return rs, nil
}

// checkUIDRange checks the range at offset off, which follows one that ends at prev.
func checkUIDRange(r UIDRange, prev uint32, off int) error {
	if r.First == 0 || r.First > r.Last {
		return vfs.Corrupt(int64(off), "UID ranges: %d:%d is not a range", r.First, r.Last)
	}
	if r.First <= prev {
		return vfs.Corrupt(int64(off), "UID ranges: %d:%d begins before the end %d of the previous range", r.First, r.Last, prev)
	}
	return nil
}

func appendUIDRanges(b []byte, rs []UIDRange) []byte {
	for _, r := range rs {
		b = binary.LittleEndian.AppendUint32(b, r.First)
		b = binary.LittleEndian.AppendUint32(b, r.Last)
	}
	return b
}

// pad4 returns n rounded up to a multiple of 4.
func pad4(n int) int { return (n + 3) &^ 3 }

// appendPadding appends zero bytes until len(b)-start is a multiple of 4.
func appendPadding(b []byte, start int) []byte {
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
