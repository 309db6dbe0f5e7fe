package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// expunge payload: a range list (uidrange.go).
//
// expunge-guid payload, 20 bytes per message (not padded to 24;
// struct mail_transaction_expunge_guid):
//
//	off  len  field  encoding
//	  0    4  uid    uint32, not 0; in any order
//	  4   16  guid   of the message; 0 = unknown
const expungeGUIDSize = 20

// Expunges is the payload of an expunge record.
type Expunges []UIDRange

// Type returns TypeExpunge.
func (Expunges) Type() Type { return TypeExpunge }

func decodeExpunges(b []byte) (Expunges, error) {
	rs, err := decodeUIDRanges(b)
	return Expunges(rs), err
}

func (e Expunges) append(b []byte) []byte { return appendUIDRanges(b, e) }

// ExpungeGUIDs is the payload of an expunge-guid record.
type ExpungeGUIDs []ExpungeGUID

// ExpungeGUID is one message to expunge, or expunged.
type ExpungeGUID struct {
	UID  uint32
	GUID [16]byte // zero: not known
}

// Type returns TypeExpungeGUID.
func (ExpungeGUIDs) Type() Type { return TypeExpungeGUID }

func decodeExpungeGUIDs(b []byte) (ExpungeGUIDs, error) {
	n, err := elements("expunge-guid", b, expungeGUIDSize)
	if err != nil {
		return nil, err
	}
	es := make(ExpungeGUIDs, n)
	for i := range es {
		off := i * expungeGUIDSize
		es[i] = ExpungeGUID{UID: binary.LittleEndian.Uint32(b[off:]), GUID: [16]byte(b[off+4 : off+20])}
		if es[i].UID == 0 {
			return nil, vfs.Corrupt(int64(off), "expunge-guid: UID 0")
		}
	}
	return es, nil
}

func (es ExpungeGUIDs) append(b []byte) []byte {
	for _, e := range es {
		b = binary.LittleEndian.AppendUint32(b, e.UID)
		b = append(b, e.GUID[:]...)
	}
	return b
}
