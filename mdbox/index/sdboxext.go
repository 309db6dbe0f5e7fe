package index

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Extension of the index of an sdbox mailbox (dovecot src/lib-storage/index/dbox-single/sdbox-storage.h, struct
// sdbox_index_header). It has header data only, 24 bytes; older ones are shorter:
//
//	off  len  field          encoding
//	  0    4  rebuild_count  uint32
//	  4   16  mailbox_guid
//	 20    1  flags          as those of mdbox-hdr
//	 21    3  unused
const (
	// ExtSdboxHeader holds the GUID of the mailbox.
	ExtSdboxHeader = "dbox-hdr"

	sdboxHeaderSize = 24
	sdboxHeaderMin  = 4
)

// SdboxFlagAlt is set in the record flags of a message whose file is in ALT storage.
const SdboxFlagAlt uint8 = 0x40

// SdboxHeader is the header data of the extension dbox-hdr.
type SdboxHeader struct {
	RebuildCount uint32   // how many times the mailbox was rebuilt from its files
	MailboxGUID  [16]byte // zero: not known
	Flags        uint8    // as of MdboxHeader
}

// DecodeSdboxHeader decodes the header data of the extension dbox-hdr; fields that older ones lack are zero.
func DecodeSdboxHeader(b []byte) (SdboxHeader, error) {
	if len(b) < sdboxHeaderMin || len(b) > sdboxHeaderSize {
		return SdboxHeader{}, vfs.Corrupt(0, "dbox-hdr: %d bytes, want %d to %d", len(b), sdboxHeaderMin, sdboxHeaderSize)
	}
	var full [sdboxHeaderSize]byte
	copy(full[:], b)
	return SdboxHeader{RebuildCount: binary.LittleEndian.Uint32(full[:]), MailboxGUID: [16]byte(full[4:]), Flags: full[20]}, nil
}

// Append appends the 24 bytes of h to b: the inverse of DecodeSdboxHeader.
func (h SdboxHeader) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, h.RebuildCount)
	b = append(b, h.MailboxGUID[:]...)
	return append(b, h.Flags, 0, 0, 0)
}
