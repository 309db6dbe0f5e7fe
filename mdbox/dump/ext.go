package dump

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// dumpExtHeader writes the header data of an extension, by its fields if they
// are known, and returns the names of the keywords extension.
func dumpExtHeader(p *printer, off int64, name string, b []byte) (keywords []string) {
	if dumpListExtHeader(p, off, name, b) {
		return nil
	}
	switch name {
	case "keywords":
		keywords, err := index.DecodeKeywords(b)
		if err != nil {
			break
		}
		for k, n := range keywords {
			p.field(off, len(b), "keyword", "[%d] %s", k, n)
		}
		return keywords
	case "modseq":
		if h, err := index.DecodeModSeqHeader(b); err == nil {
			p.field(off, 8, "highest_modseq", "%d", h.Highest)
			p.u32(off+8, "log_seq", h.Log.FileSeq)
			p.u32(off+12, "log_offset", h.Log.Offset)
			return nil
		}
	case index.ExtVSizeHeader:
		if h, err := index.DecodeVSizeHeader(b); err == nil {
			p.field(off, 8, "vsize", "%d", h.VSize)
			p.u32(off+8, "highest_uid", h.HighestUID)
			p.u32(off+12, "message_count", h.MessageCount)
			return nil
		}
	case index.ExtMdboxHeader:
		if h, err := index.DecodeMdboxHeader(b); err == nil {
			p.u32(off, "map_uid_validity", h.MapUIDValidity)
			p.hex(off+4, "mailbox_guid", h.MailboxGUID[:])
			p.field(off+20, 1, "flags", "%#x", h.Flags)
			return nil
		}
	case index.ExtSdboxHeader:
		if h, err := index.DecodeSdboxHeader(b); err == nil && len(b) == 24 {
			p.u32(off, "rebuild_count", h.RebuildCount)
			p.hex(off+4, "mailbox_guid", h.MailboxGUID[:])
			p.field(off+20, 1, "flags", "%#x", h.Flags)
			return nil
		}
	case "map":
		if h, err := mapindex.DecodeHeader(b); err == nil {
			p.u32(off, "highest_file_id", h.HighestFileID)
			p.u32(off+4, "rebuild_count", h.RebuildCount)
			return nil
		}
	}
	p.hex(off, "header data", b)
	return nil
}

// dumpExtRecord writes the data of one message for an extension, by its fields
// if they are known.
func dumpExtRecord(p *printer, off int64, name string, b []byte, keywords []string) {
	if dumpListExtRecord(p, off, name, b) {
		return
	}
	switch name {
	case "keywords":
		s := hex.EncodeToString(b)
		for k, n := range keywords {
			if k/8 < len(b) && b[k/8]&(1<<(k%8)) != 0 {
				s += " " + n
			}
		}
		p.field(off, len(b), name, "%s", s)
		return
	case index.ExtMdbox:
		if r, err := index.DecodeMdboxRecord(b); err == nil {
			p.u32(off, "mdbox.map_uid", r.MapUID)
			p.time(off+4, "mdbox.save_date", r.SaveDate)
			return
		}
	case "map":
		if l, err := mapindex.DecodeLocation(b); err == nil {
			p.u32(off, "map.file_id", l.FileID)
			p.u32(off+4, "map.offset", l.Offset)
			p.u32(off+8, "map.size", l.Size)
			return
		}
	case index.ExtVSize:
		if size, ok := index.DecodeVSize(b); ok {
			p.field(off, len(b), name, "%d", size)
			return
		}
	case "modseq", "cache", "ref", "sort-c", "sort-f", "sort-s", "sort-t":
		var v [8]byte
		if copy(v[:], b) == len(b) {
			p.field(off, len(b), name, "%d", binary.LittleEndian.Uint64(v[:]))
			return
		}
	}
	p.hex(off, name, b)
}
