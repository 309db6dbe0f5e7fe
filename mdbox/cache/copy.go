package cache

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// AppendValues appends everything that the file has of the message whose newest record is at offset, also of fields that
// this package does not know. The values belong to the caller. On an error nothing is appended.
func (r *Reader) AppendValues(into []FieldValue, offset uint32) ([]FieldValue, error) {
	r.clear()
	first := len(into)
	position := make(map[uint32]int)
	for n := 0; offset != 0; n++ {
		if n == maxChain || offset%4 != 0 || offset < HeaderSize {
			return into[:first], r.corrupt(offset, "offset of a cache record is a multiple of 4 from %d on, one of at most %d", HeaderSize, maxChain)
		}
		rec, prev, err := r.record(offset)
		if err != nil {
			return into[:first], err
		}
		if prev >= offset {
			return into[:first], r.corrupt(offset, "older cache record lies before the newer one")
		}
		for pos := recordHeaderSize; pos < len(rec); {
			v, n, err := NextValue(rec[pos:], r.fields)
			if err != nil {
				if err = r.grown(err); err == nil {
					continue
				}
				return into[:first], vfs.At(err, r.file.Path(), int64(offset)+int64(pos))
			}
			pos += n
			field := &r.fields[v.Number]
			at, known := position[v.Number]
			switch {
			case !known:
				position[v.Number] = len(into)
				into = append(into, FieldValue{Field: field.Name, Data: append([]byte{}, v.Data...)})
			case field.Type == Bitmask:
				for i, c := range v.Data {
					into[at].Data[i] |= c
				}
			}
		}
		offset = prev
	}
	return into, nil
}

// CopyValues returns the values for a copy of a message: of those of the original, what the file of the destination has a
// decision for. saved is the time of the copy, a UNIX time (dovecot src/lib-storage/index/index-storage.c, mail_copy_cache_field).
func (p *Policy) CopyValues(original []FieldValue, destination []Field, saved int64) []FieldValue {
	wanted := func(name string) bool {
		i := fieldIndex(destination, name)
		return i >= 0 && p.Decision(&destination[i])&^DecisionForced != DecisionNo
	}
	saveDate := knownTable[fieldSaveDate].name
	var values []FieldValue
	for _, v := range original {
		if v.Field != saveDate && wanted(v.Field) {
			values = append(values, v)
		}
	}
	if wanted(saveDate) {
		values = append(values, FieldValue{saveDate, binary.LittleEndian.AppendUint32(nil, uint32(saved))})
	}
	return values
}
