package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// ext-rec-update payload, per message (struct mail_transaction_ext_rec_update):
//
//	off  len  field  encoding
//	  0    4  uid    uint32
//	  4    n  data   n = record_size of the ext-intro before
//	             zero bytes up to a multiple of 4
const extRecUpdateSize = 4

// ExtRecUpdates is the payload of an ext-rec-update record. It stays encoded,
// since a record may hold one element for every message of a mailbox.
type ExtRecUpdates struct {
	RecordSize uint16 // bytes of data per element
	elements   []byte
}

// Type returns TypeExtRecUpdate.
func (ExtRecUpdates) Type() Type { return TypeExtRecUpdate }

// NewExtRecUpdates returns an empty list for an extension whose intro has the given RecordSize.
func NewExtRecUpdates(recordSize uint16) ExtRecUpdates { return ExtRecUpdates{RecordSize: recordSize} }

func (u ExtRecUpdates) stride() int { return pad4(extRecUpdateSize + int(u.RecordSize)) }

// Len is the number of elements.
func (u ExtRecUpdates) Len() int { return len(u.elements) / u.stride() }

// At returns element i: the new data of one message, RecordSize bytes, which
// refer to the decoded slice.
func (u ExtRecUpdates) At(i int) (uid uint32, data []byte) {
	e := u.elements[i*u.stride():][:u.stride()]
	return binary.LittleEndian.Uint32(e), e[extRecUpdateSize : extRecUpdateSize+int(u.RecordSize)]
}

// Add appends an element. len(data) must be RecordSize; a shorter one is filled up with zeros.
func (u *ExtRecUpdates) Add(uid uint32, data []byte) {
	end := len(u.elements) + u.stride()
	u.elements = binary.LittleEndian.AppendUint32(u.elements, uid)
	u.elements = append(u.elements, data[:min(len(data), int(u.RecordSize))]...)
	for len(u.elements) < end {
		u.elements = append(u.elements, 0)
	}
}

func decodeExtRecUpdates(b []byte, recordSize uint16) (ExtRecUpdates, error) {
	u := ExtRecUpdates{RecordSize: recordSize, elements: b}
	if len(b) == 0 || len(b)%u.stride() != 0 {
		return ExtRecUpdates{}, vfs.Corrupt(0, "ext-rec-update: %d bytes, want a positive multiple of %d for records of %d bytes", len(b), u.stride(), recordSize)
	}
	return u, nil
}

func (u ExtRecUpdates) append(b []byte) []byte { return append(b, u.elements...) }
