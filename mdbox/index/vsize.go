package index

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Header data of the extension "hdr-vsize", 16 bytes (dovecot
// src/lib-storage/index/index-storage.h, struct mailbox_index_vsize):
//
//	off  len  field          encoding
//	  0    8  vsize          uint64, sum of the virtual sizes, in bytes
//	  8    4  highest_uid    uint32, of the messages that are in the sum
//	 12    4  message_count  uint32, number of messages that are in the sum
//
// Record data of the extension "vsize", 4 bytes: uint32 virtual size + 1; 0 = unknown.
const (
	// ExtVSizeHeader has the sum of the sizes of the messages.
	ExtVSizeHeader = "hdr-vsize"
	// ExtVSize has the size of each message.
	ExtVSize = "vsize"

	vsizeHeaderSize = 16
	vsizeRecordSize = 4
)

// VSizeHeader is the header data of the extension hdr-vsize.
type VSizeHeader struct {
	VSize        uint64 // bytes, with CRLF line ends
	HighestUID   uint32
	MessageCount uint32
}

// DecodeVSizeHeader decodes the header data of the extension hdr-vsize.
func DecodeVSizeHeader(b []byte) (VSizeHeader, error) {
	if len(b) != vsizeHeaderSize {
		return VSizeHeader{}, vfs.Corrupt(0, "hdr-vsize: %d bytes, want %d", len(b), vsizeHeaderSize)
	}
	return VSizeHeader{
		VSize:        binary.LittleEndian.Uint64(b),
		HighestUID:   binary.LittleEndian.Uint32(b[8:]),
		MessageCount: binary.LittleEndian.Uint32(b[12:]),
	}, nil
}

// Append appends the 16 bytes of h to b: the inverse of DecodeVSizeHeader.
func (h VSizeHeader) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, h.VSize)
	b = binary.LittleEndian.AppendUint32(b, h.HighestUID)
	return binary.LittleEndian.AppendUint32(b, h.MessageCount)
}

// DecodeVSize returns the virtual size of a message from its record of the
// extension vsize, or false if it is unknown or b is not 4 bytes.
func DecodeVSize(b []byte) (size uint32, ok bool) {
	if len(b) != vsizeRecordSize {
		return 0, false
	}
	v := binary.LittleEndian.Uint32(b)
	return v - 1, v != 0
}

// AppendVSize appends the record for a virtual size: the inverse of
// DecodeVSize. A size that does not fit is stored as unknown.
func AppendVSize(b []byte, size uint64) []byte {
	if size >= 0xffffffff-1 {
		return append(b, 0, 0, 0, 0)
	}
	return binary.LittleEndian.AppendUint32(b, uint32(size)+1)
}
