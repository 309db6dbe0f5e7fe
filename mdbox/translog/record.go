package translog

import (
	"encoding/binary"
	"fmt"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Record header, 8 bytes (dovecot src/lib-index/mail-transaction-log.h,
// struct mail_transaction_header):
//
//	off  len  field  encoding
//	  0    4  size   offset encoding (offset.go): bytes including this header, a multiple of 4, more than 8
//	  4    4  type   uint32: bits 0-27 record type, bit 28 external, bit 29 sync
const RecordHeaderSize = 8

// Type is the type of a record, without the flags. The values are on disk.
type Type uint32

// Record types. Expunge types carry the extra bits 0xcd90, so that no other
// value turns into one by a flipped bit; a comparison must be of the whole value.
const (
	TypeExpunge         Type = 0x00000001 | expungeProtection
	TypeAppend          Type = 0x00000002
	TypeFlagUpdate      Type = 0x00000004
	TypeHeaderUpdate    Type = 0x00000020
	TypeExtIntro        Type = 0x00000040
	TypeExtReset        Type = 0x00000080
	TypeExtHdrUpdate    Type = 0x00000100
	TypeExtRecUpdate    Type = 0x00000200
	TypeKeywordUpdate   Type = 0x00000400
	TypeKeywordReset    Type = 0x00000800
	TypeExtAtomicInc    Type = 0x00001000
	TypeExpungeGUID     Type = 0x00002000 | expungeProtection
	TypeModSeqUpdate    Type = 0x00008000
	TypeExtHdrUpdate32  Type = 0x00010000
	TypeIndexDeleted    Type = 0x00020000
	TypeIndexUndeleted  Type = 0x00040000
	TypeBoundary        Type = 0x00080000
	TypeAttributeUpdate Type = 0x00100000

	expungeProtection Type = 0xcd90
	typeMask          Type = 0x0fffffff
)

var typeNames = map[Type]string{
	TypeExpunge:         "expunge",
	TypeAppend:          "append",
	TypeFlagUpdate:      "flag-update",
	TypeHeaderUpdate:    "header-update",
	TypeExtIntro:        "ext-intro",
	TypeExtReset:        "ext-reset",
	TypeExtHdrUpdate:    "ext-hdr-update",
	TypeExtRecUpdate:    "ext-rec-update",
	TypeKeywordUpdate:   "keyword-update",
	TypeKeywordReset:    "keyword-reset",
	TypeExtAtomicInc:    "ext-atomic-inc",
	TypeExpungeGUID:     "expunge-guid",
	TypeModSeqUpdate:    "modseq-update",
	TypeExtHdrUpdate32:  "ext-hdr-update32",
	TypeIndexDeleted:    "index-deleted",
	TypeIndexUndeleted:  "index-undeleted",
	TypeBoundary:        "boundary",
	TypeAttributeUpdate: "attribute-update",
}

// Known reports whether t is a record type that this package decodes.
func (t Type) Known() bool { return typeNames[t] != "" }

// String returns the type's name as in the documentation of the format.
func (t Type) String() string {
	if s := typeNames[t]; s != "" {
		return s
	}
	return fmt.Sprintf("unknown-%#x", uint32(t))
}

const (
	flagExternal = 0x10000000
	flagSync     = 0x20000000
)

// RecordHeader is the header of a record.
type RecordHeader struct {
	Size uint32 // bytes including this header; more than 8, a multiple of 4, at most MaxOffset
	Type Type
	// External: the change has already happened in the mailbox. Without it an
	// expunge is only a request; for other types both are applied alike.
	External bool
	// Sync: written by a replication; means nothing to a reader.
	Sync bool
}

// DecodeRecordHeader decodes the record header at the start of b. complete is
// false when the header is still being written: there are fewer than 8 bytes,
// or its size or type is not yet set.
func DecodeRecordHeader(b []byte) (h RecordHeader, complete bool, err error) {
	if len(b) < RecordHeaderSize {
		return RecordHeader{}, false, nil
	}
	size, v := DecodeOffset([4]byte(b[:4])), binary.LittleEndian.Uint32(b[4:])
	if size == 0 || v == 0 {
		return RecordHeader{}, false, nil
	}
	if size <= RecordHeaderSize {
		return RecordHeader{}, true, vfs.Corrupt(0, "record header: size %d, want more than %d", size, RecordHeaderSize)
	}
	return RecordHeader{
		Size:     size,
		Type:     Type(v) & typeMask,
		External: v&flagExternal != 0,
		Sync:     v&flagSync != 0,
	}, true, nil
}

// Append appends the 8 bytes of the header to b: the inverse of DecodeRecordHeader.
func (h RecordHeader) Append(b []byte) []byte {
	size := EncodeOffset(h.Size)
	v := uint32(h.Type & typeMask)
	if h.External {
		v |= flagExternal
	}
	if h.Sync {
		v |= flagSync
	}
	b = append(b, size[:]...)
	return binary.LittleEndian.AppendUint32(b, v)
}
