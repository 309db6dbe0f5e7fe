package translog

import "github.com/roostmail/roost/mdbox/vfs"

// Hole is a part of a log that is not made of records.
type Hole struct {
	From, To int64 // bytes from the start of the file
	// AtEnd: no record follows. What is there may be the beginning of a write that did not come to its end.
	AtEnd bool
}

// Size is how many bytes the hole has.
func (h Hole) Size() int64 { return h.To - h.From }

// Salvage visits the records in b, which lies at pos of its file, also those behind parts that can not be read: a record is what has
// a header with a known type and a payload that can be decoded. Boundaries do not matter: what is left of a transaction is
// visited as well. It returns what it has passed over.
//
// r is valid until visit returns. An error of visit makes the record a part of a hole.
func Salvage(b []byte, pos Pos, visit func(r *Record) error) (holes []Hole) {
	off := 0
	for off < len(b) {
		r, ok := recordAt(b, off, pos)
		if ok && visit(&r) == nil {
			off += int(r.Header.Size)
			continue
		}
		next, found := off, false
		if ok { // of sound structure, so the next one follows it
			next, found = off+int(r.Header.Size), true
		} else if next, found = resync(b, off+4); !found {
			next = len(b)
		}
		holes = append(holes, Hole{From: int64(pos.Offset) + int64(off), To: int64(pos.Offset) + int64(next), AtEnd: !found})
		off = next
	}
	return holes
}

// recordAt returns the record at b[off:], if there is one.
func recordAt(b []byte, off int, pos Pos) (Record, bool) {
	h, complete, err := DecodeRecordHeader(b[off:])
	if err != nil || !complete || int64(h.Size) > int64(len(b)-off) || !h.Type.Known() {
		return Record{}, false
	}
	r := Record{Header: h, Pos: Pos{pos.FileSeq, pos.Offset + uint32(off)}, Payload: b[off+RecordHeaderSize : off+int(h.Size) : off+int(h.Size)]}
	if h.Type == TypeExtRecUpdate { // its structure depends on the intro before it
		return r, true
	}
	_, err = r.Decode(0)
	return r, err == nil
}

// enough is how many records in a row are no accident.
const enough = 3

// resync returns where records begin again in b[from:]: enough of them in a row, or a whole transaction, or some up to the end.
func resync(b []byte, from int) (off int, ok bool) {
	for off = from; off+RecordHeaderSize <= len(b); off += 4 {
		n, transactionEnd := 0, -1
		for at := off; ; n++ {
			if at == transactionEnd || n >= enough || at == len(b) && n > 0 {
				return off, true
			}
			r, ok := recordAt(b, at, Pos{})
			if !ok {
				break
			}
			if r.Header.Type == TypeBoundary && n == 0 {
				if p, err := r.Decode(0); err == nil {
					transactionEnd = at + int(p.(Boundary).Size)
				}
			}
			at += int(r.Header.Size)
		}
	}
	return 0, false
}

// ReadSalvage reads a whole log for Salvage: its content, and its header if that can be decoded.
func ReadSalvage(fsys vfs.FS, path string, maxBytes int64) (b []byte, h Header, headerErr, err error) {
	if maxBytes == 0 {
		maxBytes = DefaultMaxLogBytes
	}
	if b, err = vfs.ReadFile(fsys, path, maxBytes); err != nil {
		return nil, h, nil, err
	}
	h, headerErr = DecodeHeader(b)
	return b, h, vfs.At(headerErr, path, 0), nil
}
