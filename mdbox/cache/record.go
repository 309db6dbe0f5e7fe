package cache

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Record, at an offset that is a multiple of 4 (dovecot src/lib-index/mail-cache-private.h,
// struct mail_cache_record):
//
//	off  len  field          encoding
//	  0    4  prev_offset    uint32, plain: an older record of the same message, 0 = none
//	  4    4  size           uint32: bytes of this record with this header, a multiple of 4
//	then fields:
//	  0    4  field number   uint32: position in the newest field table
//	  4    4  length         uint32, only if the field has no fixed size
//	       n  data
//	          zeros to a multiple of 4
const (
	recordHeaderSize = 8
	// maxRecordSize is the largest record that Dovecot writes.
	maxRecordSize = 64 << 10
	// maxReadSize bounds a record that is read: room for writers with another limit.
	maxReadSize = 1 << 20
)

// RecordHeader starts a record.
type RecordHeader struct {
	Prev uint32 // offset of an older record of the message, 0 = none
	Size uint32 // bytes with this header, a multiple of 4, at most 1 MiB
}

// DecodeRecordHeader decodes the record header at the start of b.
func DecodeRecordHeader(b []byte) (RecordHeader, error) {
	if len(b) < recordHeaderSize {
		return RecordHeader{}, vfs.Corrupt(0, "cache record lies inside the file")
	}
	h := RecordHeader{Prev: binary.LittleEndian.Uint32(b), Size: binary.LittleEndian.Uint32(b[4:])}
	if h.Size < recordHeaderSize || h.Size%4 != 0 || h.Size > maxReadSize {
		return RecordHeader{}, vfs.Corrupt(4, "size of a cache record is a multiple of 4 from %d to %d", recordHeaderSize, maxReadSize)
	}
	return h, nil
}

// Append appends the record header.
func (h RecordHeader) Append(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, h.Prev), h.Size)
}

// Value is one field of a record.
type Value struct {
	Number uint32 // field number
	Data   []byte
}

// unknownField is the error of nextValue for a number that the table does not
// have: the table may have grown.
type unknownField struct{ number uint32 }

func (unknownField) Error() string { return "field number is in the field table" }

// NextValue decodes the value at the start of b, the rest of a record behind its
// header, and returns how many bytes it has. Data refers to b.
func NextValue(b []byte, fields []Field) (v Value, n int, err error) {
	if len(b) < 4 {
		return Value{}, 0, vfs.Corrupt(0, "field number lies inside the record")
	}
	v.Number = binary.LittleEndian.Uint32(b)
	if uint64(v.Number) >= uint64(len(fields)) {
		return Value{}, 0, unknownField{v.Number}
	}
	pos := 4
	size := fields[v.Number].Size
	if !fields[v.Number].fixed() {
		if len(b) < 8 {
			return Value{}, 0, vfs.Corrupt(4, "length of a value lies inside the record")
		}
		size = binary.LittleEndian.Uint32(b[4:])
		pos = 8
	}
	if uint64(size) > uint64(len(b)-pos) {
		return Value{}, 0, vfs.Corrupt(4, "value lies inside the record")
	}
	v.Data = b[pos : pos+int(size) : pos+int(size)]
	n = pos + int(size)
	n = min((n+3)&^3, len(b))
	return v, n, nil
}

// Append appends the value with its length, if fields says so, and its padding.
func (v Value) Append(b []byte, fields []Field) []byte {
	b = binary.LittleEndian.AppendUint32(b, v.Number)
	if !fields[v.Number].fixed() {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v.Data)))
	}
	b = append(b, v.Data...)
	return appendPadding(b, len(v.Data))
}
