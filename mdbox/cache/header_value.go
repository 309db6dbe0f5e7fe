package cache

import (
	"bytes"
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Value of a field hdr.<Name> (dovecot src/lib-storage/index/index-mail-headers.c):
// empty if the message has no such header, otherwise
//
//	uint32 line number, of each occurrence: the line of the header block it starts on, from 1 on
//	uint32 0
//	the occurrences, "Name: value LF" each, with their continuation lines

// Occurrence is one header of a message.
type Occurrence struct {
	Line uint32 // of the header block, from 1 on
	Text []byte // with name, continuation lines and final LF
}

// AppendOccurrences decodes a header value and appends its occurrences to into.
// Their texts refer to data.
func AppendOccurrences(into []Occurrence, data []byte) ([]Occurrence, error) {
	if len(data) == 0 {
		return into, nil
	}
	first := len(into)
	pos := 0
	for {
		if len(data)-pos < 4 {
			return into[:first], vfs.Corrupt(int64(pos), "line numbers of a header value end with 0")
		}
		line := binary.LittleEndian.Uint32(data[pos:])
		pos += 4
		if line == 0 {
			break
		}
		into = append(into, Occurrence{Line: line})
	}
	for i := first; i < len(into); i++ {
		n := headerLength(data[pos:])
		if n == 0 {
			return into[:first], vfs.Corrupt(int64(pos), "header value has a header for each line number")
		}
		into[i].Text = data[pos : pos+n : pos+n]
		pos += n
	}
	if pos != len(data) {
		return into[:first], vfs.Corrupt(int64(pos), "header value has a line number for each header")
	}
	return into, nil
}

// headerLength returns the length of the header at the start of b with its
// continuation lines. A missing LF at the end of b is tolerated.
func headerLength(b []byte) int {
	pos := 0
	for pos < len(b) {
		i := bytes.IndexByte(b[pos:], '\n')
		if i < 0 {
			return len(b)
		}
		pos += i + 1
		if pos == len(b) || (b[pos] != ' ' && b[pos] != '\t') {
			break
		}
	}
	return pos
}

// AppendHeaderValue is the inverse of AppendOccurrences.
func AppendHeaderValue(b []byte, occurrences []Occurrence) []byte {
	if len(occurrences) == 0 {
		return b
	}
	for i := range occurrences {
		b = binary.LittleEndian.AppendUint32(b, occurrences[i].Line)
	}
	b = binary.LittleEndian.AppendUint32(b, 0)
	for i := range occurrences {
		b = append(b, occurrences[i].Text...)
	}
	return b
}
