package mailboxlist

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Record data with the STATUS values of a mailbox (dovecot
// src/lib-storage/list/mailbox-list-index.h,
// src/lib-storage/index/index-storage.c). They are right only while IndexSync
// describes the mailbox's dovecot.index.log as it is, and never for INBOX.

// MessageCounts is the record data of msgs: four uint32. UIDNext 0 = nothing is known.
type MessageCounts struct {
	Messages, Unseen, Recent, UIDNext uint32
}

// DecodeMessageCounts decodes 16 bytes.
func DecodeMessageCounts(b []byte) (MessageCounts, error) {
	if len(b) < 16 {
		return MessageCounts{}, vfs.Corrupt(0, "msgs record has 16 bytes")
	}
	u32 := binary.LittleEndian.Uint32
	return MessageCounts{u32(b), u32(b[4:]), u32(b[8:]), u32(b[12:])}, nil
}

// Append is the inverse of DecodeMessageCounts.
func (c MessageCounts) Append(b []byte) []byte {
	for _, v := range [...]uint32{c.Messages, c.Unseen, c.Recent, c.UIDNext} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// DecodeHighestModSeq decodes the record data of hmodseq: uint64, 0 = not known.
func DecodeHighestModSeq(b []byte) (uint64, error) {
	if len(b) < 8 {
		return 0, vfs.Corrupt(0, "hmodseq record has 8 bytes")
	}
	return binary.LittleEndian.Uint64(b), nil
}

// AppendHighestModSeq is the inverse of DecodeHighestModSeq.
func AppendHighestModSeq(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// IndexSync is the record data of "index sync": size and mtime of the mailbox's
// dovecot.index.log when the values were written, both in 32 bits; zeros = not known.
type IndexSync struct {
	Size  uint32 // bytes
	Mtime uint32 // UNIX time
}

// DecodeIndexSync decodes 8 bytes.
func DecodeIndexSync(b []byte) (IndexSync, error) {
	if len(b) < 8 {
		return IndexSync{}, vfs.Corrupt(0, "index sync record has 8 bytes")
	}
	return IndexSync{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}, nil
}

// Append is the inverse of DecodeIndexSync.
func (s IndexSync) Append(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, s.Size), s.Mtime)
}

// Matches reports whether the values written with s are right for a mailbox whose
// dovecot.index.log is st.
func (s IndexSync) Matches(st vfs.Info) bool {
	return s != IndexSync{} && s.Size == uint32(st.Size) && s.Mtime == uint32(st.Mtime/1e9)
}

// SizeSum is the record data of vsize: uint64 sum of virtual sizes, uint32
// highest UID counted, uint32 messages counted.
type SizeSum struct {
	Bytes      uint64
	HighestUID uint32
	Messages   uint32
}

// DecodeSizeSum decodes 16 bytes.
func DecodeSizeSum(b []byte) (SizeSum, error) {
	if len(b) < 16 {
		return SizeSum{}, vfs.Corrupt(0, "vsize record has 16 bytes")
	}
	return SizeSum{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])}, nil
}

// Append is the inverse of DecodeSizeSum.
func (s SizeSum) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.Bytes)
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, s.HighestUID), s.Messages)
}

// FirstSaved is the record data of 1saved: UID of the first message and the time it
// was saved. Saved 0 = not known; UID 0 with Saved 0xffffffff = no messages.
type FirstSaved struct {
	UID   uint32
	Saved uint32 // UNIX time
}

// DecodeFirstSaved decodes 8 bytes.
func DecodeFirstSaved(b []byte) (FirstSaved, error) {
	if len(b) < 8 {
		return FirstSaved{}, vfs.Corrupt(0, "1saved record has 8 bytes")
	}
	return FirstSaved{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}, nil
}

// Append is the inverse of DecodeFirstSaved.
func (s FirstSaved) Append(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, s.UID), s.Saved)
}
