package index

import (
	"encoding/binary"
	"fmt"

	"github.com/roostmail/roost/mdbox/translog"
)

// Position encoding, 16 bytes. It is not part of Dovecot's formats, but kept by
// callers across restarts, so it does not change:
//
//	off  len  field        encoding
//	  0    4  indexid      uint32
//	  4    4  uidvalidity  uint32
//	  8    4  file_seq     uint32
//	 12    4  offset       uint32
const positionSize = 16

// Position is a moment in the history of an index.
type Position struct {
	IndexID     uint32 // of the index; with UIDValidity it tells a recreated index from the old one
	UIDValidity uint32
	Log         translog.Pos
}

// Position is the moment that the state shows.
func (s *State) Position() Position {
	return Position{IndexID: s.hdr.IndexID(), UIDValidity: s.UIDValidity(), Log: s.pos}
}

// Append appends the 16 bytes of p to b.
func (p Position) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, p.IndexID)
	b = binary.LittleEndian.AppendUint32(b, p.UIDValidity)
	b = binary.LittleEndian.AppendUint32(b, p.Log.FileSeq)
	return binary.LittleEndian.AppendUint32(b, p.Log.Offset)
}

// ParsePosition is the inverse of Position.Append.
func ParsePosition(b []byte) (Position, error) {
	if len(b) != positionSize {
		return Position{}, fmt.Errorf("index: position of %d bytes, want %d", len(b), positionSize)
	}
	return Position{
		IndexID:     binary.LittleEndian.Uint32(b),
		UIDValidity: binary.LittleEndian.Uint32(b[4:]),
		Log:         translog.Pos{FileSeq: binary.LittleEndian.Uint32(b[8:]), Offset: binary.LittleEndian.Uint32(b[12:])},
	}, nil
}
