package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// ext-reset payload (struct mail_transaction_ext_reset):
//
//	off  len  field          encoding
//	  0    4  new_reset_id   uint32
//	  4    1  preserve_data  bool; absent in old logs
//	  5    3  unused
const (
	extResetSize    = 8
	extResetOldSize = 4
)

// ExtReset is the payload of an ext-reset record: the introduced extension
// starts a new generation.
type ExtReset struct {
	NewResetID   uint32
	PreserveData bool // false: header data and all records become zero
}

// Type returns TypeExtReset.
func (ExtReset) Type() Type { return TypeExtReset }

func decodeExtReset(b []byte) (ExtReset, error) {
	if len(b) < extResetOldSize {
		return ExtReset{}, vfs.Corrupt(0, "ext-reset: %d bytes, want at least %d", len(b), extResetOldSize)
	}
	return ExtReset{
		NewResetID:   binary.LittleEndian.Uint32(b),
		PreserveData: len(b) >= extResetSize && b[4] != 0,
	}, nil
}

func (r ExtReset) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, r.NewResetID)
	var preserve byte
	if r.PreserveData {
		preserve = 1
	}
	return append(b, preserve, 0, 0, 0)
}
