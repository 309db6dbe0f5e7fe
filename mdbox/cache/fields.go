package cache

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Field table (dovecot src/lib-index/mail-cache-private.h, struct mail_cache_header_fields):
//
//	   off  len  field          encoding
//	     0    4  next_offset    encoded offset (package translog) of a newer table; 0 = none
//	     4    4  size           uint32: bytes of this table without its padding
//	     8    4  fields_count   uint32 = n
//	    12   4n  last_used[]    uint32: UNIX time; 0 = unknown
//	 12+4n   4n  size[]         uint32: bytes of fixed fields; 0xffffffff = variable
//	 12+8n    n  type[]
//	 12+9n    n  decision[]
//	12+10n       names          each ended by NUL
//
// then zeros to a multiple of 4.
const tableHeaderSize = 12

// FieldType says how values of a field are stored.
type FieldType uint8

// Field types; the numbers are on disk.
const (
	Fixed    FieldType = 0 // exactly Size bytes
	Variable FieldType = 1 // uint32 length, bytes
	String   FieldType = 2 // the same, text
	Bitmask  FieldType = 3 // Size bytes; several values of a message are ORed
	HeaderOf FieldType = 4 // uint32 length, a header value: see Occurrences
)

// VariableSize is the Size of fields whose values have a length of their own.
const VariableSize = math.MaxUint32

// Decision says whether a field is cached for new messages.
type Decision uint8

// Decisions; the numbers are on disk.
const (
	DecisionNo     Decision = 0
	DecisionTemp   Decision = 1 // for messages of the last week
	DecisionYes    Decision = 2
	DecisionForced Decision = 0x80 // or-ed in: by configuration
)

// Field is one kind of value that messages may have in the cache.
type Field struct {
	Name     string
	Type     FieldType
	Size     uint32 // bytes, or VariableSize
	Decision Decision
	LastUsed uint32 // UNIX time of the last use, about to the day; 0 = unknown
}

// fixed reports whether values have no length of their own.
func (f *Field) fixed() bool { return f.Type == Fixed || f.Type == Bitmask }

// FieldTable is a table of fields; the position of a field is its number in records.
type FieldTable struct {
	Next   uint32 // offset of a newer table in bytes; 0 = none
	Fields []Field
}

// tableSize returns next_offset and size of the table at the start of b, which may end early.
func tableSize(b []byte) (size int, err error) {
	if len(b) < tableHeaderSize {
		return 0, vfs.Corrupt(0, "field table lies inside the file")
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n < tableHeaderSize || n > maxTableSize {
		return 0, vfs.Corrupt(4, "field table has %d to %d bytes", tableHeaderSize, maxTableSize)
	}
	return int(n), nil
}

// maxTableSize bounds a field table. A mailbox has some dozens of fields.
const maxTableSize = 1 << 20

// DecodeFieldTable decodes the table at the start of b and returns how many
// bytes it has, without its padding.
func DecodeFieldTable(b []byte) (t FieldTable, n int, err error) {
	n, err = tableSize(b)
	if err != nil {
		return FieldTable{}, 0, err
	}
	if n > len(b) {
		return FieldTable{}, 0, vfs.Corrupt(4, "field table lies inside the file")
	}
	b = b[:n]
	t.Next = translog.DecodeOffset([4]byte(b))
	count := uint64(binary.LittleEndian.Uint32(b[8:]))
	if count > uint64(n-tableHeaderSize)/10 {
		return FieldTable{}, 0, vfs.Corrupt(8, "fields lie inside the field table")
	}
	c := int(count)
	names := b[tableHeaderSize+10*c:]
	t.Fields = make([]Field, c)
	seen := make(map[string]bool, c)
	for i := range t.Fields {
		at := n - len(names)
		end := bytes.IndexByte(names, 0)
		if end <= 0 {
			return FieldTable{}, 0, vfs.Corrupt(int64(at), "field name is not empty and ends with NUL")
		}
		f := Field{
			Name:     string(names[:end]),
			Type:     FieldType(b[tableHeaderSize+8*c+i]),
			Size:     binary.LittleEndian.Uint32(b[tableHeaderSize+4*c+4*i:]),
			Decision: Decision(b[tableHeaderSize+9*c+i]),
			LastUsed: binary.LittleEndian.Uint32(b[tableHeaderSize+4*i:]),
		}
		names = names[end+1:]
		if err := f.check(); err != nil {
			return FieldTable{}, 0, vfs.At(err, "", int64(at))
		}
		if key := strings.ToLower(f.Name); seen[key] {
			return FieldTable{}, 0, vfs.Corrupt(int64(at), "field names are unique")
		} else {
			seen[key] = true
		}
		t.Fields[i] = f
	}
	return t, n, nil
}

// check holds the rules about one field.
func (f *Field) check() error {
	if f.Type > HeaderOf {
		return vfs.Corrupt(0, "field type is at most %d", HeaderOf)
	}
	if f.fixed() && f.Size > maxRecordSize {
		return vfs.Corrupt(0, "field of fixed size has at most %d bytes", maxRecordSize)
	}
	return nil
}

// Append appends the table with its padding.
func (t FieldTable) Append(b []byte) []byte {
	start := len(b)
	size := tableHeaderSize + 10*len(t.Fields)
	for i := range t.Fields {
		size += len(t.Fields[i].Name) + 1
	}
	u32 := binary.LittleEndian.AppendUint32
	b = appendOffset(b, t.Next)
	b = u32(b, uint32(size))
	b = u32(b, uint32(len(t.Fields)))
	for i := range t.Fields {
		b = u32(b, t.Fields[i].LastUsed)
	}
	for i := range t.Fields {
		b = u32(b, t.Fields[i].Size)
	}
	for i := range t.Fields {
		b = append(b, byte(t.Fields[i].Type))
	}
	for i := range t.Fields {
		b = append(b, byte(t.Fields[i].Decision))
	}
	for i := range t.Fields {
		b = append(b, t.Fields[i].Name...)
		b = append(b, 0)
	}
	return appendPadding(b, len(b)-start)
}

// appendPadding appends zeros until n, a length, is a multiple of 4.
func appendPadding(b []byte, n int) []byte {
	for ; n%4 != 0; n++ {
		b = append(b, 0)
	}
	return b
}
