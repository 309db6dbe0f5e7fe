package translog

import "github.com/roostmail/roost/mdbox/vfs"

// Payload is a decoded record payload: one of the types of the rec_*.go files.
type Payload interface {
	// Type is the type of the record that carries the payload.
	Type() Type
	// append appends the encoded payload, a multiple of 4 bytes.
	append(b []byte) []byte
}

// DecodePayload decodes the payload of a record of type t. extRecordSize is the
// RecordSize of the last ext-intro before the record; only ext-rec-update
// depends on it. The result may refer to b.
//
// The error is a *vfs.CorruptError with an offset relative to b. A type that is
// not Known is an error: Dovecot takes it for corruption, and so do we.
func DecodePayload(t Type, b []byte, extRecordSize uint16) (Payload, error) {
	switch t {
	case TypeAppend:
		return decodeAppends(b)
	case TypeExpunge:
		return decodeExpunges(b)
	case TypeExpungeGUID:
		return decodeExpungeGUIDs(b)
	case TypeFlagUpdate:
		return decodeFlagUpdates(b)
	case TypeHeaderUpdate:
		return decodeHeaderUpdates(b)
	case TypeExtIntro:
		return decodeExtIntros(b)
	case TypeExtReset:
		return decodeExtReset(b)
	case TypeExtHdrUpdate:
		return decodeExtHdrUpdates(b)
	case TypeExtHdrUpdate32:
		return decodeExtHdrUpdates32(b)
	case TypeExtRecUpdate:
		return decodeExtRecUpdates(b, extRecordSize)
	case TypeExtAtomicInc:
		return decodeExtAtomicIncs(b)
	case TypeKeywordUpdate:
		return decodeKeywordUpdate(b)
	case TypeKeywordReset:
		return decodeKeywordReset(b)
	case TypeModSeqUpdate:
		return decodeModSeqUpdates(b)
	case TypeIndexDeleted:
		return IndexDeleted{}, nil
	case TypeIndexUndeleted:
		return IndexUndeleted{}, nil
	case TypeBoundary:
		return decodeBoundary(b)
	case TypeAttributeUpdate:
		return decodeAttributeUpdates(b)
	}
	return nil, vfs.Corrupt(0, "unknown record type %#x", uint32(t))
}

// AppendRecord appends a whole record with the given payload to b. Of h only the
// flags are used.
func AppendRecord(b []byte, h RecordHeader, p Payload) []byte {
	start := len(b)
	b = h.Append(b)
	b = p.append(b)
	h.Size = uint32(len(b) - start)
	h.Type = p.Type()
	h.Append(b[:start])
	return b
}

// elements checks that b is an array of one or more elements of size bytes.
func elements(what string, b []byte, size int) (int, error) {
	if len(b) == 0 || len(b)%size != 0 {
		return 0, vfs.Corrupt(0, "%s: %d bytes, want a positive multiple of %d", what, len(b), size)
	}
	return len(b) / size, nil
}
