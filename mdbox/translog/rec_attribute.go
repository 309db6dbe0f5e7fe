package translog

import (
	"bytes"
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// attribute-update payload (dovecot src/lib-index/mail-index-transaction-export.c,
// log_append_attribute_updates): first the names,
//
//	off  len  field  encoding
//	  0    1  change '+' = set, '-' = removed
//	  1    1  kind   'p' = private, 's' = shared
//	  2    n  name   ended by NUL
//
// the list of them ended by one more NUL, then zero bytes up to a multiple of 4,
// then in the same order for each name
//
//	off  len  field      encoding
//	  0    4  timestamp  uint32, UNIX time
//	  4    4  length     uint32, bytes of the value; only for '+'

// AttributeUpdates is the payload of an attribute-update record. It only
// announces that METADATA (RFC 5464) of the mailbox changed; the values are elsewhere.
type AttributeUpdates []AttributeUpdate

// AttributeUpdate is the change of one annotation.
type AttributeUpdate struct {
	Removed   bool
	Shared    bool // false: private
	Name      string
	Timestamp uint32 // UNIX time
	Length    uint32 // of the value, in bytes; 0 if Removed
}

// Type returns TypeAttributeUpdate.
func (AttributeUpdates) Type() Type { return TypeAttributeUpdate }

func decodeAttributeUpdates(b []byte) (AttributeUpdates, error) {
	us, off, err := decodeAttributeNames(b)
	if err != nil {
		return nil, err
	}
	off = pad4(off)
	for i := range us {
		want := 4
		if !us[i].Removed {
			want = 8
		}
		if off > len(b) || want > len(b)-off {
			return nil, vfs.Corrupt(int64(off), "attribute-update: no time and length for name %d of %d", i+1, len(us))
		}
		us[i].Timestamp = binary.LittleEndian.Uint32(b[off:])
		if !us[i].Removed {
			us[i].Length = binary.LittleEndian.Uint32(b[off+4:])
		}
		off += want
	}
	return us, nil
}

// decodeAttributeNames decodes the first part; the result's second value is its size in bytes.
func decodeAttributeNames(b []byte) (AttributeUpdates, int, error) {
	var us AttributeUpdates
	off := 0
	for off < len(b) && b[off] != 0 {
		end := bytes.IndexByte(b[off:], 0)
		if end < 2 || b[off] != '+' && b[off] != '-' || b[off+1] != 'p' && b[off+1] != 's' {
			return nil, 0, vfs.Corrupt(int64(off), "attribute-update: name does not have the form [+-][ps]name NUL")
		}
		us = append(us, AttributeUpdate{
			Removed: b[off] == '-',
			Shared:  b[off+1] == 's',
			Name:    string(b[off+2 : off+end]),
		})
		off += end + 1
	}
	if off >= len(b) {
		return nil, 0, vfs.Corrupt(int64(off), "attribute-update: names without end")
	}
	if len(us) == 0 {
		return nil, 0, vfs.Corrupt(0, "attribute-update: no names")
	}
	return us, off + 1, nil
}

func (us AttributeUpdates) append(b []byte) []byte {
	start := len(b)
	for _, u := range us {
		change, kind := byte('+'), byte('p')
		if u.Removed {
			change = '-'
		}
		if u.Shared {
			kind = 's'
		}
		b = append(b, change, kind)
		b = append(b, u.Name...)
		b = append(b, 0)
	}
	b = appendPadding(append(b, 0), start)
	for _, u := range us {
		b = binary.LittleEndian.AppendUint32(b, u.Timestamp)
		if !u.Removed {
			b = binary.LittleEndian.AppendUint32(b, u.Length)
		}
	}
	return b
}
