package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// header-update and ext-hdr-update payload, per entry
// (struct mail_transaction_header_update, mail_transaction_ext_hdr_update):
//
//	off  len  field   encoding
//	  0    2  offset  uint16, in the base header, or in the extension's header data
//	  2    2  size    uint16
//	  4    n  data
//	             zero bytes up to a multiple of 4
//
// ext-hdr-update32 payload (struct mail_transaction_ext_hdr_update32): the
// same with 4 bytes for each of offset and size, for header data of 64 KiB and more.
const (
	headerUpdateSize   = 4
	headerUpdate32Size = 8
)

// HeaderUpdate writes Data at Offset of a header.
type HeaderUpdate struct {
	Offset uint32 // bytes; below 64 KiB but in ExtHdrUpdates32
	Data   []byte // refers to the decoded slice
}

// HeaderUpdates is the payload of a header-update record: changes of the base
// header of the index.
type HeaderUpdates []HeaderUpdate

// Type returns TypeHeaderUpdate.
func (HeaderUpdates) Type() Type { return TypeHeaderUpdate }

func decodeHeaderUpdates(b []byte) (HeaderUpdates, error) {
	us, err := decodeUpdates("header-update", b)
	return us, err
}

func (us HeaderUpdates) append(b []byte) []byte { return appendUpdates(b, us) }

// ExtHdrUpdates is the payload of an ext-hdr-update record: changes of the
// header data of the introduced extension.
type ExtHdrUpdates []HeaderUpdate

// Type returns TypeExtHdrUpdate.
func (ExtHdrUpdates) Type() Type { return TypeExtHdrUpdate }

func decodeExtHdrUpdates(b []byte) (ExtHdrUpdates, error) {
	us, err := decodeUpdates("ext-hdr-update", b)
	return us, err
}

func (us ExtHdrUpdates) append(b []byte) []byte { return appendUpdates(b, us) }

// ExtHdrUpdates32 is the payload of an ext-hdr-update32 record.
type ExtHdrUpdates32 []HeaderUpdate

// Type returns TypeExtHdrUpdate32.
func (ExtHdrUpdates32) Type() Type { return TypeExtHdrUpdate32 }

func decodeUpdates(what string, b []byte) ([]HeaderUpdate, error) {
	var us []HeaderUpdate
	for off := 0; off < len(b); {
		rest := b[off:]
		if len(rest) < headerUpdateSize {
			return nil, vfs.Corrupt(int64(off), "%s: %d bytes left, want at least %d", what, len(rest), headerUpdateSize)
		}
		size := int(binary.LittleEndian.Uint16(rest[2:]))
		if size > len(rest)-headerUpdateSize {
			return nil, vfs.Corrupt(int64(off), "%s: size %d of %d bytes left", what, size, len(rest)-headerUpdateSize)
		}
		us = append(us, HeaderUpdate{
			Offset: uint32(binary.LittleEndian.Uint16(rest)),
			Data:   rest[headerUpdateSize : headerUpdateSize+size : headerUpdateSize+size],
		})
		off += pad4(headerUpdateSize + size)
	}
	return us, nil
}

func appendUpdates(b []byte, us []HeaderUpdate) []byte {
	start := len(b)
	for _, u := range us {
		b = binary.LittleEndian.AppendUint16(b, uint16(u.Offset))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(u.Data)))
		b = append(b, u.Data...)
		b = appendPadding(b, start)
	}
	return b
}

func decodeExtHdrUpdates32(b []byte) (ExtHdrUpdates32, error) {
	var us ExtHdrUpdates32
	for off := 0; off < len(b); {
		rest := b[off:]
		if len(rest) < headerUpdate32Size {
			return nil, vfs.Corrupt(int64(off), "ext-hdr-update32: %d bytes left, want at least %d", len(rest), headerUpdate32Size)
		}
		size := binary.LittleEndian.Uint32(rest[4:])
		if uint64(size) > uint64(len(rest)-headerUpdate32Size) {
			return nil, vfs.Corrupt(int64(off), "ext-hdr-update32: size %d of %d bytes left", size, len(rest)-headerUpdate32Size)
		}
		end := headerUpdate32Size + int(size)
		us = append(us, HeaderUpdate{Offset: binary.LittleEndian.Uint32(rest), Data: rest[headerUpdate32Size:end:end]})
		off += pad4(end)
	}
	return us, nil
}

func (us ExtHdrUpdates32) append(b []byte) []byte {
	start := len(b)
	for _, u := range us {
		b = binary.LittleEndian.AppendUint32(b, u.Offset)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(u.Data)))
		b = append(b, u.Data...)
		b = appendPadding(b, start)
	}
	return b
}
