package mapindex

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Extensions of the map (dovecot src/lib-storage/index/dbox-multi/mdbox-map-private.h).
//
// Header data of "map", 8 bytes:
//
//	off  len  field            encoding
//	  0    4  highest_file_id  uint32, of all m.N files ever
//	  4    4  rebuild_count    uint32
//
// Record data of "map", 12 bytes:
//
//	off  len  field    encoding
//	  0    4  file_id  uint32, not 0: the N of m.N
//	  4    4  offset   uint32, of the message header in the file
//	  8    4  size     uint32, header, body and metadata; 0 = all that follows offset
//
// Record data of "ref", 2 bytes: uint16 number of references from mailboxes.
const (
	extMap = "map"
	extRef = "ref"

	mapHeaderSize = 8
	mapRecordSize = 12
	refRecordSize = 2
)

// Header is the header data of the extension map.
type Header struct {
	HighestFileID uint32 // file ids up to it were used; they are never used again
	RebuildCount  uint32 // how many times Dovecot rebuilt the storage
}

// DecodeHeader decodes the header data of the extension map.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) != mapHeaderSize {
		return Header{}, vfs.Corrupt(0, "map header: %d bytes, want %d", len(b), mapHeaderSize)
	}
	return Header{HighestFileID: binary.LittleEndian.Uint32(b), RebuildCount: binary.LittleEndian.Uint32(b[4:])}, nil
}

// Append appends the 8 bytes of h to b: the inverse of DecodeHeader.
func (h Header) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, h.HighestFileID)
	return binary.LittleEndian.AppendUint32(b, h.RebuildCount)
}

// Location says where a message is stored.
type Location struct {
	FileID uint32 // the N of m.N, not 0
	Offset uint32 // of the message header in the file, in bytes
	Size   uint32 // of header, body and metadata, in bytes; 0 = all that follows Offset
}

// DecodeLocation decodes the record data of the extension map.
func DecodeLocation(b []byte) (Location, error) {
	if len(b) != mapRecordSize {
		return Location{}, vfs.Corrupt(0, "map record: %d bytes, want %d", len(b), mapRecordSize)
	}
	l := Location{
		FileID: binary.LittleEndian.Uint32(b),
		Offset: binary.LittleEndian.Uint32(b[4:]),
		Size:   binary.LittleEndian.Uint32(b[8:]),
	}
	if l.FileID == 0 {
		return Location{}, vfs.Corrupt(0, "map record: file_id 0")
	}
	return l, nil
}

// Append appends the 12 bytes of l to b: the inverse of DecodeLocation.
func (l Location) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, l.FileID)
	b = binary.LittleEndian.AppendUint32(b, l.Offset)
	return binary.LittleEndian.AppendUint32(b, l.Size)
}

// DecodeRefcount decodes the record data of the extension ref.
func DecodeRefcount(b []byte) (uint16, error) {
	if len(b) != refRecordSize {
		return 0, vfs.Corrupt(0, "ref record: %d bytes, want %d", len(b), refRecordSize)
	}
	return binary.LittleEndian.Uint16(b), nil
}

// AppendRefcount appends the 2 bytes of a reference count to b: the inverse of DecodeRefcount.
func AppendRefcount(b []byte, n uint16) []byte { return binary.LittleEndian.AppendUint16(b, n) }
