package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// append payload, 8 bytes per message (struct mail_index_record):
//
//	off  len  field  encoding
//	  0    4  uid    uint32, not 0; ascending, and at least next_uid of the index
//	  4    1  flags  as in the index
//	  5    3  unused
const appendSize = 8

// Appends is the payload of an append record: new messages, ascending by UID.
type Appends []AppendedMessage

// AppendedMessage is one new message.
type AppendedMessage struct {
	UID   uint32
	Flags uint8 // as in the index
}

// Type returns TypeAppend.
func (Appends) Type() Type { return TypeAppend }

func decodeAppends(b []byte) (Appends, error) {
	n, err := elements("append", b, appendSize)
	if err != nil {
		return nil, err
	}
	as := make(Appends, n)
	var prev uint32
	for i := range as {
		off := i * appendSize
		as[i] = AppendedMessage{UID: binary.LittleEndian.Uint32(b[off:]), Flags: b[off+4]}
		if as[i].UID <= prev {
			return nil, vfs.Corrupt(int64(off), "append: UID %d after %d", as[i].UID, prev)
		}
		prev = as[i].UID
	}
	return as, nil
}

func (as Appends) append(b []byte) []byte {
	for _, a := range as {
		b = binary.LittleEndian.AppendUint32(b, a.UID)
		b = append(b, a.Flags, 0, 0, 0)
	}
	return b
}
