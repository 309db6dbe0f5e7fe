package translog

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// index-deleted and index-undeleted payload: 4 zero bytes.
//
// boundary payload, always external (struct mail_transaction_boundary):
//
//	off  len  field  encoding
//	  0    4  size   uint32: bytes of the whole transaction, with the 12 bytes of the boundary record
const boundarySize = 4

// IndexDeleted is the payload of an index-deleted record: a request, or when
// external the fact, that the mailbox is deleted.
type IndexDeleted struct{}

// Type returns TypeIndexDeleted.
func (IndexDeleted) Type() Type { return TypeIndexDeleted }

func (IndexDeleted) append(b []byte) []byte { return append(b, 0, 0, 0, 0) }

// IndexUndeleted is the payload of an index-undeleted record: it takes back an index-deleted.
type IndexUndeleted struct{}

// Type returns TypeIndexUndeleted.
func (IndexUndeleted) Type() Type { return TypeIndexUndeleted }

func (IndexUndeleted) append(b []byte) []byte { return append(b, 0, 0, 0, 0) }

// Boundary is the payload of a boundary record, the first of a transaction of
// two or more records.
type Boundary struct {
	Size uint32 // bytes from the start of the boundary record to the end of the transaction
}

// Type returns TypeBoundary.
func (Boundary) Type() Type { return TypeBoundary }

func decodeBoundary(b []byte) (Boundary, error) {
	if len(b) != boundarySize {
		return Boundary{}, vfs.Corrupt(0, "boundary: %d bytes, want %d", len(b), boundarySize)
	}
	size := binary.LittleEndian.Uint32(b)
	if size < RecordHeaderSize+boundarySize {
		return Boundary{}, vfs.Corrupt(0, "boundary: size %d, want at least %d", size, RecordHeaderSize+boundarySize)
	}
	return Boundary{size}, nil
}

func (r Boundary) append(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, r.Size) }
