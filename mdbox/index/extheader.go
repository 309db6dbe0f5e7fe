package index

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Extension header, 16 bytes and a name (dovecot src/lib-index/mail-index-private.h,
// struct mail_index_ext_header):
//
//	off  len  field          encoding
//	  0    4  hdr_size       uint32, bytes of header data, below 16 MiB
//	  4    4  reset_id       uint32, generation of the extension's data
//	  8    2  record_offset  uint16, place in the record; 0 if record_size is 0
//	 10    2  record_size    uint16, bytes in each record, below 32768
//	 12    2  record_align   uint16, 1..8 if record_size is not 0
//	 14    2  name_size      uint16, 1..64
//	 16    n  name           printable ASCII
//	             zero bytes up to a multiple of 8
//	          header data    hdr_size bytes
//	             zero bytes up to a multiple of 8
const (
	extHeaderSize  = 16
	maxExtHdrSize  = 16<<20 - 1
	maxExtRecSize  = 32767
	maxExtRecAlign = 8
	maxExtNameSize = 64
)

// ExtHeader is the header of an extension in a snapshot.
type ExtHeader struct {
	HdrSize      uint32 // bytes of header data
	ResetID      uint32
	RecordOffset uint16 // bytes from the start of a record
	RecordSize   uint16 // bytes per message; not 0 if HdrSize is 0
	RecordAlign  uint16
	Name         string
}

// check returns the first rule that h breaks by itself, or nil; offsets are
// relative to the ext header.
func (h *ExtHeader) check() error {
	if len(h.Name) == 0 || len(h.Name) > maxExtNameSize {
		return vfs.Corrupt(14, "ext header: name_size %d, want 1..%d", len(h.Name), maxExtNameSize)
	}
	for _, c := range []byte(h.Name) {
		if c < ' ' || c > '~' {
			return vfs.Corrupt(extHeaderSize, "ext header: name %q is not printable", h.Name)
		}
	}
	switch {
	case h.HdrSize == 0 && h.RecordSize == 0:
		return vfs.Corrupt(0, "ext header %q: hdr_size and record_size are both 0", h.Name)
	case h.HdrSize > maxExtHdrSize:
		return vfs.Corrupt(0, "ext header %q: hdr_size %d, want at most %d", h.Name, h.HdrSize, maxExtHdrSize)
	case h.RecordSize > maxExtRecSize:
		return vfs.Corrupt(10, "ext header %q: record_size %d, want at most %d", h.Name, h.RecordSize, maxExtRecSize)
	case h.RecordSize > 0 && (h.RecordAlign == 0 || h.RecordAlign > maxExtRecAlign):
		return vfs.Corrupt(12, "ext header %q: record_align %d, want 1..%d", h.Name, h.RecordAlign, maxExtRecAlign)
	}
	return nil
}

// checkIn returns the first rule that h breaks in a snapshot with records of
// recordSize bytes, or nil.
func (h *ExtHeader) checkIn(recordSize uint32) error {
	if h.RecordSize == 0 {
		return nil
	}
	off, size, align := uint32(h.RecordOffset), uint32(h.RecordSize), uint32(h.RecordAlign)
	switch {
	case off < recordDataOffset || off > recordSize || size > recordSize-off:
		return vfs.Corrupt(8, "ext header %q: record_offset %d and record_size %d, want them within %d..%d", h.Name, off, size, recordDataOffset, recordSize)
	case off%align != 0:
		return vfs.Corrupt(8, "ext header %q: record_offset %d, want a multiple of record_align %d", h.Name, off, align)
	case recordSize%align != 0:
		return vfs.Corrupt(12, "ext header %q: record_align %d does not divide the record size %d", h.Name, align, recordSize)
	}
	return nil
}

// DecodeExtHeader decodes the extension header at the start of b and returns it
// with its header data, a slice of b that includes the padding, and the size of
// all three in bytes.
func DecodeExtHeader(b []byte) (h ExtHeader, data []byte, size int, err error) {
	if len(b) < extHeaderSize {
		return h, nil, 0, vfs.Corrupt(0, "ext header: %d bytes left, want at least %d", len(b), extHeaderSize)
	}
	h = ExtHeader{
		HdrSize:      binary.LittleEndian.Uint32(b),
		ResetID:      binary.LittleEndian.Uint32(b[4:]),
		RecordOffset: binary.LittleEndian.Uint16(b[8:]),
		RecordSize:   binary.LittleEndian.Uint16(b[10:]),
		RecordAlign:  binary.LittleEndian.Uint16(b[12:]),
	}
	nameSize := int(binary.LittleEndian.Uint16(b[14:]))
	if nameSize > len(b)-extHeaderSize {
		return h, nil, 0, vfs.Corrupt(14, "ext header: name_size %d of %d bytes left", nameSize, len(b)-extHeaderSize)
	}
	h.Name = string(b[extHeaderSize : extHeaderSize+nameSize])
	if err := h.check(); err != nil {
		return h, nil, 0, err
	}
	start := pad8(extHeaderSize + nameSize)
	dataSize := pad8(int(h.HdrSize))
	if start > len(b) || dataSize > len(b)-start {
		return h, nil, 0, vfs.Corrupt(0, "ext header %q: hdr_size %d of %d bytes left", h.Name, h.HdrSize, len(b)-start)
	}
	return h, b[start : start+dataSize], start + dataSize, nil
}

// Append appends the header and data, its padded header data, to b: the inverse
// of DecodeExtHeader. len(b) must be a multiple of 8, counted from the start of the file.
func (h *ExtHeader) Append(b, data []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, h.HdrSize)
	b = binary.LittleEndian.AppendUint32(b, h.ResetID)
	b = binary.LittleEndian.AppendUint16(b, h.RecordOffset)
	b = binary.LittleEndian.AppendUint16(b, h.RecordSize)
	b = binary.LittleEndian.AppendUint16(b, h.RecordAlign)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(h.Name)))
	b = append(b, h.Name...)
	b = appendZeros(b, pad8(len(b)-start)-(len(b)-start))
	b = append(b, data...)
	return appendZeros(b, pad8(len(b)-start)-(len(b)-start))
}

// pad8 returns n rounded up to a multiple of 8.
func pad8(n int) int { return (n + 7) &^ 7 }

func appendZeros(b []byte, n int) []byte {
	for ; n > 0; n-- {
		b = append(b, 0)
	}
	return b
}
