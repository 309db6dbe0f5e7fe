package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// ext-intro payload, per extension; normally one (struct mail_transaction_ext_intro):
//
//	off  len  field         encoding
//	  0    4  ext_id        uint32, ordinal of an existing extension; 0xffffffff = by name
//	  4    4  reset_id      uint32
//	  8    4  hdr_size      uint32, bytes of header data
//	 12    2  record_size   uint16, bytes per message
//	 14    2  record_align  uint16
//	 16    2  flags         bit 0 = the extension must not shrink to these sizes
//	 18    2  name_size     uint16, 0 if ext_id is given
//	 20    n  name
//	             zero bytes up to a multiple of 4
const extIntroSize = 20

// ExtIDByName is the ExtID of an intro that has a name instead.
const ExtIDByName = 0xffffffff

const extIntroNoShrink = 0x0001

// ExtIntros is the payload of an ext-intro record.
type ExtIntros []ExtIntro

// ExtIntro chooses the extension that the following ext-reset, ext-hdr-update,
// ext-rec-update and ext-atomic-inc records are about, up to the next intro,
// and makes or resizes it when needed.
type ExtIntro struct {
	ExtID       uint32 // ordinal in the index, or ExtIDByName
	ResetID     uint32
	HdrSize     uint32 // bytes
	RecordSize  uint16 // bytes; also the size of the data in the following records
	RecordAlign uint16
	NoShrink    bool
	Name        string // empty if ExtID is an ordinal
}

// Type returns TypeExtIntro.
func (ExtIntros) Type() Type { return TypeExtIntro }

func decodeExtIntros(b []byte) (ExtIntros, error) {
	var is ExtIntros
	for off := 0; off < len(b); {
		rest := b[off:]
		if len(rest) < extIntroSize {
			if len(is) > 0 {
				break // padding
			}
			return nil, vfs.Corrupt(int64(off), "ext-intro: %d bytes, want at least %d", len(rest), extIntroSize)
		}
		nameSize := int(binary.LittleEndian.Uint16(rest[18:]))
		if nameSize > len(rest)-extIntroSize {
			return nil, vfs.Corrupt(int64(off), "ext-intro: name_size %d of %d bytes left", nameSize, len(rest)-extIntroSize)
		}
		is = append(is, ExtIntro{
			ExtID:       binary.LittleEndian.Uint32(rest),
			ResetID:     binary.LittleEndian.Uint32(rest[4:]),
			HdrSize:     binary.LittleEndian.Uint32(rest[8:]),
			RecordSize:  binary.LittleEndian.Uint16(rest[12:]),
			RecordAlign: binary.LittleEndian.Uint16(rest[14:]),
			NoShrink:    binary.LittleEndian.Uint16(rest[16:])&extIntroNoShrink != 0,
			Name:        string(rest[extIntroSize : extIntroSize+nameSize]),
		})
		off += pad4(extIntroSize + nameSize)
	}
	return is, nil
}

func (is ExtIntros) append(b []byte) []byte {
	start := len(b)
	for _, i := range is {
		b = binary.LittleEndian.AppendUint32(b, i.ExtID)
		b = binary.LittleEndian.AppendUint32(b, i.ResetID)
		b = binary.LittleEndian.AppendUint32(b, i.HdrSize)
		b = binary.LittleEndian.AppendUint16(b, i.RecordSize)
		b = binary.LittleEndian.AppendUint16(b, i.RecordAlign)
		var flags uint16
		if i.NoShrink {
			flags = extIntroNoShrink
		}
		b = binary.LittleEndian.AppendUint16(b, flags)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(i.Name)))
		b = append(b, i.Name...)
		b = appendPadding(b, start)
	}
	return b
}
