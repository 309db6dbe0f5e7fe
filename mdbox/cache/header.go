package cache

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// File header, 32 bytes (dovecot src/lib-index/mail-cache-private.h, struct mail_cache_header):
//
//	off  len  field                   encoding
//	  0    1  major_version           1
//	  1    1  compat_sizeof_uoff_t    8
//	  2    1  minor_version           1; 0 = the next purge upgrades it
//	  3    1  unused
//	  4    4  indexid                 uint32: that of the index
//	  8    4  file_seq                uint32, not 0: the reset_id of the index's cache extension
//	 12    4  continued_record_count  uint32: records that others refer to by prev_offset
//	 16    4  record_count            uint32: messages with a record
//	 20    4  used_file_size          uint32: file size at the last purge; ignored
//	 24    4  deleted_record_count    uint32: expunged messages that had a record
//	 28    4  field_header_offset     encoded offset (package translog) of the first field table; 0 = none
//
// Integers are in the byte order of the host that wrote them; only little-endian
// files are read.
const (
	HeaderSize   = 32
	majorVersion = 1
	sizeofOffset = 8
	// headerTableOffset is where the header has the offset of the first field table.
	headerTableOffset = 28
)

// Header is the file header. Counters are statistics only.
type Header struct {
	MinorVersion uint8
	Unused       uint8
	IndexID      uint32
	FileSeq      uint32
	Continued    uint32 // records reached through prev_offset
	Records      uint32 // messages with a record
	UsedFileSize uint32 // bytes at the last purge
	Deleted      uint32 // expunged messages that had a record
	FirstTable   uint32 // offset of the first field table in bytes, a multiple of 4; 0 = none
}

// DecodeHeader decodes the header at the start of b.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, vfs.Corrupt(0, "cache header has %d bytes", HeaderSize)
	}
	if b[0] != majorVersion {
		return Header{}, vfs.Corrupt(0, "cache major version is %d", majorVersion)
	}
	if b[1] != sizeofOffset {
		return Header{}, vfs.Corrupt(1, "cache offsets have %d bytes", sizeofOffset)
	}
	u32 := binary.LittleEndian.Uint32
	h := Header{
		MinorVersion: b[2],
		Unused:       b[3],
		IndexID:      u32(b[4:]),
		FileSeq:      u32(b[8:]),
		Continued:    u32(b[12:]),
		Records:      u32(b[16:]),
		UsedFileSize: u32(b[20:]),
		Deleted:      u32(b[24:]),
	}
	if h.FileSeq == 0 {
		return Header{}, vfs.Corrupt(8, "cache file_seq is not 0")
	}
	h.FirstTable = translog.DecodeOffset([4]byte(b[28:]))
	return h, nil
}

// Append appends the header, 32 bytes.
func (h Header) Append(b []byte) []byte {
	b = append(b, majorVersion, sizeofOffset, h.MinorVersion, h.Unused)
	for _, v := range [...]uint32{h.IndexID, h.FileSeq, h.Continued, h.Records, h.UsedFileSize, h.Deleted} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return appendOffset(b, h.FirstTable)
}

// appendOffset appends an encoded offset; 0 stands for none and is zero bytes.
func appendOffset(b []byte, off uint32) []byte {
	if off == 0 {
		return append(b, 0, 0, 0, 0)
	}
	enc := translog.EncodeOffset(off)
	return append(b, enc[:]...)
}
