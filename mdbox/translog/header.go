package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// File header, 40 bytes (dovecot src/lib-index/mail-transaction-log.h,
// struct mail_transaction_log_header):
//
//	off  len  field             encoding
//	  0    1  major_version     1; anything else makes the file unreadable
//	  1    1  minor_version     3; what lower ones lack is said at the fields
//	  2    2  hdr_size          uint16, 24..; the records start here
//	  4    4  indexid           uint32, as in the index; 0 = marked as corrupted
//	  8    4  file_seq          uint32, number of this file, 1..
//	 12    4  prev_file_seq     uint32; 0 = this file starts the index from nothing
//	 16    4  prev_file_offset  uint32, where the previous file ended
//	 20    4  create_stamp      uint32, UNIX time
//	 24    8  initial_modseq    uint64, highest modseq at hdr_size; minor >= 1, else 0
//	 32    1  compat_flags      bit 0 = little-endian; minor >= 2
//	 33    7  unused            0
//
// Fields beyond hdr_size count as 0, bytes between 40 and hdr_size are kept.
const (
	// HeaderSize is the size of the file headers that are written today, in bytes.
	HeaderSize = 40

	majorVersion        = 1
	minHeaderSize       = 24
	compatLittleEndian  = 0x01
	minorInitialModSeq  = 1 // first minor version with initial_modseq
	minorCompatFlags    = 2 // first minor version with compat_flags
	minorInternalFlags  = 3 // first minor version where internal flag updates do not count for modseqs
	currentMinorVersion = 3
)

// Header is the header of a log file.
type Header struct {
	MinorVersion   uint8
	HdrSize        uint16 // bytes; the first record is here
	IndexID        uint32 // 0: some process marked the log as corrupted
	FileSeq        uint32
	PrevFileSeq    uint32 // 0: see Resets
	PrevFileOffset uint32 // bytes
	CreateStamp    uint32 // UNIX time
	InitialModSeq  uint64 // 0 in logs older than minor version 1
	CompatFlags    uint8
	Unknown        []byte // what a newer writer put behind our 40 bytes
}

// NewHeader returns the header of a log file with today's version and size.
func NewHeader() Header {
	return Header{MinorVersion: currentMinorVersion, HdrSize: HeaderSize, CompatFlags: compatLittleEndian}
}

// Resets reports whether the index is empty where this file starts, so that
// whatever an earlier file or dovecot.index says is void.
func (h *Header) Resets() bool { return h.PrevFileSeq == 0 }

// Old reports whether the file is of an older version than those that are written
// today, and should give way to a new one.
func (h *Header) Old() bool { return h.MinorVersion < currentMinorVersion }

// Start is the position of the first record.
func (h *Header) Start() Pos { return Pos{h.FileSeq, uint32(h.HdrSize)} }

// DecodeHeader decodes the file header at the start of b. Bytes behind it are
// ignored. The result does not refer to b.
//
// A log marked as corrupted (IndexID 0) decodes without error: what is to be
// done about it depends on what else there is.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < minHeaderSize {
		return Header{}, vfs.Corrupt(0, "log header: %d bytes, want %d", len(b), HeaderSize)
	}
	if b[0] != majorVersion {
		return Header{}, vfs.Corrupt(0, "log header: major_version %d, want %d", b[0], majorVersion)
	}
	size := int(binary.LittleEndian.Uint16(b[2:]))
	if size < minHeaderSize || size > len(b) {
		return Header{}, vfs.Corrupt(2, "log header: hdr_size %d, want %d..%d", size, minHeaderSize, len(b))
	}
	var full [HeaderSize]byte
	copy(full[:], b[:size])
	h := Header{
		MinorVersion:   full[1],
		HdrSize:        uint16(size),
		IndexID:        binary.LittleEndian.Uint32(full[4:]),
		FileSeq:        binary.LittleEndian.Uint32(full[8:]),
		PrevFileSeq:    binary.LittleEndian.Uint32(full[12:]),
		PrevFileOffset: binary.LittleEndian.Uint32(full[16:]),
		CreateStamp:    binary.LittleEndian.Uint32(full[20:]),
	}
	if h.MinorVersion >= minorInitialModSeq {
		h.InitialModSeq = binary.LittleEndian.Uint64(full[24:])
	}
	if h.MinorVersion >= minorCompatFlags {
		h.CompatFlags = full[32]
		if h.CompatFlags != compatLittleEndian {
			return Header{}, vfs.Corrupt(32, "log header: compat_flags %#x, want %#x: written by a host of another byte order", h.CompatFlags, compatLittleEndian)
		}
	}
	if h.FileSeq == 0 {
		return Header{}, vfs.Corrupt(8, "log header: file_seq 0")
	}
	if h.PrevFileSeq >= h.FileSeq {
		return Header{}, vfs.Corrupt(12, "log header: prev_file_seq %d, want less than file_seq %d", h.PrevFileSeq, h.FileSeq)
	}
	if size > HeaderSize {
		h.Unknown = append([]byte(nil), b[HeaderSize:size]...)
	}
	return h, nil
}

// headerSize returns the hdr_size of the header at the start of b, 0 if it is not there.
func headerSize(b []byte) int64 {
	if len(b) < minHeaderSize {
		return 0
	}
	return int64(binary.LittleEndian.Uint16(b[2:]))
}

// Append appends the header's HdrSize bytes to b: the inverse of DecodeHeader.
// A header of fewer than 40 bytes loses the fields that it has no room for.
func (h *Header) Append(b []byte) []byte {
	start := len(b)
	b = append(b, majorVersion, h.MinorVersion)
	b = binary.LittleEndian.AppendUint16(b, h.HdrSize)
	b = binary.LittleEndian.AppendUint32(b, h.IndexID)
	b = binary.LittleEndian.AppendUint32(b, h.FileSeq)
	b = binary.LittleEndian.AppendUint32(b, h.PrevFileSeq)
	b = binary.LittleEndian.AppendUint32(b, h.PrevFileOffset)
	b = binary.LittleEndian.AppendUint32(b, h.CreateStamp)
	b = binary.LittleEndian.AppendUint64(b, h.InitialModSeq)
	b = append(b, h.CompatFlags, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, h.Unknown...)
	return b[:min(len(b), start+int(h.HdrSize))]
}
