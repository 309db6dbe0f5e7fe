package dump

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/vfs"
)

func isCacheName(base string) bool {
	return base == "dovecot.index.cache" || base == "dovecot.index.cache.tmp"
}

// isCache: version 1 and offsets of 8 bytes.
func isCache(head []byte) bool {
	return len(head) >= cache.HeaderSize && head[0] == 1 && head[1] == 8 && head[2] <= 1
}

// dumpCache writes header, field tables and records in the order of the file.
// What lies between tables is records, also those that nothing refers to.
func dumpCache(p *printer, f vfs.File) error {
	b, err := readAll(f)
	if err != nil {
		return err
	}
	h, err := cache.DecodeHeader(b)
	if err != nil {
		return err
	}
	dumpCacheHeader(p, b, h)
	tables := map[uint32]cache.FieldTable{}
	var fields []cache.Field
	_, chainErr := cache.WalkTables(f, h, func(off uint32, t cache.FieldTable) {
		tables[off] = t
		fields = t.Fields
	})
	for off := uint32(cache.HeaderSize); int64(off) < int64(len(b)); {
		if t, ok := tables[off]; ok {
			off += dumpFieldTable(p, off, t)
			continue
		}
		size, err := dumpCacheRecord(p, b[off:], off, fields)
		if err != nil {
			return vfs.At(err, "", int64(off))
		}
		off += size
	}
	return chainErr
}

func dumpCacheHeader(p *printer, b []byte, h cache.Header) {
	p.field(0, 1, "major_version", "%d", b[0])
	p.field(1, 1, "compat_sizeof_uoff_t", "%d", b[1])
	p.field(2, 1, "minor_version", "%d", h.MinorVersion)
	p.time(4, "indexid", h.IndexID)
	p.time(8, "file_seq", h.FileSeq)
	p.u32(12, "continued_record_count", h.Continued)
	p.u32(16, "record_count", h.Records)
	p.u32(20, "used_file_size", h.UsedFileSize)
	p.u32(24, "deleted_record_count", h.Deleted)
	p.u32(28, "field_header_offset", h.FirstTable)
}

var cacheTypes = [...]string{cache.Fixed: "fix", cache.Variable: "var", cache.String: "str", cache.Bitmask: "bit", cache.HeaderOf: "hdr"}

var cacheDecisions = [...]string{cache.DecisionNo: "no", cache.DecisionTemp: "tmp", cache.DecisionYes: "yes"}

// dumpFieldTable writes a table and returns its size with padding.
func dumpFieldTable(p *printer, off uint32, t cache.FieldTable) uint32 {
	size := len(t.Append(nil))
	p.title("field table")
	p.u32(int64(off), "next_offset", t.Next)
	p.u32(int64(off)+8, "fields_count", uint32(len(t.Fields)))
	names := int64(off) + 12 + 10*int64(len(t.Fields))
	for i, f := range t.Fields {
		width := "-"
		if f.Type == cache.Fixed || f.Type == cache.Bitmask {
			width = strconv.FormatUint(uint64(f.Size), 10)
		}
		p.field(names, len(f.Name)+1, "field", "[%d] %s %s %s %s %s", i, f.Name, cacheTypes[f.Type], width,
			decisionName(f.Decision), time.Unix(int64(f.LastUsed), 0).UTC().Format(time.DateTime))
		names += int64(len(f.Name)) + 1
	}
	return uint32(size)
}

func decisionName(d cache.Decision) string {
	name := "?"
	if i := d &^ cache.DecisionForced; int(i) < len(cacheDecisions) {
		name = cacheDecisions[i]
	}
	if d&cache.DecisionForced != 0 {
		name += ",forced"
	}
	return name
}

// dumpCacheRecord writes the record at the start of b, off in the file, and returns its size.
func dumpCacheRecord(p *printer, b []byte, off uint32, fields []cache.Field) (uint32, error) {
	h, err := cache.DecodeRecordHeader(b)
	if err != nil {
		return 0, err
	}
	if int64(h.Size) > int64(len(b)) {
		return 0, vfs.Corrupt(4, "cache record lies inside the file")
	}
	p.title("record")
	p.u32(int64(off), "prev_offset", h.Prev)
	p.u32(int64(off)+4, "size", h.Size)
	for pos := 8; pos < int(h.Size); {
		v, n, err := cache.NextValue(b[pos:h.Size], fields)
		if err != nil {
			return 0, vfs.At(err, "", int64(pos))
		}
		dumpCacheValue(p, int64(off)+int64(pos), n, &fields[v.Number], v.Data)
		pos += n
	}
	return h.Size, nil
}

// dumpCacheValue writes a value by the type of its field; size is that of the whole entry.
func dumpCacheValue(p *printer, off int64, size int, f *cache.Field, data []byte) {
	switch f.Type {
	case cache.String:
		p.field(off, size, f.Name, "%q", data)
		return
	case cache.HeaderOf:
		occ, err := cache.AppendOccurrences(nil, data)
		if err != nil {
			break
		}
		if len(occ) == 0 {
			p.field(off, size, f.Name, "none")
		}
		for _, o := range occ {
			p.field(off, size, f.Name, "%d: %q", o.Line, o.Text)
		}
		return
	case cache.Fixed, cache.Bitmask:
		switch len(data) {
		case 4:
			p.field(off, size, f.Name, "%d", binary.LittleEndian.Uint32(data))
			return
		case 8:
			p.field(off, size, f.Name, "%d", binary.LittleEndian.Uint64(data))
			return
		}
	case cache.Variable:
		if dumpParts(p, off, size, f.Name, data) {
			return
		}
	}
	p.field(off, size, f.Name, "%s", hex.EncodeToString(data))
}

// dumpParts writes a value of mime.parts; false if it is none.
func dumpParts(p *printer, off int64, size int, name string, data []byte) bool {
	if name != "mime.parts" {
		return false
	}
	parts, err := cache.AppendParts(nil, data)
	if err != nil {
		return false
	}
	for _, part := range parts {
		p.field(off, size, name, "flags %#x at %d, header %d/%d, body %d/%d, %d lines, %d children", uint32(part.Flags), part.Pos,
			part.HeaderSize, part.HeaderVirtual, part.BodySize, part.BodyVirtual, part.Lines, part.Children)
	}
	return true
}
