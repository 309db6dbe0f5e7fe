package dbox

import (
	"bytes"
	"errors"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Metadata block (dovecot src/lib-storage/index/dbox-common/dbox-file.h,
// enum dbox_metadata_key; dbox-file.c, dbox_file_metadata_read_at):
//
//	0a 01 03 0a                     magic
//	<key><value> LF                 any number of lines
//	LF                              end: an empty line, or one that starts with a space
//
// Numbers are lower-case hex without prefix, but O is decimal. If a key occurs
// twice the first counts.
const metadataMagic = "\n\x01\x03\n"

// Keys of metadata lines. They are on disk and never change. A line with another
// key is kept as it is.
const (
	KeyPhysicalSize = 'Z' // hex, bytes; absent: the size of the message header
	KeyReceived     = 'R' // INTERNALDATE, UNIX time in hex
	KeyVirtualSize  = 'V' // hex, bytes of the CRLF form
	KeyPOP3UIDL     = 'P'
	KeyPOP3Order    = 'O' // decimal
	KeyGUID         = 'G' // 32 hex digits or any string, see ParseGUID
	KeyMailbox      = 'B' // storage name of the mailbox it was first saved to
	KeyAttachments  = 'X' // see Attachment

	// Version 1 only.
	KeyOldExpunged = 'E'
	KeyOldFlags    = 'F'
	KeyOldKeywords = 'K'
	KeyOldSaveTime = 'S'
)

// MetadataLine is one line of a metadata block.
type MetadataLine struct {
	Key   byte
	Value []byte // without LF
}

// Metadata is a metadata block: its lines in file order.
type Metadata []MetadataLine

// DecodeMetadata decodes the block at the start of b, which may hold more, and
// appends its lines to into (may be nil). Values refer to b. It returns how many
// bytes the block has, with magic and end.
//
// If b ends before the block does, the error is ErrShort: there may be more.
func DecodeMetadata(b []byte, into Metadata) (m Metadata, n int, err error) {
	if len(b) < len(metadataMagic) {
		if !bytes.HasPrefix([]byte(metadataMagic), b) {
			return into, 0, vfs.Corrupt(0, "metadata starts with LF 01 03 LF")
		}
		return into, 0, ErrShort
	}
	if string(b[:len(metadataMagic)]) != metadataMagic {
		return into, 0, vfs.Corrupt(0, "metadata starts with LF 01 03 LF")
	}
	n = len(metadataMagic)
	for {
		end := bytes.IndexByte(b[n:], '\n')
		if end < 0 {
			return into, 0, ErrShort
		}
		line := b[n : n+end]
		if len(line) > 0 && (line[0] < ' ' || line[0] > '~') {
			// Most likely the next message's header: the end is missing.
			return into, 0, vfs.Corrupt(int64(n), "metadata key is a printable character")
		}
		n += end + 1
		if len(line) == 0 || line[0] == ' ' {
			return into, n, nil
		}
		into = append(into, MetadataLine{Key: line[0], Value: line[1:]})
	}
}

// ErrShort says that a metadata block continues beyond the bytes at hand.
var ErrShort = errors.New("dbox: metadata block continues beyond the given bytes")

// Append appends the block with its magic and its end.
func (m Metadata) Append(b []byte) []byte {
	b = append(b, metadataMagic...)
	for _, l := range m {
		b = append(b, l.Key)
		b = append(b, l.Value...)
		b = append(b, '\n')
	}
	return append(b, '\n')
}

// Get returns the value of the first line with the key.
func (m Metadata) Get(key byte) (value []byte, ok bool) {
	for i := range m {
		if m[i].Key == key {
			return m[i].Value, true
		}
	}
	return nil, false
}

// hex returns the number of a key. It is an error if the line is there and does
// not hold a number of up to 63 bits.
func (m Metadata) hex(key byte) (v uint64, ok bool, err error) {
	value, ok := m.Get(key)
	if !ok {
		return 0, false, nil
	}
	v, isHex := parseHex(value)
	if !isHex || v > 1<<62 {
		return 0, false, vfs.Corrupt(0, "metadata %c is a hexadecimal number", key)
	}
	return v, true, nil
}
