package dump

import (
	"encoding/binary"
	"regexp"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs"
)

var indexName = regexp.MustCompile(`^dovecot(\.map|\.list)?\.index(\.pvt)?(\.backup)?(\.tmp)?$`)

func isIndexName(base string) bool { return indexName.MatchString(base) }

// isIndex: version 7, base header of 120 bytes or a little more, little-endian.
func isIndex(head []byte) bool {
	return len(head) > 12 && head[0] == 7 && head[2] >= index.HeaderSize && head[3] == 0 && head[12] == 1
}

// indexField is a field of the base header; see index.Header.
type indexField struct {
	off  int
	name string
	time bool
}

var indexFields = []indexField{
	{4, "header_size", false},
	{8, "record_size", false},
	{16, "indexid", true},
	{20, "flags", false},
	{24, "uid_validity", true},
	{28, "next_uid", false},
	{32, "messages_count", false},
	{40, "seen_messages_count", false},
	{44, "deleted_messages_count", false},
	{48, "first_recent_uid", false},
	{52, "first_unseen_uid_lowwater", false},
	{56, "first_deleted_uid_lowwater", false},
	{60, "log_file_seq", false},
	{64, "log_file_tail_offset", false},
	{68, "log_file_head_offset", false},
	{76, "log2_rotate_time", true},
	{80, "last_temp_file_scan", true},
	{84, "day_stamp", true},
}

// indexExt is an extension as it stands in the file.
type indexExt struct {
	index.ExtHeader
	keywords []string
}

func dumpIndex(p *printer, f vfs.File) error {
	b, err := readAll(f)
	if err != nil {
		return err
	}
	if len(b) < index.HeaderSize {
		_, err := index.DecodeHeader(b)
		return err
	}
	p.field(0, 2, "version", "%d.%d", b[0], b[1])
	p.field(2, 2, "base_header_size", "%d", binary.LittleEndian.Uint16(b[2:]))
	for _, fd := range indexFields {
		if fd.off == 16 {
			p.field(12, 1, "compat_flags", "%#x", b[12])
		}
		v := binary.LittleEndian.Uint32(b[fd.off:])
		if fd.time {
			p.time(int64(fd.off), fd.name, v)
		} else {
			p.u32(int64(fd.off), fd.name, v)
		}
	}
	h, err := index.DecodeHeader(b)
	if err != nil {
		return err
	}
	for day := range 8 {
		p.field(int64(88+4*day), 4, "day_first_uid", "[%d] %d", day, h.DayFirstUID(day))
	}
	p.hex(index.HeaderSize, "unknown", b[index.HeaderSize:h.BaseHeaderSize()])
	if uint64(h.HeaderSize()) > uint64(len(b)) {
		return vfs.Corrupt(4, "header_size %d, the file has %d bytes", h.HeaderSize(), len(b))
	}
	exts, err := dumpExts(p, b[:h.HeaderSize()], (h.BaseHeaderSize()+7)&^7)
	if err != nil {
		return err
	}
	return dumpIndexRecords(p, b, h, exts)
}

// dumpExts writes the extension headers in b from off on.
func dumpExts(p *printer, b []byte, off int) ([]indexExt, error) {
	var exts []indexExt
	for off < len(b) {
		h, data, size, err := index.DecodeExtHeader(b[off:])
		if err != nil {
			return exts, vfs.At(err, "", int64(off))
		}
		at := int64(off)
		p.title("extension %d: %s", len(exts), h.Name)
		p.u32(at, "hdr_size", h.HdrSize)
		p.u32(at+4, "reset_id", h.ResetID)
		p.field(at+8, 2, "record_offset", "%d", h.RecordOffset)
		p.field(at+10, 2, "record_size", "%d", h.RecordSize)
		p.field(at+12, 2, "record_align", "%d", h.RecordAlign)
		p.field(at+14, 2, "name_size", "%d", len(h.Name))
		p.field(at+16, len(h.Name), "name", "%s", h.Name)
		e := indexExt{ExtHeader: h}
		e.keywords = dumpExtHeader(p, int64(off+size-len(data)), h.Name, data[:h.HdrSize])
		exts = append(exts, e)
		off += size
	}
	return exts, nil
}

func dumpIndexRecords(p *printer, b []byte, h index.Header, exts []indexExt) error {
	size := int(h.RecordSize())
	for i := range int(h.Messages()) {
		off := int(h.HeaderSize()) + i*size
		if off > len(b) || size > len(b)-off {
			return vfs.Corrupt(int64(off), "record %d of %d: %d bytes left, want %d", i+1, h.Messages(), len(b)-off, size)
		}
		rec := b[off : off+size]
		p.title("record %d", i+1)
		p.u32(int64(off), "uid", binary.LittleEndian.Uint32(rec))
		p.field(int64(off)+4, 1, "flags", "0x%02x%s", rec[4], flagNames(rec[4]))
		for _, e := range exts {
			from, n := int(e.RecordOffset), int(e.RecordSize)
			if n == 0 {
				continue
			}
			if from > size || n > size-from {
				return vfs.Corrupt(int64(off), "extension %q: %d bytes at %d of a record of %d bytes", e.Name, n, from, size)
			}
			dumpExtRecord(p, int64(off+from), e.Name, rec[from:from+n], e.keywords)
		}
	}
	return nil
}

func flagNames(flags uint8) string {
	s := ""
	for _, f := range []struct {
		bit  uint8
		name string
	}{
		{index.FlagAnswered, ` \Answered`}, {index.FlagFlagged, ` \Flagged`}, {index.FlagDeleted, ` \Deleted`},
		{index.FlagSeen, ` \Seen`}, {index.FlagDraft, ` \Draft`}, {index.FlagBackend, " backend"}, {index.FlagDirty, " dirty"},
	} {
		if flags&f.bit != 0 {
			s += f.name
		}
	}
	return s
}
