package cache

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// BinaryPart is an element of binary.parts: a part whose transfer encoding was
// decoded, and its sizes after that, in bytes (IMAP BINARY, RFC 3516).
//
// Value: for each part four numbers of 7 bits per byte, least significant first,
// 0x80 = more follows (dovecot src/lib-mail/message-binary-part.c). Empty: no part
// needs decoding.
type BinaryPart struct {
	Pos        uint64 // physical, as Part.Pos
	HeaderSize uint64
	BodySize   uint64
	Lines      uint64 // of the body
}

// AppendBinaryParts decodes a binary.parts value and appends its parts to into.
func AppendBinaryParts(into []BinaryPart, data []byte) ([]BinaryPart, error) {
	first := len(into)
	for pos := 0; pos < len(data); {
		var v [4]uint64
		for i := range v {
			var n int
			if v[i], n = binary.Uvarint(data[pos:]); n <= 0 {
				return into[:first], vfs.Corrupt(int64(pos), "binary part is four numbers of at most 64 bits")
			}
			pos += n
		}
		into = append(into, BinaryPart{Pos: v[0], HeaderSize: v[1], BodySize: v[2], Lines: v[3]})
	}
	return into, nil
}

// AppendBinaryPartsValue is the inverse of AppendBinaryParts.
func AppendBinaryPartsValue(b []byte, parts []BinaryPart) []byte {
	for _, p := range parts {
		for _, v := range [...]uint64{p.Pos, p.HeaderSize, p.BodySize, p.Lines} {
			b = binary.AppendUvarint(b, v)
		}
	}
	return b
}
