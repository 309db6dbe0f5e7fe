package index

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Extensions of the index of an mdbox mailbox (dovecot
// src/lib-storage/index/dbox-multi/mdbox-storage.h).
//
// Header data of "mdbox-hdr", 24 bytes; older ones have 4 or 20:
//
//	off  len  field             encoding
//	  0    4  map_uid_validity  uint32, uid_validity of the map
//	  4   16  mailbox_guid
//	 20    1  flags             1 = some messages have POP3 UIDLs, 2 = POP3 orders
//	 21    3  unused
//
// Record data of "mdbox", 8 bytes:
//
//	off  len  field      encoding
//	  0    4  map_uid    uint32, 0 = corrupted
//	  4    4  save_date  uint32, UNIX time
//
// Record data of "guid", 16 bytes: the GUID of the message.
const (
	// ExtMdboxHeader ties the mailbox to a map and holds its GUID.
	ExtMdboxHeader = "mdbox-hdr"
	// ExtMdbox has the map UID of each message.
	ExtMdbox = "mdbox"
	// ExtGUID has the 128-bit GUID of each message.
	ExtGUID = "guid"

	mdboxHeaderSize     = 24
	mdboxHeaderSize20   = 20
	mdboxHeaderSizeOld  = 4
	mdboxRecordSize     = 8
	guidRecordSize      = 16
	offMdboxHeaderGUID  = 4
	offMdboxHeaderFlags = 20
)

// Flags of MdboxHeader.
const (
	MdboxHavePOP3UIDLs  uint8 = 0x01
	MdboxHavePOP3Orders uint8 = 0x02
)

// MdboxHeader is the header data of the extension mdbox-hdr.
type MdboxHeader struct {
	MapUIDValidity uint32   // must be the uid_validity of the map
	MailboxGUID    [16]byte // zero: not known
	Flags          uint8
}

// DecodeMdboxHeader decodes the header data of the extension mdbox-hdr; fields
// that older ones lack are zero.
func DecodeMdboxHeader(b []byte) (MdboxHeader, error) {
	switch len(b) {
	case mdboxHeaderSize, mdboxHeaderSize20, mdboxHeaderSizeOld:
	default:
		return MdboxHeader{}, vfs.Corrupt(0, "mdbox-hdr: %d bytes, want %d", len(b), mdboxHeaderSize)
	}
	h := MdboxHeader{MapUIDValidity: binary.LittleEndian.Uint32(b)}
	if len(b) >= mdboxHeaderSize20 {
		h.MailboxGUID = [16]byte(b[offMdboxHeaderGUID:])
	}
	if len(b) >= mdboxHeaderSize {
		h.Flags = b[offMdboxHeaderFlags]
	}
	return h, nil
}

// Append appends the 24 bytes of h to b: the inverse of DecodeMdboxHeader.
func (h MdboxHeader) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, h.MapUIDValidity)
	b = append(b, h.MailboxGUID[:]...)
	return append(b, h.Flags, 0, 0, 0)
}

// MdboxRecord is the record data of the extension mdbox.
type MdboxRecord struct {
	MapUID   uint32 // UID in the map; 0 = the record is corrupted
	SaveDate uint32 // UNIX time
}

// DecodeMdboxRecord decodes the record data of the extension mdbox.
func DecodeMdboxRecord(b []byte) (MdboxRecord, error) {
	if len(b) != mdboxRecordSize {
		return MdboxRecord{}, vfs.Corrupt(0, "mdbox record: %d bytes, want %d", len(b), mdboxRecordSize)
	}
	return MdboxRecord{MapUID: binary.LittleEndian.Uint32(b), SaveDate: binary.LittleEndian.Uint32(b[4:])}, nil
}

// Append appends the 8 bytes of r to b: the inverse of DecodeMdboxRecord.
func (r MdboxRecord) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, r.MapUID)
	return binary.LittleEndian.AppendUint32(b, r.SaveDate)
}

// DecodeGUID decodes the record data of the extension guid.
func DecodeGUID(b []byte) ([16]byte, error) {
	if len(b) != guidRecordSize {
		return [16]byte{}, vfs.Corrupt(0, "guid record: %d bytes, want %d", len(b), guidRecordSize)
	}
	return [16]byte(b), nil
}
