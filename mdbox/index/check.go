package index

import (
	"fmt"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Check returns the first invariant that the state breaks, or nil. No input
// may break one; tests call Check after everything they do to an index.
func (s *State) Check() error {
	n := len(s.uids)
	if len(s.flags) != n || s.hdr.Messages() != uint32(n) {
		return fmt.Errorf("index: %d UIDs, %d flags, messages_count %d", n, len(s.flags), s.hdr.Messages())
	}
	var prev, seen, deleted uint32
	for i, uid := range s.uids {
		if uid <= prev || uid >= s.NextUID() {
			return fmt.Errorf("index: message %d has UID %d after %d, next_uid is %d", i, uid, prev, s.NextUID())
		}
		prev = uid
		flags := s.flags[i]
		seen += uint32(flags & FlagSeen / FlagSeen)
		deleted += uint32(flags & FlagDeleted / FlagDeleted)
		if flags&FlagSeen == 0 && uid < s.hdr.FirstUnseenLowwater() {
			return fmt.Errorf("index: UID %d is unseen, first_unseen_uid_lowwater is %d", uid, s.hdr.FirstUnseenLowwater())
		}
		if flags&FlagDeleted != 0 && uid < s.hdr.FirstDeletedLowwater() {
			return fmt.Errorf("index: UID %d is deleted, first_deleted_uid_lowwater is %d", uid, s.hdr.FirstDeletedLowwater())
		}
		if m := s.ModSeq(i); s.HasModSeqs() && m > max(s.HighestModSeq(), s.logModSeq) {
			return fmt.Errorf("index: UID %d has modseq %d, the highest is %d", uid, m, s.HighestModSeq())
		}
	}
	if s.hdr.Seen() != seen || s.hdr.Deleted() != deleted {
		return fmt.Errorf("index: seen_messages_count %d and deleted_messages_count %d, want %d and %d", s.hdr.Seen(), s.hdr.Deleted(), seen, deleted)
	}
	return s.checkExts()
}

func (s *State) checkExts() error {
	for _, e := range s.exts {
		if !e.column.holds(len(s.uids), int(e.RecordSize)) && !s.isLate(e) || len(e.hdr) != pad8(int(e.hdrSize)) {
			return fmt.Errorf("index: extension %q has %d bytes of records for %d messages of %d bytes, %d of header data for %d",
				e.Name, len(e.column.b), len(s.uids), e.RecordSize, len(e.hdr), e.hdrSize)
		}
		if s.Ext(e.Name) != e {
			return fmt.Errorf("index: two extensions %q", e.Name)
		}
	}
	if s.doomed.count != 0 || s.keywords.changed && s.keywordExt != nil {
		return fmt.Errorf("index: state is not finished")
	}
	if s.keywordExt != nil {
		names, err := DecodeKeywords(s.keywordExt.Header())
		if err != nil {
			return vfs.At(err, "", 0)
		}
		if len(names) != len(s.keywords.names) {
			return fmt.Errorf("index: %d keywords in the header data, %d in use", len(names), len(s.keywords.names))
		}
	}
	return nil
}
