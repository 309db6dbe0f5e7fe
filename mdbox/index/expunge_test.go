package index

import (
	"slices"
	"testing"
)

func TestExpungedMessagesLeaveEveryColumn(t *testing.T) {
	s := &State{exts: []*Ext{{Name: "x", RecordSize: 2}}}
	for i := range 70 {
		s.uids = append(s.uids, uint32(i+1))
		s.flags = append(s.flags, uint8(i))
		s.exts[0].column = append(s.exts[0].column, byte(i), 0xff)
	}
	for _, i := range []int{0, 3, 4, 64, 68} {
		s.doomed.add(i)
	}
	s.cutDoomed()
	if len(s.uids) != 65 || len(s.flags) != 65 || len(s.exts[0].column) != 2*65 {
		t.Fatalf("columns have %d, %d and %d elements", len(s.uids), len(s.flags), len(s.exts[0].column))
	}
	for i, uid := range s.uids {
		if rec := s.exts[0].Record(i); s.flags[i] != uint8(uid-1) || !slices.Equal(rec, []byte{byte(uid - 1), 0xff}) {
			t.Errorf("message with UID %d has the flags %d and the record %x of another", uid, s.flags[i], rec)
		}
	}
}
