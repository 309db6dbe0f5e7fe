package translog

import "encoding/binary"

// ext-atomic-inc payload, 8 bytes per message (struct mail_transaction_ext_atomic_inc):
//
//	off  len  field  encoding
//	  0    4  uid    uint32
//	  4    4  diff   int32, added to the unsigned 1, 2, 4 or 8 byte field of the message
const extAtomicIncSize = 8

// ExtAtomicIncs is the payload of an ext-atomic-inc record.
type ExtAtomicIncs []ExtAtomicInc

// ExtAtomicInc adds Diff to the record data of one message.
type ExtAtomicInc struct {
	UID  uint32
	Diff int32
}

// Type returns TypeExtAtomicInc.
func (ExtAtomicIncs) Type() Type { return TypeExtAtomicInc }

func decodeExtAtomicIncs(b []byte) (ExtAtomicIncs, error) {
	n, err := elements("ext-atomic-inc", b, extAtomicIncSize)
	if err != nil {
		return nil, err
	}
	is := make(ExtAtomicIncs, n)
	for i := range is {
		off := i * extAtomicIncSize
		is[i] = ExtAtomicInc{binary.LittleEndian.Uint32(b[off:]), int32(binary.LittleEndian.Uint32(b[off+4:]))}
	}
	return is, nil
}

func (is ExtAtomicIncs) append(b []byte) []byte {
	for _, i := range is {
		b = binary.LittleEndian.AppendUint32(b, i.UID)
		b = binary.LittleEndian.AppendUint32(b, uint32(i.Diff))
	}
	return b
}
