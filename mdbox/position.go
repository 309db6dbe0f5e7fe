package mdbox

import (
	"fmt"

	"github.com/roostmail/roost/mdbox/index"
)

// Position is a moment in the history of a mailbox. It names the mailbox too, so
// that a position is never taken for one in another history: that of a mailbox that was deleted, and
// made again within the second that an indexid can tell apart.
//
// Encoded, 34 bytes. It is not part of Dovecot's formats; who keeps it over a change of this library
// finds that another version byte makes old positions unknown, which costs a full reading and nothing else.
//
//	off  len  field
//	  0    1  version  1
//	  1   16  GUID of the mailbox
//	 17    1  flags    bit 0: ModSeqs
//	 18   16  index.Position
type Position struct {
	Mailbox [16]byte // GUID
	// ModSeqs: messages had modseqs of their own (Columns.ModSeqs). When the first client that wants them turns
	// them on, every message gets one, without a record in the log that names the message.
	ModSeqs bool
	Index   index.Position
}

const (
	positionVersion = 1
	positionModSeqs = 0x01
	positionSize    = 34
)

// Append appends the 34 bytes of p to b.
func (p Position) Append(b []byte) []byte {
	b = append(b, positionVersion)
	b = append(b, p.Mailbox[:]...)
	flags := byte(0)
	if p.ModSeqs {
		flags |= positionModSeqs
	}
	b = append(b, flags)
	return p.Index.Append(b)
}

// ParsePosition is the inverse of Position.Append.
func ParsePosition(b []byte) (Position, error) {
	if len(b) != positionSize || b[0] != positionVersion {
		return Position{}, fmt.Errorf("mdbox: not a position of version %d: %d bytes, %x", positionVersion, len(b), b[:min(len(b), 1)])
	}
	x, err := index.ParsePosition(b[18:])
	if err != nil {
		return Position{}, err
	}
	return Position{Mailbox: [16]byte(b[1:17]), ModSeqs: b[17]&positionModSeqs != 0, Index: x}, nil
}
