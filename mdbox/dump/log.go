package dump

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

var logName = regexp.MustCompile(`^dovecot(\.map|\.list)?\.index(\.pvt)?\.log(\.2|\.newlock)?$`)

func isLogName(base string) bool { return logName.MatchString(base) }

// isLog: version 1.3, header of 40 bytes, little-endian.
func isLog(head []byte) bool {
	return len(head) >= translog.HeaderSize && head[0] == 1 && head[1] >= 2 && head[2] == translog.HeaderSize && head[3] == 0 && head[32] == 1
}

func dumpLog(p *printer, f vfs.File) error {
	b, err := readAll(f)
	if err != nil {
		return err
	}
	h, err := translog.DecodeHeader(b)
	if err != nil {
		return err
	}
	p.field(0, 2, "version", "%d.%d", b[0], h.MinorVersion)
	p.field(2, 2, "hdr_size", "%d", h.HdrSize)
	p.time(4, "indexid", h.IndexID)
	p.u32(8, "file_seq", h.FileSeq)
	p.u32(12, "prev_file_seq", h.PrevFileSeq)
	p.u32(16, "prev_file_offset", h.PrevFileOffset)
	p.time(20, "create_stamp", h.CreateStamp)
	p.field(24, 8, "initial_modseq", "%d", h.InitialModSeq)
	p.field(32, 1, "compat_flags", "%#x", h.CompatFlags)
	p.hex(translog.HeaderSize, "unknown", h.Unknown)
	return dumpLogRecords(p, b, &h)
}

func dumpLogRecords(p *printer, b []byte, h *translog.Header) error {
	s := translog.NewScanner(b[h.HdrSize:], h.Start())
	d := logDump{p: p}
	modSeq := h.InitialModSeq
	for {
		r, ok := s.Next()
		if !ok {
			break
		}
		before := modSeq
		modSeq = translog.NextModSeq(modSeq, &r, h.MinorVersion)
		flags := ""
		if r.Header.External {
			flags += " external"
		}
		if r.Header.Sync {
			flags += " sync"
		}
		if modSeq != before {
			flags += fmt.Sprintf(" modseq=%d", modSeq)
		}
		p.field(int64(r.Pos.Offset), int(r.Header.Size), "record", "%s%s", r.Header.Type, flags)
		if err := d.payload(&r); err != nil {
			p.hex(int64(r.Pos.Offset)+translog.RecordHeaderSize, "  payload", r.Payload)
			if r.Header.Type.Known() {
				return err
			}
		}
	}
	if err := s.Err(); err != nil {
		return err
	}
	end := int64(s.Pos().Offset)
	p.field(end, len(b)-int(end), "end", "of complete records, highest modseq %d", modSeq)
	return nil
}

// logDump writes payloads. It remembers the introduced extension.
type logDump struct {
	p     *printer
	intro translog.ExtIntro
}

func (d *logDump) payload(r *translog.Record) error {
	pl, err := r.Decode(d.intro.RecordSize)
	if err != nil {
		return err
	}
	off := int64(r.Pos.Offset) + translog.RecordHeaderSize
	switch pl := pl.(type) {
	case translog.Appends:
		for i, m := range pl {
			d.p.field(off+8*int64(i), 8, "  append", "uid=%d flags=0x%02x%s", m.UID, m.Flags, flagNames(m.Flags))
		}
	case translog.Expunges:
		d.ranges(off, "  expunge", pl)
	case translog.ExpungeGUIDs:
		for i, e := range pl {
			d.p.field(off+20*int64(i), 20, "  expunge", "uid=%d guid=%s", e.UID, hex.EncodeToString(e.GUID[:]))
		}
	case translog.FlagUpdates:
		for i, u := range pl {
			d.p.field(off+12*int64(i), 12, "  flags", "uids=%d-%d add=0x%02x%s remove=0x%02x%s modseq_inc=%d",
				u.UIDs.First, u.UIDs.Last, u.Add, flagNames(u.Add), u.Remove, flagNames(u.Remove), u.ModSeqInc)
		}
	case translog.KeywordUpdate:
		d.p.field(off, 4+len(pl.Name), "  keyword", "%s remove=%v", pl.Name, pl.Remove)
		d.ranges(off+int64(len(r.Payload)-8*len(pl.UIDs)), "  uids", pl.UIDs)
	case translog.KeywordReset:
		d.ranges(off, "  uids", pl)
	case translog.ModSeqUpdates:
		for i, u := range pl {
			d.p.field(off+12*int64(i), 12, "  modseq", "uid=%d modseq=%d", u.UID, u.ModSeq)
		}
	case translog.Boundary:
		d.p.field(off, 4, "  size", "%d", pl.Size)
	case translog.AttributeUpdates:
		for _, a := range pl {
			d.p.field(off, len(r.Payload), "  attribute", "%s removed=%v shared=%v time=%d length=%d", a.Name, a.Removed, a.Shared, a.Timestamp, a.Length)
		}
	default:
		d.headersAndExts(off, pl)
	}
	return nil
}

func (d *logDump) ranges(off int64, name string, rs []translog.UIDRange) {
	for i, r := range rs {
		d.p.field(off+8*int64(i), 8, name, "uids=%d-%d", r.First, r.Last)
	}
}

func (d *logDump) headersAndExts(off int64, pl translog.Payload) {
	switch pl := pl.(type) {
	case translog.HeaderUpdates:
		d.updates(off, 4, pl, headerFields)
	case translog.ExtHdrUpdates:
		d.updates(off, 4, pl, nil)
	case translog.ExtHdrUpdates32:
		d.updates(off, 8, pl, nil)
	case translog.ExtIntros:
		for _, in := range pl {
			id := fmt.Sprintf("ext_id=%d", in.ExtID)
			if in.ExtID == translog.ExtIDByName {
				id = "name=" + in.Name
			}
			d.p.field(off, 20+len(in.Name), "  intro", "%s reset_id=%d hdr_size=%d record_size=%d record_align=%d no_shrink=%v",
				id, in.ResetID, in.HdrSize, in.RecordSize, in.RecordAlign, in.NoShrink)
			off += int64(20+len(in.Name)+3) &^ 3
			d.intro = in
		}
	case translog.ExtReset:
		d.p.field(off, 8, "  reset", "new_reset_id=%d preserve_data=%v", pl.NewResetID, pl.PreserveData)
	case translog.ExtRecUpdates:
		stride := int64(4+int(pl.RecordSize)+3) &^ 3
		for i := range pl.Len() {
			uid, data := pl.At(i)
			d.p.field(off+stride*int64(i), int(stride), "  data", "uid=%d %s", uid, hex.EncodeToString(data))
		}
	case translog.ExtAtomicIncs:
		for i, in := range pl {
			d.p.field(off+8*int64(i), 8, "  increment", "uid=%d diff=%d", in.UID, in.Diff)
		}
	}
}

// updates writes header updates, each behind a prefix of offset and size. An
// update of whole fields of four bytes is shown by their names.
func (d *logDump) updates(off, prefix int64, us []translog.HeaderUpdate, names map[uint32]string) {
	for _, u := range us {
		value := hex.EncodeToString(u.Data)
		if names[u.Offset] != "" && len(u.Data)%4 == 0 {
			var fields []string
			for i := 0; i < len(u.Data); i += 4 {
				fields = append(fields, fmt.Sprintf("%s=%d", names[u.Offset+uint32(i)], binary.LittleEndian.Uint32(u.Data[i:])))
			}
			value = strings.Join(fields, " ")
		}
		d.p.field(off, int(prefix)+len(u.Data), "  header", "offset=%d size=%d %s", u.Offset, len(u.Data), value)
		off += (prefix + int64(len(u.Data)) + 3) &^ 3
	}
}

// headerFields names the fields of the base header of an index by offset.
var headerFields = func() map[uint32]string {
	m := make(map[uint32]string)
	for _, f := range indexFields {
		m[uint32(f.off)] = f.name
	}
	for day := range 8 {
		m[uint32(88+4*day)] = fmt.Sprintf("day_first_uid[%d]", day)
	}
	return m
}()
