package dbox

import (
	"github.com/roostmail/roost/mdbox/vfs"
)

// Message header (dovecot src/lib-storage/index/dbox-common/dbox-file.h, struct dbox_message_header):
//
//	off  len  field
//	  0    2  magic 01 02
//	  2    1  type, 'N' = normal
//	  3    1  space
//	  4    8  spaces (version 1: UID in hex)
//	 12    1  space
//	 13   16  size of the stored body in bytes, upper-case hex
//	 29       up to the last byte: spaces (only if M is larger than 30)
//	M-1    1  LF
//
// While a message is being saved its header is zeros.
const (
	headerMagic0 = 0x01
	headerMagic1 = 0x02
	headerTypeAt = 2
	headerSizeAt = 13
	headerSizeN  = 16

	// TypeNormal is the only message type.
	TypeNormal = 'N'
)

// MessageHeader stands before each message of an m.N file.
type MessageHeader struct {
	Type byte   // TypeNormal
	Size uint64 // of the stored body in bytes, at most 1<<62
}

// DecodeMessageHeader decodes a message header. b is exactly the header: its
// length is FileHeader.HeaderSize.
func DecodeMessageHeader(b []byte) (MessageHeader, error) {
	if len(b) < messageHeaderSize {
		return MessageHeader{}, vfs.Corrupt(0, "message header has %d bytes", messageHeaderSize)
	}
	if b[0] != headerMagic0 || b[1] != headerMagic1 {
		return MessageHeader{}, vfs.Corrupt(0, "message header starts with 01 02")
	}
	if b[headerTypeAt] != TypeNormal {
		return MessageHeader{}, vfs.Corrupt(headerTypeAt, "message type is N")
	}
	if b[len(b)-1] != '\n' {
		return MessageHeader{}, vfs.Corrupt(int64(len(b)-1), "message header ends with LF")
	}
	size, ok := parseHex(b[headerSizeAt:][:headerSizeN])
	if !ok || size > 1<<62 {
		return MessageHeader{}, vfs.Corrupt(headerSizeAt, "message size is a hexadecimal number of 16 digits")
	}
	return MessageHeader{Type: b[headerTypeAt], Size: size}, nil
}

// Append appends the header in the form of M1e: 30 bytes.
func (h MessageHeader) Append(b []byte) []byte {
	b = append(b, headerMagic0, headerMagic1, h.Type, ' ')
	b = append(b, "         "...)
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, "0123456789ABCDEF"[h.Size>>shift&15])
	}
	return append(b, '\n')
}
