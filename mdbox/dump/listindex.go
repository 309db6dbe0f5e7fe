package dump

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// Extensions that only dovecot.list.index has, or that are different there.

// dumpListExtHeader writes the header data of such an extension; false if it is none.
func dumpListExtHeader(p *printer, off int64, name string, b []byte) bool {
	switch name {
	case mailboxlist.ExtList:
		h, err := mailboxlist.DecodeListHeader(b)
		if err != nil {
			return false
		}
		p.field(off, 1, "refresh_flag", "%t", h.Refresh)
		off++
		for _, n := range h.Names {
			p.field(off, 4+len(n.Name)+1, "name", "[%d] %s", n.ID, n.Name)
			off += 4 + int64(len(n.Name)) + 1
		}
		return true
	case mailboxlist.ExtSubs:
		if len(b) == 4 {
			p.time(off, "subs.mtime", binary.LittleEndian.Uint32(b))
			return true
		}
	}
	return false
}

// dumpListExtRecord writes the data of one node for such an extension; false if it is none.
func dumpListExtRecord(p *printer, off int64, name string, b []byte) bool {
	switch name {
	case mailboxlist.ExtList:
		if r, err := mailboxlist.DecodeListRecord(b); err == nil {
			p.u32(off, "list.name_id", r.NameID)
			p.u32(off+4, "list.parent_uid", r.ParentUID)
			p.hex(off+8, "list.guid", r.GUID[:])
			p.time(off+24, "list.uid_validity", r.UIDValidity)
			return true
		}
	case mailboxlist.ExtMessages:
		if c, err := mailboxlist.DecodeMessageCounts(b); err == nil {
			p.u32(off, "msgs.messages", c.Messages)
			p.u32(off+4, "msgs.unseen", c.Unseen)
			p.u32(off+8, "msgs.recent", c.Recent)
			p.u32(off+12, "msgs.uidnext", c.UIDNext)
			return true
		}
	case mailboxlist.ExtModSeq:
		if v, err := mailboxlist.DecodeHighestModSeq(b); err == nil {
			p.field(off, 8, "hmodseq", "%d", v)
			return true
		}
	case mailboxlist.ExtIndexSync:
		if s, err := mailboxlist.DecodeIndexSync(b); err == nil {
			p.u32(off, "index sync.size", s.Size)
			p.time(off+4, "index sync.mtime", s.Mtime)
			return true
		}
	case mailboxlist.ExtVSize:
		if s, err := mailboxlist.DecodeSizeSum(b); err == nil { // that of a mailbox is shorter
			p.field(off, 8, "vsize.vsize", "%d", s.Bytes)
			p.u32(off+8, "vsize.highest_uid", s.HighestUID)
			p.u32(off+12, "vsize.message_count", s.Messages)
			return true
		}
	case mailboxlist.ExtFirstSaved:
		if s, err := mailboxlist.DecodeFirstSaved(b); err == nil {
			p.u32(off, "1saved.uid", s.UID)
			p.time(off+4, "1saved.saved", s.Saved)
			return true
		}
	}
	return false
}
