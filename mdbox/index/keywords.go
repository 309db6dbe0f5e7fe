package index

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Header data of the extension "keywords" (dovecot src/lib-index/mail-index-private.h,
// struct mail_index_keyword_header):
//
//	off  len  field           encoding
//	  0    4  keywords_count  uint32
//	  4    8  per keyword: uint32 0, uint32 offset of the name from the start of the names
//	          names           each ended by NUL, contiguous, in the same order
//	             zero bytes up to hdr_size
//
// Record data: a bit mask, keyword k is bit k%8 of byte k/8.
const (
	extKeywords         = "keywords"
	keywordsCountSize   = 4
	keywordsElementSize = 8

	// keywordsSpare is how many bytes of header data Dovecot adds when they have
	// to grow, so that the next keywords find room.
	keywordsSpare = 128
)

// DecodeKeywords decodes the header data of the keywords extension: the names
// by keyword number. An empty header has none.
func DecodeKeywords(b []byte) ([]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) < keywordsCountSize {
		return nil, vfs.Corrupt(0, "keywords: %d bytes, want at least %d", len(b), keywordsCountSize)
	}
	count := binary.LittleEndian.Uint32(b)
	if uint64(count) > uint64(len(b)-keywordsCountSize)/keywordsElementSize {
		return nil, vfs.Corrupt(0, "keywords: keywords_count %d in %d bytes", count, len(b))
	}
	names := b[keywordsCountSize+keywordsElementSize*int(count):]
	res := make([]string, count)
	for i := range res {
		off := keywordsCountSize + keywordsElementSize*i
		start := binary.LittleEndian.Uint32(b[off+4:])
		if uint64(start) >= uint64(len(names)) {
			return nil, vfs.Corrupt(int64(off), "keywords: name %d at %d of %d bytes", i, start, len(names))
		}
		end := bytes.IndexByte(names[start:], 0)
		if end < 0 {
			return nil, vfs.Corrupt(int64(off), "keywords: name %d has no end", i)
		}
		if end == 0 {
			return nil, vfs.Corrupt(int64(off), "keywords: name %d is empty", i)
		}
		res[i] = string(names[start : int(start)+end])
	}
	return res, nil
}

// keywordsSize is the size of the header data for count keywords whose names,
// with their NULs, take nameBytes, in bytes.
func keywordsSize(count, nameBytes int) int {
	return (keywordsCountSize + keywordsElementSize*count + nameBytes + 3) &^ 3
}

// AppendKeywords appends the header data for the given names, a multiple of 4
// bytes: the inverse of DecodeKeywords.
func AppendKeywords(b []byte, names []string) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(names)))
	off := uint32(0)
	for _, name := range names {
		b = binary.LittleEndian.AppendUint32(b, 0)
		b = binary.LittleEndian.AppendUint32(b, off)
		off += uint32(len(name)) + 1
	}
	for _, name := range names {
		b = append(b, name...)
		b = append(b, 0)
	}
	return appendZeros(b, keywordsSize(len(names), int(off))-(len(b)-start))
}

// keywordKey returns what keyword names are compared by: case is ignored, in
// ASCII only.
func keywordKey(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// keywordRecordSize is the record size that Dovecot gives the keywords
// extension when it has to grow to count keywords, in bytes.
func keywordRecordSize(count int) int {
	n := (count + 7) / 8
	if n%4 != 0 {
		n++
	}
	return n
}
