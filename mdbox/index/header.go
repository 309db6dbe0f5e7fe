package index

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Base header, 120 bytes (dovecot src/lib-index/mail-index.h, struct mail_index_header):
//
//	off  len  field                      encoding
//	  0    1  major_version              7; anything else makes the file unreadable
//	  1    1  minor_version              3; lower ones are upgraded when decoded
//	  2    2  base_header_size           uint16, at least 120
//	  4    4  header_size                uint32, base and ext headers
//	  8    4  record_size                uint32, at least 5
//	 12    1  compat_flags               1 = little-endian
//	 13    3  unused                     0
//	 16    4  indexid                    uint32, UNIX time of the index's creation
//	 20    4  flags                      uint32
//	 24    4  uid_validity               uint32, 0 = mailbox is just being created
//	 28    4  next_uid                   uint32, 1..
//	 32    4  messages_count             uint32
//	 36    4  unused                     0
//	 40    4  seen_messages_count        uint32
//	 44    4  deleted_messages_count     uint32
//	 48    4  first_recent_uid           uint32, 1..next_uid
//	 52    4  first_unseen_uid_lowwater  uint32
//	 56    4  first_deleted_uid_lowwater uint32
//	 60    4  log_file_seq               uint32
//	 64    4  log_file_tail_offset       uint32
//	 68    4  log_file_head_offset       uint32
//	 72    4  unused                     0
//	 76    4  log2_rotate_time           uint32, UNIX time; 0 = unknown, 0xffffffff = no .log.2
//	 80    4  last_temp_file_scan        uint32, UNIX time; 0 = unknown
//	 84    4  day_stamp                  uint32, UNIX time
//	 88   32  day_first_uid[8]           uint32 each
//
// Header updates in the log write into these bytes, so they are kept encoded
// and their fields are read by name.
const (
	// HeaderSize is the size of the base headers that are written today, in bytes.
	HeaderSize = 120

	majorVersion       = 7
	minorVersion       = 3
	compatLittleEndian = 0x01

	offBaseHeaderSize   = 2
	offHeaderSize       = 4
	offRecordSize       = 8
	offCompatFlags      = 12
	offIndexID          = 16
	offFlags            = 20
	offUIDValidity      = 24
	offNextUID          = 28
	offMessagesCount    = 32
	offUnusedRecent     = 36
	offSeenCount        = 40
	offDeletedCount     = 44
	offFirstRecentUID   = 48
	offUnseenLowwater   = 52
	offDeletedLowwater  = 56
	offLogFileSeq       = 60
	offLogTailOffset    = 64
	offLogHeadOffset    = 68
	offUnusedSyncSize   = 72
	offLog2RotateTime   = 76
	offLastTempFileScan = 80
	offDayStamp         = 84
	offDayFirstUID      = 88
)

// Header flags, HeaderFlags.
const (
	FlagHeaderCorrupted uint32 = 0x0001 // never on disk
	FlagHaveDirty       uint32 = 0x0002
	FlagFsckd           uint32 = 0x0004 // the index was repaired; mdbox then rebuilds the storage
)

// Header is a base header: its bytes, 120 or more. What is beyond 120 was put
// there by a newer writer and is kept.
type Header struct{ b []byte }

// newHeader returns the header of an index in which nothing happened yet.
func newHeader() Header {
	h := Header{make([]byte, HeaderSize)}
	h.b[0], h.b[1] = majorVersion, minorVersion
	binary.LittleEndian.PutUint16(h.b[offBaseHeaderSize:], HeaderSize)
	h.set(offHeaderSize, HeaderSize)
	h.set(offRecordSize, minRecordSize)
	h.b[offCompatFlags] = compatLittleEndian
	h.set(offNextUID, 1)
	h.set(offFirstRecentUID, 1)
	return h
}

func (h Header) get(off int) uint32    { return binary.LittleEndian.Uint32(h.b[off:]) }
func (h Header) set(off int, v uint32) { binary.LittleEndian.PutUint32(h.b[off:], v) }

// MinorVersion is 3, or what a newer writer put there.
func (h Header) MinorVersion() uint8 { return h.b[1] }

// BaseHeaderSize is the size of this header in bytes.
func (h Header) BaseHeaderSize() int { return len(h.b) }

// HeaderSize is the size of base and extension headers in the snapshot, in bytes.
func (h Header) HeaderSize() uint32 { return h.get(offHeaderSize) }

// RecordSize is the size of a record in the snapshot, in bytes.
func (h Header) RecordSize() uint32 { return h.get(offRecordSize) }

// IndexID is the same in all files of an index; the UNIX time of its creation.
func (h Header) IndexID() uint32 { return h.get(offIndexID) }

// Flags is a set of FlagHaveDirty and FlagFsckd.
func (h Header) Flags() uint32 { return h.get(offFlags) }

// UIDValidity is 0 only while the mailbox is being created.
func (h Header) UIDValidity() uint32 { return h.get(offUIDValidity) }

// NextUID is greater than every UID ever used.
func (h Header) NextUID() uint32 { return h.get(offNextUID) }

// Messages is the number of messages.
func (h Header) Messages() uint32 { return h.get(offMessagesCount) }

// Seen is the number of messages with \Seen.
func (h Header) Seen() uint32 { return h.get(offSeenCount) }

// Deleted is the number of messages with \Deleted.
func (h Header) Deleted() uint32 { return h.get(offDeletedCount) }

// FirstRecentUID: messages with this or a higher UID are \Recent for the next
// session that may change the mailbox.
func (h Header) FirstRecentUID() uint32 { return h.get(offFirstRecentUID) }

// FirstUnseenLowwater: no message with a lower UID lacks \Seen. Only a bound.
func (h Header) FirstUnseenLowwater() uint32 { return h.get(offUnseenLowwater) }

// FirstDeletedLowwater: no message with a lower UID has \Deleted. Only a bound.
func (h Header) FirstDeletedLowwater() uint32 { return h.get(offDeletedLowwater) }

// LogHead is the log position up to which the snapshot contains the log.
func (h Header) LogHead() translog.Pos {
	return translog.Pos{FileSeq: h.get(offLogFileSeq), Offset: h.get(offLogHeadOffset)}
}

// LogTail is the log position up to which the changes were carried out in the
// mailbox. Requests between it and LogHead are still waiting for that.
func (h Header) LogTail() translog.Pos {
	return translog.Pos{FileSeq: h.get(offLogFileSeq), Offset: h.get(offLogTailOffset)}
}

// Log2RotateTime is the UNIX time when .log became .log.2; 0 = unknown,
// 0xffffffff = there is no .log.2.
func (h Header) Log2RotateTime() uint32 { return h.get(offLog2RotateTime) }

// LastTempFileScan is the UNIX time of the last scan for stale temporary files, 0 = unknown.
func (h Header) LastTempFileScan() uint32 { return h.get(offLastTempFileScan) }

// DayStamp is the UNIX time of local midnight of the day of the last append.
func (h Header) DayStamp() uint32 { return h.get(offDayStamp) }

// DayFirstUID returns the first UID appended on the day of DayStamp (day 0), or
// on one of the seven days before it.
func (h Header) DayFirstUID(day int) uint32 { return h.get(offDayFirstUID + 4*(day&7)) }

// DecodeHeader decodes the base header at the start of b. Bytes behind it are
// ignored. The header has its own copy of the bytes, upgraded to minor version 3.
// The error is a *vfs.CorruptError that names the broken rule.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, vfs.Corrupt(0, "index header: %d bytes, want at least %d", len(b), HeaderSize)
	}
	if b[0] != majorVersion {
		return Header{}, vfs.Corrupt(0, "index header: major_version %d, want %d", b[0], majorVersion)
	}
	if b[offCompatFlags] != compatLittleEndian {
		return Header{}, vfs.Corrupt(offCompatFlags, "index header: compat_flags %#x, want %#x: written by a host of another byte order", b[offCompatFlags], compatLittleEndian)
	}
	size := int(binary.LittleEndian.Uint16(b[offBaseHeaderSize:]))
	if size < HeaderSize || size > len(b) {
		return Header{}, vfs.Corrupt(offBaseHeaderSize, "index header: base_header_size %d, want %d..%d", size, HeaderSize, len(b))
	}
	h := Header{append([]byte(nil), b[:size]...)}
	h.upgrade()
	return h, h.check()
}

// upgrade makes a header of an older minor version look like one of minor
// version 3. The records' part of the upgrade is in snapshot.go.
func (h Header) upgrade() {
	if h.b[1] == 0 {
		h.set(offUnusedRecent, 0)
		if h.get(offFirstRecentUID) == 0 {
			h.set(offFirstRecentUID, 1)
		}
	}
	if h.b[1] < minorVersion {
		h.set(offUnusedSyncSize, 0)
		h.set(offLog2RotateTime, 0)
		h.set(offLastTempFileScan, 0)
		h.b[1] = minorVersion
	}
}

// check returns the first rule that h breaks, or nil.
func (h Header) check() error {
	next := h.NextUID()
	switch {
	case h.Flags()&FlagHeaderCorrupted != 0:
		return vfs.Corrupt(offFlags, "index header: flags %#x say that it is corrupted", h.Flags())
	case next == 0:
		return vfs.Corrupt(offNextUID, "index header: next_uid 0")
	case h.UIDValidity() == 0 && next != 1:
		return vfs.Corrupt(offUIDValidity, "index header: uid_validity 0, next_uid %d", next)
	case h.RecordSize() < recordDataOffset:
		return vfs.Corrupt(offRecordSize, "index header: record_size %d, want at least %d", h.RecordSize(), recordDataOffset)
	case h.HeaderSize() < uint32(len(h.b)):
		return vfs.Corrupt(offHeaderSize, "index header: header_size %d, want at least base_header_size %d", h.HeaderSize(), len(h.b))
	case h.Seen() > h.Messages():
		return vfs.Corrupt(offSeenCount, "index header: seen_messages_count %d of %d messages", h.Seen(), h.Messages())
	case h.Deleted() > h.Messages():
		return vfs.Corrupt(offDeletedCount, "index header: deleted_messages_count %d of %d messages", h.Deleted(), h.Messages())
	case h.FirstRecentUID() == 0 || h.FirstRecentUID() > next:
		return vfs.Corrupt(offFirstRecentUID, "index header: first_recent_uid %d, want 1..next_uid %d", h.FirstRecentUID(), next)
	case h.FirstUnseenLowwater() > next:
		return vfs.Corrupt(offUnseenLowwater, "index header: first_unseen_uid_lowwater %d, want at most next_uid %d", h.FirstUnseenLowwater(), next)
	case h.FirstDeletedLowwater() > next:
		return vfs.Corrupt(offDeletedLowwater, "index header: first_deleted_uid_lowwater %d, want at most next_uid %d", h.FirstDeletedLowwater(), next)
	case h.LogTail().Offset > h.LogHead().Offset:
		return vfs.Corrupt(offLogTailOffset, "index header: log_file_tail_offset %d beyond head %d", h.LogTail().Offset, h.LogHead().Offset)
	}
	return nil
}

// Append appends the header's bytes to b: the inverse of DecodeHeader.
func (h Header) Append(b []byte) []byte { return append(b, h.b...) }

func (h Header) clone() Header { return Header{append([]byte(nil), h.b...)} }
